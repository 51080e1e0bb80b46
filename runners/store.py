"""The store of blocks: a folder that exists is whole, and nothing damaged is ever used.

    store/<2 hex>/<key>/   model/, optimizer state, train.parquet (curves), record.json (written last)

A block appears by one atomic rename. Its checksums are verified once per process; a damaged block is moved aside,
named in a warning, and trained again. Two processes that want one block: one trains, the other waits on its lock.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from benchmarks.records import artefact_folder, file_sha256, move_aside, publish_folder
from planner.cost import CheckpointState
from runners.checkpoint import SCALARS, TENSORS

FORMAT = 1
RECORD = "record.json"
LOCK = ".lock"
CHECKSUM = "record_sha256"  # blocks of before it was introduced have none


class StoreError(ValueError):
    """A store that cannot be used; one line with the path and the fix."""


class Sizes(NamedTuple):
    """Bytes of a block's files. `optimizer_bytes` is 0 when its optimizer state was dropped, wholly or in part."""

    total_bytes: int
    optimizer_bytes: int


class BlockStore:
    """Trained blocks by key."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._locks = folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        self._verified: set[str] = set()
        self.set_aside: dict[str, str] = {}
        """Blocks that this object has found damaged and moved aside, with the reasons."""

    def path(self, key: str) -> Path:
        """Where a block lies, or would lie; RecordError for what is no key, or a link out of the store."""
        return artefact_folder(self.folder, key)

    def model(self, key: str) -> Path:
        """The checkpoint folder of a block."""
        return self.path(key) / "model"

    @contextmanager
    def lock(self, key: str, timeout: float = -1) -> Iterator[None]:
        """Hold a block's lock; the kernel frees it when its owner dies.

        Waits up to `timeout` seconds (negative: for ever) and then raises filelock.Timeout; RecordError for no key.
        """
        self.path(key)
        self._locks.mkdir(exist_ok=True)
        with FileLock(self._locks / f"{key}{LOCK}", timeout=timeout):
            yield

    def in_use(self) -> set[str]:
        """Keys of the blocks whose lock somebody holds now, stored or still being trained."""
        names = os.listdir(self._locks) if self._locks.is_dir() else []
        return {name[: -len(LOCK)] for name in names if name.endswith(LOCK) and is_held(self._locks / name)}

    def record(self, key: str) -> dict[str, Any] | None:
        """The verified record of a block, or None when the block is absent, damaged or descends from another parent.

        Raises StoreError for a block that a newer version of Tuition wrote.
        """
        record = self._read(key)
        if record is None:
            return None
        if key not in self._verified:
            damage = self._damage(key, record)
            if damage is not None:
                self._set_aside(key, damage)
                return None
            self._verified.add(key)
        for role in ("parent", "teacher"):
            ancestor = str(record.get(role) or "")
            other = self._read(ancestor) if ancestor else None
            # Weights are recorded because a key names only the recipe: retrained elsewhere, they may differ.
            if other is not None and other["weights_sha256"] != record[f"{role}_weights_sha256"]:
                self._set_aside(key, f"its {role} {ancestor[:12]} was retrained to other weights")
                return None
        return record

    def _read(self, key: str) -> dict[str, Any] | None:
        file = self.path(key) / RECORD
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            version = int(record["format"])
            if record["key"] != key:
                raise ValueError(f"it names another block, {record['key']!r}")
            if version <= FORMAT:
                _check(record)
        except FileNotFoundError:
            # Looked at in this order, because another process may publish the block between our two looks.
            if self.path(key).exists() and not file.exists():
                self._set_aside(key, f"{RECORD} is missing")
            return None
        except (
            ValueError, KeyError, TypeError, OverflowError, RecursionError, IsADirectoryError, NotADirectoryError
        ) as error:  # fmt: skip
            self._set_aside(key, f"{RECORD} is unreadable ({error!r})")
            return None
        if version > FORMAT:
            raise StoreError(f"{file} was written by a newer version (format {version} > {FORMAT}): update Tuition")
        return dict(record)

    def _damage(self, key: str, record: dict[str, Any]) -> str | None:
        if record.get(CHECKSUM, _checksum(record)) != _checksum(record):
            return f"{RECORD} does not match its own checksum"
        # A file that nobody vouches for might be loaded all the same: code, pickled weights, another shard.
        unknown = _files(self.path(key)) - record["files"].keys() - {RECORD}
        if unknown:
            return f"{min(unknown)} is not in its list of files"
        for name, sha256 in record["files"].items():
            file = self.path(key) / name
            try:
                if file_sha256(file) != sha256:
                    return f"{name} does not match its checksum"
            except FileNotFoundError:
                # Optimizer state may have been dropped on purpose, even just now: the block is then only evaluable.
                if name not in (TENSORS, SCALARS):
                    return f"{name} is missing"
            except (IsADirectoryError, NotADirectoryError):
                return f"{name} is not a file"
        return None

    def _set_aside(self, key: str, reason: str) -> None:
        with suppress(FileNotFoundError):  # another process was faster
            move_aside(self.path(key), reason)
            self.set_aside[key] = reason

    def state(self, key: str) -> CheckpointState:
        """Whether a block is absent, evaluable (weights) or also resumable (optimizer and scheduler)."""
        if self.record(key) is None:
            return CheckpointState.absent
        resumable = all((self.path(key) / name).exists() for name in (TENSORS, SCALARS))
        return CheckpointState.resumable if resumable else CheckpointState.evaluable

    @contextmanager
    def publish(self, key: str, record: dict[str, Any]) -> Iterator[Path]:
        """A folder to write a block into; `record` is completed with checksums and written last."""
        # What is there already was trained again only because its optimizer state had been dropped.
        with publish_folder(self.path(key), replace=True) as folder:
            yield folder
            checksums = {name: file_sha256(folder / name) for name in sorted(_files(folder))}
            document = {"format": FORMAT, "key": key, **record, "files": checksums}
            document[CHECKSUM] = _checksum(document)
            (folder / RECORD).write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
        self._verified.add(key)

    def drop_optimizer(self, key: str) -> None:
        """Make a block evaluable only. Scalars go first: without them the state is not believed."""
        for name in (SCALARS, TENSORS):
            (self.path(key) / name).unlink(missing_ok=True)

    def evict(self, key: str) -> None:
        """Remove a block. It is gone at once, by a rename, whatever happens to the removal of its files."""
        evicted = self.path(key).with_name(f".evicted-{key}-{secrets.token_hex(4)}")
        os.rename(self.path(key), evicted)
        self._verified.discard(key)
        shutil.rmtree(evicted)

    def block_keys(self) -> list[str]:
        """Keys of all blocks, whole or damaged. Links are passed over: what they point at is not the store's."""
        return sorted(
            block.name
            for prefix in scan(self.folder)
            if re.fullmatch(r"[0-9a-f]{2}", prefix.name) and not prefix.is_symlink()
            for block in scan(prefix)
            if re.fullmatch(r"[0-9a-f]{64}", block.name) and not block.is_symlink()
        )

    def records(self) -> list[dict[str, Any]]:
        """Records of all blocks, without verifying their checksums."""
        return [record for key in self.block_keys() if (record := self._read(key)) is not None]

    def sizes(self, key: str) -> Sizes:
        """Bytes of a block on disk, of which of its optimizer state; links are not followed."""
        folder = self.path(key)
        total = bytes_under(folder)
        try:
            return Sizes(total, sum(os.lstat(f"{folder}/{name}").st_size for name in (TENSORS, SCALARS)))
        except (FileNotFoundError, NotADirectoryError):
            return Sizes(total, 0)


def scan(folder: os.DirEntry[str] | Path | str) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where there is no folder, or no longer: another process may evict beside us."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def bytes_under(folder: os.DirEntry[str] | Path | str, without: Collection[str] = ()) -> int:
    """Bytes of all files in a folder and below. Folders whose paths are in `without` count nothing."""
    total = 0
    for entry in scan(folder):
        if entry.is_dir(follow_symlinks=False):
            total += bytes_under(entry, without) if entry.path not in without else 0
        else:
            with suppress(FileNotFoundError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _files(folder: Path) -> set[str]:
    # os.walk passes over what vanishes meanwhile, when another process evicts the block.
    return {(Path(top) / name).relative_to(folder).as_posix() for top, _, names in os.walk(folder) for name in names}


def _checksum(record: dict[str, Any]) -> str:
    """SHA-256 of a record without its checksum."""
    content = {name: value for name, value in record.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check(record: dict[str, Any]) -> None:
    """ValueError, KeyError or TypeError where a record lacks what the store itself reads, or would lead out of it."""
    if not isinstance(record["weights_sha256"], str) or not isinstance(record["files"], dict):
        raise TypeError("weights_sha256 or files is of the wrong type")
    for name in record["files"]:
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise ValueError(f"file {name[:80]!r} lies outside of the block")
    for role in ("parent", "teacher"):
        ancestor = record.get(role)
        if ancestor is not None and not re.fullmatch(r"[0-9a-f]{64}", ancestor):
            raise ValueError(f"{role} {str(ancestor)[:80]!r} is not 64 hex digits")
        if ancestor is not None and not isinstance(record[f"{role}_weights_sha256"], str):
            raise TypeError(f"{role}_weights_sha256 is of the wrong type")


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
