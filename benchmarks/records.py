"""Records: per-sample outcomes as Parquet, and the store of scores.

What: `publish_folder` makes a folder appear whole or not at all; `ScoreKey` names everything that decides a
score; `ScoreStore` keeps one folder per key, with the sample table (`samples.parquet`) and `record.json`, which
is written last and holds the table's SHA-256.

Simplified: scores are never evicted, because a table is small; two processes that make one score at the same time
both do the work, and the first to finish is kept.
"""

import hashlib
import json
import logging
import math
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from benchmarks.messages import one_line

logger = logging.getLogger(__name__)

SAMPLES_FILE = "samples.parquet"
RECORD_FILE = "record.json"
MAX_JSON_BYTES = 512 << 20  # our choice: a report of 10,000 trials has 10 MB

# The columns of a sample table and their pandas types, in order.
SAMPLE_COLUMNS: dict[str, str] = {
    "problem_id": "string",
    "sample": "int64",
    "completion": "string",
    "extracted": "string",
    "verdict": "string",
    "correct": "bool",
    "num_tokens": "int64",
    "truncated": "bool",
    "level": "Int64",
    "subject": "string",
}


class RecordError(ValueError):
    """A sample table or a score key is not what it has to be."""


class FileError(ValueError):
    """A file that cannot be read; the message is the reason, without the path."""


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            _fsync(path)
    _fsync(folder)


@contextmanager
def publish_folder(final: Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder beside `final`; when the block ends well, it becomes `final` by one rename.

    Files and folders are flushed to disk before the rename, so a folder that exists is whole, even after a power cut.
    If `final` exists by then (another process was first), ours is dropped silently; with `replace` it takes
    its place. On an error the temporary folder is removed and the error passes on. A
    killed process leaves a `.partial-…` folder, which nobody reads.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.parent / f".partial-{final.name}-{os.getpid()}-{secrets.token_hex(4)}"
    partial.mkdir()
    try:
        yield partial
        if replace and final.exists():
            _fsync_tree(partial)
            retired = partial.with_name(f".retired-{final.name}-{secrets.token_hex(4)}")
            os.rename(final, retired)
            os.rename(partial, final)
            _fsync(final.parent)
            shutil.rmtree(retired)
        elif not final.exists():
            _fsync_tree(partial)
            try:
                os.rename(partial, final)
            except OSError:
                # A non-empty folder is never replaced by a rename: somebody was faster than our look above.
                if not final.exists():
                    raise
            else:
                _fsync(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def finite(value: float) -> float | None:
    """The number, or None where JSON has none (NaN, infinities)."""
    return value if math.isfinite(value) else None


def finite_fields(fields: object) -> dict[str, Any]:
    """The fields of a dataclass as JSON values."""
    return {name: finite(v) if isinstance(v, float) else v for name, v in vars(fields).items()}


def write_text(path: Path, text: str) -> None:
    """Write a text file, which appears whole."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, which appears whole."""
    partial = path.with_name(f".partial-{path.name}-{secrets.token_hex(4)}")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """Write a JSON document to a file, which appears whole; ValueError for NaN and infinities."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_bytes(path: Path) -> bytes:
    """A file's content. FileNotFoundError where there is none, FileError for a link or what cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # Not more than there is: a buffer of the largest size for each of 70,000 records takes longer than reading.
            content = os.read(descriptor, min(os.fstat(descriptor).st_size, MAX_JSON_BYTES) + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror})") from None
    if len(content) > MAX_JSON_BYTES:
        raise FileError(f"has more than {MAX_JSON_BYTES:,} bytes")
    return content


def read_json(path: Path) -> Any:
    """A JSON file's value. FileNotFoundError where there is none, FileError for what cannot be read."""
    content = read_bytes(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FileError(f"is no JSON ({one_line(error, 200)})") from None


def move_aside(folder: Path, reason: str) -> Path:
    """Rename a damaged folder to `.damaged-…` beside it, name it and the reason in a warning, return the new path."""
    aside = folder.parent / f".damaged-{folder.name}-{secrets.token_hex(4)}"
    os.rename(folder, aside)
    logger.warning("%s is damaged (%s); moved to %s, it will be made again", folder, reason, aside)
    return aside


def artefact_folder(root: Path, key: str) -> Path:
    """`root/<2 hex>/<key>`, where an artefact lies or would lie.

    RecordError for a key that is not 64 hex digits, which must never become a path, and for a symbolic link in the
    place of either folder, through which we would write outside of `root`.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise RecordError(f"key {key[:80]!r} is not 64 hex digits; nothing is read or written under that name")
    folder = root / key[:2] / key
    for path in (folder.parent, folder):
        if path.is_symlink():
            raise RecordError(f"{path} is a symbolic link, and what lies behind it is not ours: remove the link")
    return folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class ScoreKey:
    """Everything that decides a score: content and settings, never names of models.

    `suite` is a name with its version ("micro-validation@1"), `decoding` the preset's fields, `engine` what draws the
    samples, `grader` the grader's version.
    """

    weights_sha256: str
    suite: str
    decoding: Mapping[str, Any]
    num_samples: int
    sampling_seed: int
    engine: str
    grader: str

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON (sorted names, no spaces). RecordError for what JSON cannot hold."""
        try:
            text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RecordError(f"score key {self.suite!r} holds a value that JSON cannot: {error}") from error
        return hashlib.sha256(text.encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


class ScoreStore:
    """Scores on disk: `folder/<2 hex>/<key>/` with `samples.parquet` and `record.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: ScoreKey) -> Path:
        """The folder of a score, whether it exists or not."""
        return artefact_folder(self.folder, key.key)

    def load(self, key: ScoreKey) -> pd.DataFrame | None:
        """The sample table of a score, or None where there is none.

        A damaged folder is moved aside, named in a warning, and None is returned.
        """
        folder = self.path(key)
        if not folder.exists():
            return None
        try:
            record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
            if record["samples_sha256"] != file_sha256(folder / SAMPLES_FILE):
                raise RecordError(f"the SHA-256 of {SAMPLES_FILE} is not the recorded one")
            return checked_table(pd.read_parquet(folder / SAMPLES_FILE, dtype_backend="numpy_nullable"))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            # pyarrow's errors are ValueError or OSError; json's and unicode's are ValueError.
            move_aside(folder, f"{type(error).__name__}: {error}")
            return None

    def save(self, key: ScoreKey, samples: pd.DataFrame, **record: Any) -> Path:
        """Keep a sample table; `record` holds further JSON fields (host, versions, seconds). Returns the folder."""
        table = checked_table(samples)
        reserved = {"key", "score_key", "samples_sha256"} & record.keys()
        if reserved:
            raise RecordError(f"record field {min(reserved)!r} is written by the store itself; use another name")
        final = self.path(key)
        with publish_folder(final) as folder:
            write_samples(table, folder / SAMPLES_FILE)
            content = {
                **record,
                "key": key.key,
                "score_key": key.as_dict(),
                "samples_sha256": file_sha256(folder / SAMPLES_FILE),
            }
            (folder / RECORD_FILE).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return final


def checked_table(samples: pd.DataFrame) -> pd.DataFrame:
    """The table with exactly SAMPLE_COLUMNS in order and type; RecordError for missing or further columns."""
    missing = [name for name in SAMPLE_COLUMNS if name not in samples.columns]
    unknown = [name for name in samples.columns if name not in SAMPLE_COLUMNS]
    if missing or unknown:
        raise RecordError(
            f"sample table lacks {missing} and has unknown {unknown}; its columns are {', '.join(SAMPLE_COLUMNS)}"
        )
    try:
        table = samples[list(SAMPLE_COLUMNS)]
        # Converting to the types that the columns have already would take as long as writing a small table.
        wanted = map(pd.api.types.pandas_dtype, SAMPLE_COLUMNS.values())  # as text, two types of strings were equal
        same = all(own == dtype for own, dtype in zip(table.dtypes, wanted, strict=True))
        return table if same else table.astype(SAMPLE_COLUMNS)
    except (TypeError, ValueError) as error:
        raise RecordError(f"sample table has a column of the wrong type: {error}") from error


def write_samples(table: pd.DataFrame, path: Path) -> None:
    """Write a sample table as Parquet, in about half of the bytes of pandas' own settings.

    Zstandard at level 9 (15 saves 5 % more and takes three times as long); completions not as a dictionary, which would
    hide from the compressor how alike they are; neither statistics nor pandas' and Arrow's notes about types, because
    `checked_table` knows these.
    """
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None),
        path,
        compression="zstd",
        compression_level=9,
        use_dictionary=[name for name in SAMPLE_COLUMNS if name != "completion"],
        write_statistics=False,
        store_schema=False,
    )


def correct_PK(table: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Problem ids in order and the 0/1 outcomes (problems, samples), ordered by problem id, then sample.

    RecordError when the problems have different numbers of samples, or one sample is there twice.
    """
    if table.empty:
        raise RecordError("sample table is empty; score at least one problem")
    if table.duplicated(["problem_id", "sample"]).any():
        twice = table[table.duplicated(["problem_id", "sample"])].iloc[0]
        raise RecordError(f"problem {twice.problem_id!r} has sample {twice['sample']} twice; keep one")
    counts = Counter(map(str, table["problem_id"]))
    (many, most), (few, fewest) = counts.most_common(1)[0], counts.most_common()[-1]
    if most != fewest:
        raise RecordError(f"problem {few!r} has {fewest} samples but {many!r} has {most}; give all the same number")
    ordered = table.sort_values(["problem_id", "sample"])
    ids = sorted(counts)
    return ids, ordered["correct"].to_numpy(dtype=np.int8).reshape(len(ids), -1)


def answers_PK(table: pd.DataFrame) -> list[list[str | None]]:
    """The extracted answers by problem and sample, in the order of `correct_PK`; None where there is none.

    RecordError as there.
    """
    _, outcomes_PK = correct_PK(table)
    extracted = table.sort_values(["problem_id", "sample"])["extracted"]
    answers = [None if pd.isna(answer) else str(answer) for answer in extracted]
    num_samples = outcomes_PK.shape[1]
    return [answers[start : start + num_samples] for start in range(0, len(answers), num_samples)]
