"""Which processes that work on a study are alive: each holds a file lock that the kernel frees when it dies."""

import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from runners.store import is_held


@contextmanager
def alive(folder: Path) -> Iterator[str]:
    """Hold the lock of this process; yields its name, which other processes can ask `is_alive` for."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
    path = folder / f"{name}.lock"
    with FileLock(path):
        yield name
    path.unlink(missing_ok=True)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of that name still holds its lock. Of another host's process nothing is known: alive."""
    if not name.startswith(f"{platform.node()}-"):
        return True
    path = folder / f"{name}.lock"
    return path.exists() and is_held(path)
