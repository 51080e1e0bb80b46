"""What lies in a results folder by key, held in memory: records are read once, and new ones as they appear.

A folder under a key never changes, so that a record is read again only when its folder went and came back. Only
`record.json` is read, never a checkpoint. 70,000 records take a few seconds, before the first page is served.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tuition.app.dashboard.data.files import KEY, Unreadable, folders, stamp
from tuition.benchmarks.artefacts import RECORD_FILE, artefact_folder, read_bytes
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import read_score
from tuition.planner.cost import Price
from tuition.runners.store.block_record import BlockRecord, read_record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
    """What pages show of a block, and no more: 70,000 whole records would fill the memory.

    `parent` and `teacher` are keys of blocks or hashes of base weights.
    """

    key: str
    stage: str
    index: int
    model: str
    run_seed: int
    parent: str
    teacher: str | None
    weights: str
    price: Price
    labels_new: int
    labels_pool: int
    steps: int
    used: Price | None = None
    """Of `price`, what was used of the devices."""

    @property
    def name(self) -> str:
        """Stage and place in it: "opd[1]"."""
        return f"{self.stage}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a score came about, but for the model: scores of one protocol can be compared."""

    suite: str
    decoding: str
    settings: str
    num_samples: int
    sampling_seed: int
    engine: str
    grader: str

    @property
    def name(self) -> str:
        """As it is offered."""
        return f"{self.suite} ({self.decoding}, {self.num_samples} samples, seed {self.sampling_seed})"


@dataclass(frozen=True, slots=True)
class StoredScore:
    """A score of a model's weights."""

    key: str
    weights: str
    protocol: Protocol
    gpu_seconds: float


@dataclass(frozen=True)
class Found(Generic[T]):
    """All items by key, what could not be read, and a number that rises with every change."""

    items: Mapping[str, T]
    unreadable: tuple[Unreadable, ...]
    version: int


class Index(Generic[T]):
    """The records under `root/<2 hex>/<key>/`. Safe for several threads.

    Args:
        root: the store's or the scores' folder.
        parse: makes an item of a record's content and its key; ValueError, KeyError or TypeError for a damaged one.
    """

    def __init__(self, root: Path, parse: Callable[[bytes, str], T]):
        self._root, self._parse = root, parse
        self._lock = threading.Lock()
        self._stamps: dict[str, int] = {}
        self._found: dict[str, dict[str, T | Unreadable]] = {}
        self._all: Found[T] = Found({}, (), 0)

    def refresh(self) -> Found[T]:
        """All items as they are now; waits for the first reading."""
        with self._lock:
            now = {prefix.name: stamp(prefix)[0] for prefix in folders(self._root) if len(prefix.name) == 2}
            changed = [name for name in now if self._stamps.get(name) != now[name]]
            gone = self._found.keys() - now.keys()
            for name in gone:
                del self._found[name]
            for name in changed:
                before = self._found.get(name, {})
                keys = [f.name for f in folders(self._root / name) if KEY.fullmatch(f.name)]
                # A damaged item is read again: it may have been moved aside and rebuilt.
                self._found[name] = {
                    key: before[key] if key in before and not isinstance(before[key], Unreadable) else self._read(key)
                    for key in keys
                }
            if changed or gone:
                found = [pair for part in self._found.values() for pair in part.items()]
                self._all = Found(
                    {key: item for key, item in found if not isinstance(item, Unreadable)},
                    tuple(item for _, item in found if isinstance(item, Unreadable)),
                    self._all.version + 1,
                )
            self._stamps = now
            return self._all

    def _read(self, key: str) -> T | Unreadable:
        try:
            return self._parse(read_bytes(self._root / key[:2] / key / RECORD_FILE), key)
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else one_line(error) or type(error).__name__
            return Unreadable(f"{self._root.name}/{key[:2]}/{key[:12]}…/{RECORD_FILE}", reason)


def blocks(results: Path) -> Index[Block]:
    """The index of a results folder's blocks."""
    return Index(ResultsFolder(results).store, _block)


def scores(results: Path) -> Index[StoredScore]:
    """The index of a results folder's scores."""
    protocols: dict[Protocol, Protocol] = {}

    def parse(content: bytes, key: str) -> StoredScore:
        record = read_score(content, key)
        made = record.score_key
        protocol = Protocol(
            made.suite, str(made.decoding.get("name") or f"temperature {made.decoding.get('temperature')}"),
            json.dumps(made.decoding, sort_keys=True), made.num_samples, made.sampling_seed, made.engine, made.grader,
        )  # fmt: skip
        shared = protocols.setdefault(protocol, protocol)  # one for all: there are few, and 70,000 scores
        return StoredScore(key, made.weights_sha256, shared, record.gpu_seconds or 0.0)

    return Index(ResultsFolder(results).scores, parse)


def block_record(results: Path, key: str) -> BlockRecord:
    """The whole record of a block; ValueError or OSError where it cannot be read."""
    return read_record(read_bytes(artefact_folder(ResultsFolder(results).store, key) / RECORD_FILE), key)


def _block(content: bytes, key: str) -> Block:
    record = read_record(content, key)
    return Block(
        key, record.stage, record.index, record.model, record.run_seed, record.parent, record.teacher,
        record.weights_sha256, record.price, record.labels_new, record.labels_pool, record.steps,
        record.used,
    )  # fmt: skip


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value
