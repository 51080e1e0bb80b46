"""Reading a results folder that others write to: nothing is changed, and what is damaged is named, not raised.

Simplified: a file is believed to be the same while its size and its time of change are; results appear by renames, so a
file that is there is whole, and a half-written one is a damaged one.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from tuition.benchmarks.artefacts import FileError
from tuition.benchmarks.one_line import one_line

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
KEY = re.compile(r"[0-9a-f]{64}")
SQLITE_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be used; the rest is shown without it."""

    path: str
    reason: str


def stamp(path: Path) -> tuple[int, int]:
    """(time of change in ns, bytes) of a file; (0, 0) where there is none. What a cached reading of it is known by."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """A SQLite file, opened for reading only. FileError for one that cannot be read."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=SQLITE_WAIT_SECONDS)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise FileError(f"is not a readable database ({one_line(error)})") from None


def folders(parent: Path) -> list[Path]:
    """Subfolders whose names could be ours, in order; links are skipped, because they may lead out of the results."""
    try:
        with os.scandir(parent) as entries:
            names = [e.name for e in entries if NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [parent / name for name in sorted(names)]


def keys(parent: Path) -> list[str]:
    """Keys of the artefacts in `parent/<2 hex>/<key>/`; links are skipped."""
    found: list[str] = []
    for prefix in folders(parent):
        if re.fullmatch(r"[0-9a-f]{2}", prefix.name):
            with os.scandir(prefix) as entries:
                found += [e.name for e in entries if KEY.fullmatch(e.name) and not e.is_symlink()]
    return found


def last_lines(path: Path, count: int, max_bytes: int = 256 << 10) -> list[str]:
    """The last lines of a text file, each cut at 2,000 letters; [] where there is none or it is a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(0, size - max_bytes))
        text = file.read(max_bytes).decode("utf-8", "replace")
    lines = text.splitlines()
    return [line[:2000] for line in (lines[1:] if size > max_bytes else lines)[-count:]]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows, each by column name."""
    return [{str(name): cell for name, cell in row.items()} for row in frame.to_dict("records")]
