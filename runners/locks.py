"""Lock files of other processes: the kernel frees them when their process dies."""

import errno
import fcntl
import os
from pathlib import Path

from filelock import FileLock, Timeout


def is_held(lock: Path) -> bool:
    """Whether a process holds this lock file now. Nobody holds what is not there."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        # Shared, and at once given back: two processes that ask do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return True
        if error.errno != errno.ENOSYS:
            raise
    finally:
        os.close(descriptor)
    try:  # A file system without kernel locks, where FileLock makes do with the file itself.
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
