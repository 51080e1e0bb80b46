"""Failures of the machine, told from failures of what is trained: a disk, memory, a killed process, a database.

They say nothing of a route, so they count as no trial. Simplified: libraries that put the system's words into an error
of their own are known by these words.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tuition.benchmarks.one_line import one_line
from tuition.planner.error_lines import named_line
from tuition.planner.searching.trial_loop import MachineError
from tuition.planner.storage import DATABASE_ERRORS, database_line
from tuition.runners.labels import LedgerError

SPACE, WRITABLE = "free disk space", "make the file system writable, or choose another folder with --results"
PERMISSIONS = "fix the permissions, or choose another folder with --results"
MEMORY = "free memory, or see what `tuition doctor --scenario` says reduces it"
DEVICE = "see that the devices work (`tuition doctor`)"
FIXES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: "free disk space or raise the quota",
    errno.EROFS: WRITABLE,
    errno.EACCES: PERMISSIONS,
    errno.EPERM: PERMISSIONS,
    errno.ENOMEM: MEMORY,
    errno.EIO: "see that the disk works",
    errno.EMFILE: "raise the number of open files (ulimit -n)",
}
WORDS = {
    "no space left on device": SPACE,
    "disk quota exceeded": FIXES[errno.EDQUOT],
    "read-only file system": WRITABLE,
    "file write failed": SPACE,  # torch's writer
    "out of memory": MEMORY,
    "allocate memory": MEMORY,
    "the device's memory": MEMORY,
    "sigkill": MEMORY,
    "the grading worker did not start": MEMORY,
    "sigbus": "free disk space and memory",
    "cuda error": DEVICE,
    "nccl error": DEVICE,
}


def machine_failure(error: BaseException) -> str | None:
    """The trouble and its fix in one line; None where it is not, or not known to be, the machine's."""
    ours = type(error).__module__.partition(".")[0] == "tuition"  # then its message says the fix
    for cause in _causes(error):
        if isinstance(cause, LedgerError | MachineError):
            return one_line(cause)
        if isinstance(cause, OSError) and cause.errno is not None and (cause is error or cause.errno in FIXES):
            where = f": {cause.filename}" if cause.filename else ""
            return f"{one_line(cause.strerror)}{where}: {FIXES.get(cause.errno, 'see to it')}"
        if isinstance(cause, (sqlite3.DatabaseError, *DATABASE_ERRORS)):
            return f"a database cannot be used ({one_line(database_line(cause))}): see to it"
        if isinstance(cause, httpx.TransportError):
            return one_line(error) if ours else f"{one_line(named_line(error))}: see that the server runs"
        text = named_line(cause).lower()
        fixes = [fix for words, fix in WORDS.items() if words in text] + [MEMORY] * isinstance(cause, MemoryError)
        if fixes:
            return one_line(error) if ours else f"{one_line(named_line(error))}: {fixes[0]}"
    return None


@contextmanager
def as_machine_errors() -> Iterator[None]:
    """Raise failures of the machine as `MachineError`; others pass."""
    try:
        yield
    except Exception as error:
        if (trouble := machine_failure(error)) is None:
            raise
        raise MachineError(trouble) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__
