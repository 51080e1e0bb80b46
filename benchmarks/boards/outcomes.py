"""Outcomes of a measured entry: its per-sample files read with suspicion, and its numbers computed again from them.

What: `read_outcomes` reads which sample of which problem was correct; `compare_with_samples` recomputes everything that
an entry states about its samples, and compares what a file says that it is with the entry. `regrading` grades the
completions again.

Simplified: that the completions came from the stated weights cannot be seen in the files. Files come from strangers, so
the rows and bytes that a file announces are compared with those that the entry can have before anything is read, and
long texts are never expanded; the Parquet decoder itself is trusted.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from tuition.benchmarks.artefacts import SAMPLE_COLUMNS, STATEMENT, RecordError, correct_PK
from tuition.benchmarks.boards.entries import EntryError, MeasuredEntry, ids_sha256, measured_score, parse_json
from tuition.benchmarks.grading.grader import Verdict
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.statistics.intervals import Array

TOLERANCE = 1e-9  # absolute, of fractions: sums in another order differ far less, one verdict far more
MAX_ROWS = 50_000_000
MAX_ID_BYTES = 1000
MAX_EXPANDED_BYTES = 4 << 30  # of the columns that are read; compression must not turn a small file into a full memory
ROW_BYTES, TOKEN_BYTES = (
    2048,
    64,
)  # of a row that is read: what it has beside its completion, and of a token. Our choice
MAX_STATEMENT_BYTES = 100_000
TABLE_NOTES = {b"pandas", b"ARROW:schema"}  # about the types of columns, of files that pandas wrote


@dataclass(frozen=True)
class Outcomes:
    """Which samples were correct: problem ids in order, and (problems, samples) of 0 and 1; `seed` of training."""

    seed: int | None
    problem_ids: tuple[str, ...]
    correct_PK: Array


@dataclass(frozen=True)
class Mismatch:
    """A statement of an entry that its samples do not bear out."""

    id: str
    field: str
    stated: Any
    recomputed: Any
    name: str | None = None
    """The entry's name, where the entry could be read."""

    @property
    def sentence(self) -> str:
        """The mismatch on one line."""
        return one_line(f"{self.field}: stated {self.stated}, recomputed {self.recomputed}")


Opener = Callable[[], BufferedReader]


@dataclass(frozen=True)
class Bounds:
    """What a sample file can have: so many rows exactly (None: up to MAX_ROWS), and so many bytes when expanded."""

    rows: int | None = None
    expanded_bytes: int = MAX_EXPANDED_BYTES

    @classmethod
    def of(cls, entry: MeasuredEntry) -> Self:
        """Those of every sample file of an entry."""
        rows, tokens = entry.num_problems * entry.num_samples, entry.preset.fields.get("max_new_tokens")
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            return cls(rows, MAX_EXPANDED_BYTES)
        return cls(rows, min(MAX_EXPANDED_BYTES, 1_000_000 + rows * (ROW_BYTES + TOKEN_BYTES * tokens)))

    def refuse(self, rows: int) -> None:
        """EntryError for another number of rows."""
        if rows > MAX_ROWS:
            raise EntryError(f"it has {rows:,} rows, the limit is {MAX_ROWS:,}")
        if self.rows is not None and rows != self.rows:
            raise EntryError(f"it has {rows:,} rows, not the {self.rows:,} of num_problems times num_samples")


ANY = Bounds()


def sample_columns(file: BufferedReader, columns: Sequence[str], bounds: Bounds = ANY) -> pyarrow.Table:
    """Some columns of a sample table; EntryError for another shape or size, which is looked at before reading."""
    try:
        names = pyarrow.parquet.read_schema(file).names
        if names != list(SAMPLE_COLUMNS):
            raise EntryError(f"its columns are {', '.join(map(str, names))[:120]}, not those of a sample table")
        file.seek(0)
        texts = ["problem_id", "completion", "extracted", "verdict", "subject"]
        parquet = pyarrow.parquet.ParquetFile(file, read_dictionary=texts)
        bounds.refuse(parquet.metadata.num_rows)
        groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
        chosen = [names.index(name) for name in columns]
        expanded = sum(group.column(place).total_uncompressed_size for group in groups for place in chosen)
        if expanded > bounds.expanded_bytes:
            raise EntryError(f"it expands to {expanded:,} bytes, the limit is {bounds.expanded_bytes:,}")
        table = parquet.read(columns=list(columns), use_threads=False)
        for name in columns:
            if table[name].null_count and name not in ("extracted", "level", "subject"):
                raise EntryError(f"its column {name} has missing values")
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        # pyarrow's errors are ValueErrors, OSErrors or only its own.
        raise (
            error if isinstance(error, EntryError) else EntryError(f"it is not a sample table ({one_line(error)})")
        ) from None
    return table


def column_texts(column: pyarrow.ChunkedArray, name: str, max_bytes: int = MAX_ID_BYTES) -> Array:
    """A dictionary-encoded column as objects that share their texts, so that a long one is held once."""
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pyarrow.ChunkedArray):  # of no rows
        array = array.cast(pyarrow.dictionary(pyarrow.int32(), pyarrow.string())).combine_chunks()
    if not pyarrow.types.is_dictionary(array.type):
        raise EntryError(f"its column {name} does not hold text")
    longest = pyarrow.compute.max(pyarrow.compute.binary_length(array.dictionary)).as_py() or 0
    if longest > max_bytes:
        raise EntryError(f"its column {name} holds a text of {longest:,} bytes, the limit is {max_bytes:,}")
    texts = np.array([*array.dictionary.to_pylist(), None], dtype=object)
    indices = array.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)
    found: Array = texts[indices]
    return found


def read_statement(file: BufferedReader) -> dict[str, Any] | None:
    """What a sample file says that it is, the fields of its score's key; None where it says nothing.

    EntryError for a statement that is none.
    """
    file.seek(0)
    try:
        notes = pyarrow.parquet.read_metadata(file).metadata or {}
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise EntryError(f"it is not a sample table ({one_line(error)})") from None
    if unknown := notes.keys() - TABLE_NOTES - {STATEMENT.encode()}:
        raise EntryError(f"its metadata has {one_line(repr(min(unknown)))[:60]}, which no sample table has")
    stated = notes.get(STATEMENT.encode())
    if stated is None:
        return None
    document = parse_json(stated, "what it says of itself", MAX_STATEMENT_BYTES)
    if not isinstance(document, dict):
        raise EntryError("what it says of itself is no JSON object")
    return document


def read_outcomes(file: BufferedReader, seed: int | None, bounds: Bounds = ANY) -> Outcomes:
    """Outcomes of a sample table; EntryError for anything that is not a complete, consistent one."""
    table = sample_columns(file, ["problem_id", "sample", "verdict", "correct"], bounds)
    types = {"sample": pyarrow.int64(), "correct": pyarrow.bool_()}
    for name, wanted in types.items():
        if table[name].type != wanted:
            raise EntryError(f"its column {name} is of {table[name].type}, not {wanted}")
    ids, verdicts = column_texts(table["problem_id"], "problem_id"), column_texts(table["verdict"], "verdict")
    correct = table["correct"].to_numpy()
    unknown = set(verdicts) - {str(verdict) for verdict in Verdict}
    if unknown:
        raise EntryError(f"it has the verdict {min(map(str, unknown))!r:.60}, which is not a verdict of the grader")
    contradicted = np.flatnonzero((verdicts == str(Verdict.correct)) != correct)
    if len(contradicted):
        row = int(contradicted[0])
        sample = f"problem {ids[row]}, sample {table['sample'][row]}"
        raise EntryError(f"{sample} has the verdict {verdicts[row]!r} but correct={bool(correct[row])}")
    numbers = table["sample"].to_numpy()
    frame = pd.DataFrame({"problem_id": ids, "sample": numbers, "correct": correct})
    try:
        problem_ids, outcomes_PK = correct_PK(frame)
    except RecordError as error:
        raise EntryError(f"its {one_line(error)}") from None
    if set(numbers) != set(range(outcomes_PK.shape[1])):  # the best of more samples keep their numbers
        raise EntryError(
            f"its samples are numbered {min(numbers)} to {max(numbers)}, not 0 to {outcomes_PK.shape[1] - 1}"
        )
    return Outcomes(seed, tuple(problem_ids), outcomes_PK)


def compare_with_samples(
    id: str, entry: MeasuredEntry, openers: Sequence[Opener]
) -> tuple[list[Mismatch], tuple[Outcomes, ...]]:
    """Everything that the samples say otherwise than the entry, and the outcomes of the training runs.

    `openers` open the sample files in the entry's order. The outcomes are empty when a file cannot be used.
    """
    mismatches: list[Mismatch] = []
    runs: list[Outcomes] = []
    for number, (stated, opener) in enumerate(zip(entry.samples, openers, strict=True)):
        place, found = f"samples[{number}]", stated.sha256
        try:
            with opener() as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                runs.append(read_outcomes(file, stated.training_seed, Bounds.of(entry)))
                mismatches += _of_another(id, entry, number, read_statement(file))
        except EntryError as error:  # one line, also where the hash is another
            another = "" if found == stated.sha256 else f"{found}: "
            mismatches.append(Mismatch(id, place, stated.sha256, f"{another}{error}"))
            continue
        if found != stated.sha256:
            mismatches.append(Mismatch(id, f"{place}.sha256", stated.sha256, found))
    if len(runs) < len(entry.samples):
        return mismatches, ()
    for number, run in enumerate(runs):
        facts: dict[str, tuple[Any, Any]] = {
            "num_problems": (entry.num_problems, len(run.problem_ids)),
            "num_samples": (entry.num_samples, run.correct_PK.shape[1]),
            "problem_ids_sha256": (entry.problem_ids_sha256, ids_sha256(run.problem_ids)),
        }
        mismatches += [
            Mismatch(id, f"{name} (samples[{number}])", stated_value, value)
            for name, (stated_value, value) in facts.items()
            if stated_value != value
        ]
    if len({run.correct_PK.shape for run in runs}) > 1:
        return mismatches, ()
    score, _ = measured_score([run.correct_PK for run in runs])
    for name, value in score.model_dump().items():
        claimed = getattr(entry.score, name)
        if (value is None) != (claimed is None) or (
            value is not None and not math.isclose(value, claimed, rel_tol=0, abs_tol=TOLERANCE)
        ):
            mismatches.append(Mismatch(id, f"score.{name}", claimed, value))
    return mismatches, tuple(runs)


def _of_another(id: str, entry: MeasuredEntry, place: int, said: Mapping[str, Any] | None) -> list[Mismatch]:
    """What a sample file says of itself otherwise than the entry does."""
    if said is None:
        return []
    stated = entry.samples[place]
    weights = said.get("weights_sha256")
    pairs = {
        # A served model has a name instead of a hash there.
        "weights_sha256": (stated.weights_sha256, weights if stated.weights_sha256 is not None else None),
        "suite": (entry.suite, said.get("suite")),
        "preset": ({"name": entry.preset.name, **entry.preset.fields}, said.get("decoding")),
        "num_samples": (entry.num_samples, said.get("num_samples")),
        "sampling_seed": (entry.sampling_seed, said.get("sampling_seed")),
        "engine": (entry.engine, said.get("engine")),
        "grader": (entry.grader, said.get("grader")),
    }
    return [
        Mismatch(id, f"samples[{place}], {name} in the file", ours, theirs)
        for name, (ours, theirs) in pairs.items()
        if ours != theirs
    ]
