"""Leases: which blocks the routes that are being run now stand on, so that an eviction beside them leaves those alone.

    store/leases/<host>-<process>-<random>.json    the keys, valid as long as somebody holds the lock of that name

A route takes its lease before it looks at the store, an eviction reads all leases before it removes anything, and both
do so under one lock: no block can go between a route's look at it and its use. The kernel frees a dead owner's lock.
"""

import json
import os
import platform
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tuition.benchmarks.artefacts import write_text
from tuition.runners.locks import is_held
from tuition.runners.store.block_store import StoreError

EVICTION_LOCK = "eviction.lock"


class Leases:
    """The leases of one store, in their own folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    @contextmanager
    def hold(self, keys: Collection[str]) -> Iterator[None]:
        """Keep blocks (stored or still to be trained) from eviction for the length of a `with`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lease = self.folder / f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.json"
        with FileLock(lease.with_suffix(".lock")):
            try:
                with self.no_changes():
                    write_text(lease, json.dumps(sorted(keys)))
                yield
            finally:
                lease.unlink(missing_ok=True)
        lease.with_suffix(".lock").unlink(missing_ok=True)

    @contextmanager
    def no_changes(self) -> Iterator[None]:
        """While held, no route can take a lease: what `keys` says stays true."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / EVICTION_LOCK):
            yield

    def keys(self) -> set[str]:
        """Keys of all blocks under lease. StoreError for a lease in force that cannot be read."""
        held: set[str] = set()
        for lease in self.folder.glob("*.json"):
            lock = lease.with_suffix(".lock")
            if not is_held(lock):  # its owner was killed
                lease.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
                continue
            try:
                held |= {str(key) for key in json.loads(lease.read_text(encoding="utf-8"))}
            except FileNotFoundError:
                continue  # it ended just now
            except (OSError, ValueError, TypeError) as error:
                raise StoreError(
                    f"{lease} cannot be read ({error!r}), so nothing is evicted: stop the search that owns it, then "
                    "rerun its command to resume"
                ) from None
        return held
