"""The store of blocks: a folder that exists is whole, and nothing damaged is ever used.

    store/<2 hex>/<key>/   model/, optimizer state, train.parquet (curves), record.json (written last)

A block appears by one atomic rename. Its checksums are verified once per process; a damaged block is moved aside,
named in a warning, and trained again. Two processes that want one block: one trains, the other waits on its lock.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from tuition.benchmarks.artefacts import (
    RECORD_FILE,
    RecordFormatError,
    artefact_folder,
    file_sha256,
    move_aside,
    publish_folder,
)
from tuition.planner.cost import CheckpointState
from tuition.runners.locks import is_held
from tuition.runners.store.block_record import BlockRecord, is_intact, read_record, record_text
from tuition.runners.training.checkpoint import SCALARS, TENSORS

LOCK = ".lock"


class StoreError(ValueError):
    """A store that cannot be used; one line with the path and the fix."""


class DamagedBlockError(StoreError):
    """A block whose record cannot be read; `reason` says why, without the path."""

    def __init__(self, file: Path, reason: str):
        super().__init__(f"{file}: {reason}; run `tuition store verify` to move it aside")
        self.reason = reason


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

        Waits up to `timeout` seconds (negative: forever) and then raises filelock.Timeout; RecordError for no key.
        """
        self.path(key)
        self._locks.mkdir(exist_ok=True)
        with FileLock(self._locks / f"{key}{LOCK}", timeout=timeout):
            yield

    def in_use(self) -> set[str]:
        """Keys of the blocks whose lock somebody holds now, stored or still being trained."""
        names = os.listdir(self._locks) if self._locks.is_dir() else []
        return {name[: -len(LOCK)] for name in names if name.endswith(LOCK) and is_held(self._locks / name)}

    def record(self, key: str) -> BlockRecord | None:
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
        trained_from = {
            "parent": (record.parent, record.parent_weights_sha256),
            "teacher": (record.teacher, record.teacher_weights_sha256),
        }
        for role, (ancestor, weights_sha256) in trained_from.items():
            other = self._read(ancestor) if ancestor is not None else None
            # Weights are recorded because a key names only the recipe: retrained elsewhere, they may differ.
            if other is not None and other.weights_sha256 != weights_sha256:
                self._set_aside(key, f"its {role} {other.key[:12]} was retrained to different weights")
                return None
        return record

    def look_at(self, key: str) -> BlockRecord | None:
        """The record of a block, not verified and never moved aside; None when the block is absent.

        Raises DamagedBlockError for one that cannot be read, StoreError for one that a newer version wrote.
        """
        file = self.path(key) / RECORD_FILE
        try:
            return read_record(file.read_bytes(), key)
        except FileNotFoundError:
            return None
        except RecordFormatError as error:
            raise StoreError(f"{file} {error}") from None
        except (ValueError, IsADirectoryError, NotADirectoryError) as error:
            raise DamagedBlockError(file, " ".join(str(error).split())) from None

    def _read(self, key: str) -> BlockRecord | None:
        """The record of a block, not verified; None when it is absent or damaged, and then moved aside."""
        try:
            record = self.look_at(key)
        except DamagedBlockError as error:
            self._set_aside(key, f"{RECORD_FILE} is unreadable ({error.reason})")
            return None
        # Looked at in this order, because another process may publish the block between our two looks.
        if record is None and self.path(key).exists() and not (self.path(key) / RECORD_FILE).exists():
            self._set_aside(key, f"{RECORD_FILE} is missing")
        return record

    def _damage(self, key: str, record: BlockRecord) -> str | None:
        try:
            if not is_intact((self.path(key) / RECORD_FILE).read_bytes()):
                return f"{RECORD_FILE} does not match its own checksum"
        except FileNotFoundError:
            return f"{RECORD_FILE} is missing"
        # A file without a checksum might be loaded all the same: code, pickled weights, another shard.
        unknown = _files(self.path(key)) - record.files.keys() - {RECORD_FILE}
        if unknown:
            return f"{min(unknown)} is not in its list of files"
        for name, sha256 in record.files.items():
            file = self.path(key) / name
            try:
                if file_sha256(file) != sha256:
                    return f"{name} does not match its checksum"
            except FileNotFoundError:
                # Optimizer state may have been dropped on purpose, even just now: the block can then only be scored.
                if name not in (TENSORS, SCALARS):
                    return f"{name} is missing"
            except (IsADirectoryError, NotADirectoryError):
                return f"{name} is not a file"
        return None

    def _set_aside(self, key: str, reason: str) -> None:
        with suppress(FileNotFoundError):  # another process was faster
            move_aside(self.path(key), reason)
            self.set_aside[key] = reason

    def damaged_copy(self, key: str) -> Path | None:
        """Where a damaged copy of a block lies that was moved aside, by this process or before; None without one."""
        return next(self.path(key).parent.glob(f".damaged-{key}-*"), None)

    def state(self, key: str) -> CheckpointState:
        """Whether a block is absent, evaluable (weights) or also resumable (optimizer and scheduler)."""
        if self.record(key) is None:
            return CheckpointState.absent
        resumable = all((self.path(key) / name).exists() for name in (TENSORS, SCALARS))
        return CheckpointState.resumable if resumable else CheckpointState.evaluable

    def publish(self, key: str, write: Callable[[Path], BlockRecord]) -> BlockRecord:
        """Store a block: `write` fills a folder and returns its record, which is completed with the files' checksums.

        Returns the record as it is stored.
        """
        # What is there already was trained again only because its optimizer state had been dropped.
        with publish_folder(self.path(key), replace=True) as folder:
            record = write(folder)
            checksums = {name: file_sha256(folder / name) for name in sorted(_files(folder))}
            record = record.model_copy(update={"files": checksums})
            (folder / RECORD_FILE).write_text(record_text(record), encoding="utf-8")
        self._verified.add(key)
        return record

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

    def records(self) -> list[BlockRecord]:
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
