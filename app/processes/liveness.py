"""Which processes that work on a study are alive: each holds a file lock that the kernel frees when it dies."""

import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tuition.runners.locks import is_held


def process_name() -> str:
    """A new name for this process: its host, its number and random digits."""
    return f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"


def is_here(name: str) -> bool:
    """Whether the process of that name runs, or ran, on this host."""
    return name.startswith(f"{platform.node()}-")


@contextmanager
def alive(folder: Path) -> Iterator[str]:
    """Hold the lock of this process; yields its name, which other processes can ask `is_alive` for."""
    folder.mkdir(parents=True, exist_ok=True)
    name = process_name()
    path = folder / f"{name}.lock"
    with FileLock(path):
        yield name
    path.unlink(missing_ok=True)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of that name still holds its lock. Of another host's process nothing is known: alive."""
    if not is_here(name):
        return True
    path = folder / f"{name}.lock"
    return path.exists() and is_held(path)
