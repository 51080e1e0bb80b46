"""Outcomes of a measured entry: its per-sample files read with suspicion, and its numbers computed again from them.

What: `read_outcomes` reads which sample of which problem was correct; `compare_with_samples` recomputes everything that
an entry states about its samples; `regrade` grades the completions again, against `Answers`.

Simplified: that the completions came from the stated weights cannot be seen in the files. Files come from strangers, so
sizes are checked before anything is read, and long texts are never expanded; the Parquet decoder itself is trusted.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from tuition.benchmarks.artefacts import SAMPLE_COLUMNS, RecordError, correct_PK
from tuition.benchmarks.boards.entries import EntryError, MeasuredEntry, ids_sha256, measured_score
from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.statistics.intervals import Array

TOLERANCE = 1e-9  # absolute, of fractions: sums in another order differ far less, one verdict far more
MAX_ROWS = 50_000_000
MAX_ID_BYTES = 1000
MAX_EXPANDED_BYTES = 4 << 30  # of the columns that are read; compression must not turn a small file into a full memory


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


def _table(file: BufferedReader, columns: Sequence[str]) -> pyarrow.Table:
    """Some columns of a sample table; EntryError for another shape or too many rows."""
    try:
        names = pyarrow.parquet.read_schema(file).names
        if names != list(SAMPLE_COLUMNS):
            raise EntryError(f"its columns are {', '.join(map(str, names))[:120]}, not those of a sample table")
        file.seek(0)
        parquet = pyarrow.parquet.ParquetFile(file, read_dictionary=["problem_id", "completion", "verdict"])
        if parquet.metadata.num_rows > MAX_ROWS:
            raise EntryError(f"it has {parquet.metadata.num_rows:,} rows, the limit is {MAX_ROWS:,}")
        groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
        chosen = [names.index(name) for name in columns]
        expanded = sum(group.column(place).total_uncompressed_size for group in groups for place in chosen)
        if expanded > MAX_EXPANDED_BYTES:
            raise EntryError(f"it expands to {expanded:,} bytes, the limit is {MAX_EXPANDED_BYTES:,}")
        table = parquet.read(columns=list(columns), use_threads=False)
        for name in columns:
            if table[name].null_count and name != "extracted":
                raise EntryError(f"its column {name} has missing values")
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        # pyarrow's errors are ValueErrors, OSErrors or only its own.
        raise (
            error if isinstance(error, EntryError) else EntryError(f"it is not a sample table ({one_line(error)})")
        ) from None
    return table


def _texts(column: pyarrow.ChunkedArray, name: str, max_bytes: int = MAX_ID_BYTES) -> Array:
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
    column_texts: Array = texts[array.indices.to_numpy(zero_copy_only=False)]
    return column_texts


def read_outcomes(file: BufferedReader, seed: int | None) -> Outcomes:
    """Outcomes of a sample table; EntryError for anything that is not a complete, consistent one."""
    table = _table(file, ["problem_id", "sample", "verdict", "correct"])
    types = {"sample": pyarrow.int64(), "correct": pyarrow.bool_()}
    for name, wanted in types.items():
        if table[name].type != wanted:
            raise EntryError(f"its column {name} is of {table[name].type}, not {wanted}")
    ids, verdicts = _texts(table["problem_id"], "problem_id"), _texts(table["verdict"], "verdict")
    correct = table["correct"].to_numpy()
    unknown = set(verdicts) - {str(verdict) for verdict in Verdict}
    if unknown:
        raise EntryError(f"it has the verdict {min(map(str, unknown))!r:.60}, which is not a verdict of the grader")
    contradicted = np.flatnonzero((verdicts == str(Verdict.correct)) != correct)
    if len(contradicted):
        row = int(contradicted[0])
        sample = f"problem {ids[row]}, sample {table['sample'][row]}"
        raise EntryError(f"{sample} has the verdict {verdicts[row]!r} but correct={bool(correct[row])}")
    frame = pd.DataFrame({"problem_id": ids, "sample": table["sample"].to_numpy(), "correct": correct})
    try:
        problem_ids, outcomes_PK = correct_PK(frame)
    except RecordError as error:
        raise EntryError(f"its {one_line(error)}") from None
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
        place = f"samples[{number}]"
        try:
            with opener() as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != stated.sha256:
                    mismatches.append(Mismatch(id, f"{place}.sha256", stated.sha256, found))
                file.seek(0)
                runs.append(read_outcomes(file, stated.training_seed))
        except EntryError as error:
            mismatches.append(Mismatch(id, place, stated.sha256, str(error)))
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


class AnswersError(EntryError):
    """Answers that were given lack a problem: nothing is wrong with the entry."""


@dataclass(frozen=True)
class Answers:
    """What the problems of a suite ask for: gold answers by problem id.

    `problem_ids_sha256` is that of the suite's own problems; None where the answers came without a suite.
    """

    golds: Mapping[str, str]
    problem_ids_sha256: str | None


@dataclass(frozen=True)
class Regraded:
    """How the current grader judges the completions of one sample file.

    `changes` are the verdicts that differ and are no mismatch: problem, sample, was, is.
    """

    id: str
    training_seed: int | None
    grader_then: str
    grader_now: str
    num_samples: int
    changes: tuple[tuple[str, int, str, str], ...]


def regrade(
    id: str, entry: MeasuredEntry, place: int, file: BufferedReader, answers: Answers, grader: Grader
) -> tuple[Regraded, list[Mismatch]]:
    """Grade the completions of the entry's sample file number `place` again.

    A verdict that differs is a mismatch when the entry's grader has the very version of ours and neither of the two ran
    out of time. AnswersError when `answers` lack a problem, EntryError when the file is no sample table.
    """
    table = _table(file, ["problem_id", "sample", "completion", "verdict"])
    ids, was = _texts(table["problem_id"], "problem_id"), _texts(table["verdict"], "verdict")
    missing = sorted(set(ids) - answers.golds.keys())
    if missing:
        raise AnswersError(f"{entry.name}: {len(missing)} problems have no gold answer (first: {missing[0]!r:.60})")
    completions = _texts(table["completion"], "completion", MAX_EXPANDED_BYTES)
    grades = grader.grade_many([answers.golds[id] for id in ids], list(completions))
    # What another version of the grader said, or one that ran out of time, is no mistake of the entry's.
    same_version, late = entry.grader == GRADER_VERSION, str(Verdict.timeout)
    stated, changes, mismatches = entry.samples[place], [], []
    for problem, sample, then, grade in zip(ids, table["sample"].to_pylist(), was, grades, strict=True):
        now = str(grade.verdict)
        if then == now:
            continue
        if same_version and late not in (then, now):
            field = f"samples[{place}], problem {problem}, sample {sample}, verdict"
            mismatches.append(Mismatch(id, field, then, now))
        else:
            changes.append((str(problem), int(sample), str(then), now))
    return Regraded(id, stated.training_seed, entry.grader, GRADER_VERSION, len(ids), tuple(changes)), mismatches
