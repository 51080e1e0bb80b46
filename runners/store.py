"""The store of blocks: a folder that exists is whole, and nothing damaged is ever used.

    store/<2 hex>/<key>/   model/, optimizer state, train.parquet (curves), record.json (written last)

A block appears by one atomic rename. Its checksums are verified once per process; a damaged block is moved aside,
named in a warning, and trained again. Two processes that want one block: one trains, the other waits on its lock.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.records import file_sha256, move_aside, publish_folder
from planner.cost import CheckpointState
from runners.checkpoint import SCALARS, TENSORS

FORMAT = 1
RECORD = "record.json"


class StoreError(ValueError):
    """A store that cannot be used; one line with the path and the fix."""


class BlockStore:
    """Trained blocks by key."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._verified: set[str] = set()

    def path(self, key: str) -> Path:
        """Where a block lies, or would lie."""
        return self.folder / key[:2] / key

    def model(self, key: str) -> Path:
        """The checkpoint folder of a block."""
        return self.path(key) / "model"

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a block's lock; the kernel frees it when its owner dies."""
        locks = self.folder / "locks"
        locks.mkdir(exist_ok=True)
        with FileLock(locks / f"{key}.lock"):
            yield

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
            version = record["format"]
            record["weights_sha256"], record["files"]
        except FileNotFoundError:
            # Looked at in this order, because another process may publish the block between our two looks.
            if self.path(key).exists() and not file.exists():
                self._set_aside(key, f"{RECORD} is missing")
            return None
        except (ValueError, KeyError, TypeError) as error:
            self._set_aside(key, f"{RECORD} is unreadable ({error!r})")
            return None
        if version > FORMAT:
            raise StoreError(f"{file} was written by a newer version (format {version} > {FORMAT}): update Tuition")
        return dict(record)

    def _damage(self, key: str, record: dict[str, Any]) -> str | None:
        for name, sha256 in record["files"].items():
            file = self.path(key) / name
            try:
                if file_sha256(file) != sha256:
                    return f"{name} does not match its checksum"
            except FileNotFoundError:
                # Optimizer state may have been dropped on purpose, even just now: the block is then only evaluable.
                if name not in (TENSORS, SCALARS):
                    return f"{name} is missing"
        return None

    def _set_aside(self, key: str, reason: str) -> None:
        with suppress(FileNotFoundError):  # another process was faster
            move_aside(self.path(key), reason)

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
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            checksums = {p.relative_to(folder).as_posix(): file_sha256(p) for p in files}
            document = {"format": FORMAT, "key": key, **record, "files": checksums}
            (folder / RECORD).write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
        self._verified.add(key)

    def drop_optimizer(self, key: str) -> None:
        """Make a block evaluable only. Scalars go first: without them the state is not believed."""
        for name in (SCALARS, TENSORS):
            (self.path(key) / name).unlink(missing_ok=True)

    def records(self) -> list[dict[str, Any]]:
        """Records of all blocks, without verifying their checksums."""
        keys = [p.name for p in sorted(self.folder.glob("[0-9a-f][0-9a-f]/*")) if not p.name.startswith(".")]
        return [record for key in keys if (record := self._read(key)) is not None]

    def size_bytes(self, key: str) -> int:
        """Bytes of a block on disk."""
        return sum(p.stat().st_size for p in self.path(key).rglob("*") if p.is_file())
