"""What is kept on disk: artefacts that appear whole, files read with suspicion, per-sample outcomes as Parquet.

What: `publish_folder` makes a folder appear whole or not at all; `write_json` does so for a file; `checked_table` says
what a sample table is, `correct_PK` and `answers_PK` read outcomes and answers from it.
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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from tuition.benchmarks.one_line import one_line

logger = logging.getLogger(__name__)

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
    """An artefact, its key or a table is not what it has to be; one line with the reason."""


class FileError(ValueError):
    """A file that cannot be read; the message is the reason, without the path."""


class RecordFormatError(ValueError):
    """A record that a newer version wrote."""


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
        raise FileError(f"is not JSON ({one_line(error, 200)})") from None


def refuse_newer(content: bytes, newest: int) -> None:
    """RecordFormatError where a record says that its format is newer than the newest that is known here."""
    try:
        version = int(json.loads(content)["format"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return
    if version > newest:
        raise RecordFormatError(f"was written by a newer version (format {version} > {newest}): update Tuition")


def move_aside(folder: Path, reason: str) -> Path:
    """Rename a damaged folder to `.damaged-…` beside it, name it and the reason in a warning, return the new path."""
    aside = folder.parent / f".damaged-{folder.name}-{secrets.token_hex(4)}"
    os.rename(folder, aside)
    logger.warning("%s is damaged (%s); moved to %s and made again when needed", folder, reason, aside)
    return aside


def artefact_folder(root: Path, key: str) -> Path:
    """`root/<2 hex>/<key>`, where an artefact lies or would lie.

    RecordError for a key that is not 64 hex digits, which must never become a path, and for a symbolic link in the
    place of either folder, through which we would write outside of `root`.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise RecordError(f"key {key[:80]!r} is not 64 hex digits: give a whole key")
    folder = root / key[:2] / key
    for path in (folder.parent, folder):
        if path.is_symlink():
            raise RecordError(f"{path} is a symbolic link, which is never followed: remove it")
    return folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


STATEMENT = "tuition.score"
"""The name under which a sample file says what it is of, in its metadata."""


def write_samples(table: pd.DataFrame, path: Path, statement: str) -> None:
    """Write a sample table as Parquet, in about half of the bytes of pandas' own settings.

    `statement`, the JSON of its score's key, goes into the file's metadata: a file that is moved still says what it is.

    Zstandard at level 9 (15 saves 5 % more and takes three times as long); completions not as a dictionary, which would
    hide from the compressor how alike they are; neither statistics nor pandas' and Arrow's notes about types, because
    `checked_table` knows these.
    """
    arrow = pyarrow.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with pyarrow.parquet.ParquetWriter(
        path,
        arrow.schema,
        compression="zstd",
        compression_level=9,
        use_dictionary=[name for name in SAMPLE_COLUMNS if name != "completion"],
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_table(arrow)
        writer.add_key_value_metadata({STATEMENT: statement})


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
