"""`tuition store list|verify|prune`: what is stored, whether it is whole, and what may go.

`tuition search --max-store` prunes its own store after every trial (`StoreLimit`); the blocks of routes that are
being run are under lease meanwhile.

Simplified: `prune` waits for no search: it refuses while one runs. Sizes are those of files, not of disk blocks.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
from filelock import Timeout

from tuition.app.studies.study_report import read_report
from tuition.benchmarks.artefacts import FileError, RecordError, RecordFormatError, move_aside
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.planner.cost import CheckpointState
from tuition.runners.locks import is_held
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore, StoreError, bytes_under, scan
from tuition.runners.store.eviction import (
    Eviction,
    Part,
    StoredBlock,
    choose_evictions,
    gpu_seconds_at_stake,
)
from tuition.runners.store.leases import Leases
from tuition.runners.store.rollouts import read_rollouts_record

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
# What `publish_folder`, `move_aside` and `BlockStore.evict` leave when their process is killed.
LEFTOVER = re.compile(r"\.(?P<kind>partial|retired|damaged|evicted)-(?P<name>.+?)(-(?P<pid>[0-9]+))?-[0-9a-f]{8}")


class StoreBusyError(RuntimeError):
    """Somebody works with the store; one line with who, and what to do."""


@dataclass(frozen=True)
class Leftover:
    """A folder that a killed writer has left, or a damaged one that was moved aside. `in_store`: not a score's."""

    path: Path
    freed_bytes: int
    in_store: bool


@dataclass(frozen=True)
class PrunePlan:
    """What `prune` would remove, in order. `store_bytes` is the store's size now, with what killed writers left."""

    limit_bytes: int
    store_bytes: int
    leftovers: tuple[Leftover, ...]
    evictions: tuple[Eviction, ...]
    blocks: dict[str, BlockRecord]
    finalists: int
    in_use: tuple[str, ...]

    @property
    def bytes_after(self) -> int:
        """The store's size when all of it is done."""
        gone = sum(leftover.freed_bytes for leftover in self.leftovers if leftover.in_store)
        return self.store_bytes - gone - sum(step.freed_bytes for step in self.evictions)

    def document(self) -> dict[str, Any]:
        """All of it as JSON values."""
        described = [
            {**asdict(step), **self.blocks[step.key].model_dump(include={"stage", "index", "model", "run_seed"})}
            for step in self.evictions
        ]
        return {
            "limit_bytes": self.limit_bytes,
            "bytes_before": self.store_bytes,
            "bytes_after": self.bytes_after,
            "within_limit": self.bytes_after <= self.limit_bytes,
            "gpu_seconds_at_stake": round(gpu_seconds_at_stake(self.evictions), 3),
            "evictions": described,
            "leftovers": [{"path": str(left.path), "freed_bytes": left.freed_bytes} for left in self.leftovers],
            "kept_for_finalists": self.finalists,
            "in_use": list(self.in_use),
        }


def parse_size(text: str) -> int:
    """Bytes of a size like "500MB", "1.5 GB" or "20000" (units of a thousand); StoreError for anything else."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in UNITS:
        raise StoreError(f"size {text!r}: give bytes, or a number with KB, MB, GB or TB, such as 500MB or 20GB")
    return int(Decimal(match[1]) * UNITS[match[2].upper()])


def find_store(results: Path) -> BlockStore | None:
    """The store of a results folder; None when there is none."""
    folder = ResultsFolder(results).store
    return BlockStore(folder) if folder.is_dir() else None


def open_store(results: Path) -> BlockStore:
    """The store of a results folder; StoreError when there is none."""
    store = find_store(results)
    if store is None:
        raise StoreError(f"no store in {results}: run a search first, or choose another folder with --results")
    return store


def _listed(store: BlockStore) -> list[BlockRecord]:
    """All blocks, oldest first; StoreError for a damaged one, which is left where it is."""
    records = [record for key in store.block_keys() if (record := store.look_at(key)) is not None]
    return sorted(records, key=lambda record: (record.finished, record.key))


LISTED = {"key", "stage", "index", "model", "run_seed", "gpu_seconds", "gpu_seconds_used", "finished"}


def list_store(results: Path) -> dict[str, Any]:
    """All blocks of a results folder, oldest first. Checksums are not looked at: `verify_store` does."""
    store = open_store(results)
    blocks = []
    for block in _listed(store):
        total_bytes, optimizer_bytes = store.sizes(block.key)
        state = CheckpointState.resumable if optimizer_bytes else CheckpointState.evaluable
        described = block.model_dump(include=LISTED)
        blocks.append({**described, "bytes": total_bytes, "state": str(state)})
    return {"blocks": blocks, "bytes": sum(block["bytes"] for block in blocks)}


def verify_store(results: Path) -> dict[str, Any]:
    """Check every block, rollout and score of a results folder; the damaged ones are moved aside and named.

    Blocks: checksums, and that parent and teacher still have the weights that the block was trained from. Blocks that
    somebody holds now are not checked, and named as well.
    """
    store = open_store(results)
    keys, busy = store.block_keys(), []
    for key in keys:
        try:
            with store.lock(key, timeout=0):
                store.record(key)
        except Timeout:
            busy.append(key)
    damaged = [{"kind": "block", "key": key, "reason": reason} for key, reason in store.set_aside.items()]
    checked = {"blocks": len(keys) - len(busy)}
    folders = ResultsFolder(results)
    artefacts = sorted(path for path in folders.rollouts.glob("[0-9a-f][0-9a-f]/*") if path.name[0] != ".")
    for artefact in artefacts:
        reason = _rollouts_damage(artefact)
        if reason is not None:
            move_aside(artefact, reason)
            damaged.append({"kind": "rollouts", "key": artefact.name, "reason": reason})
    checked["rollouts"] = len(artefacts)
    scores = ScoreStore(folders.scores)
    keys = scores.score_keys()
    for key in keys:
        try:
            scores.check(key)
        except RecordError as error:
            move_aside(scores.path(key), str(error))
            damaged.append({"kind": "scores", "key": key, "reason": str(error)})
    checked["scores"] = len(keys)
    return {"checked": checked, "damaged": damaged, "in_use": busy}


def _rollouts_damage(folder: Path) -> str | None:
    try:
        read_rollouts_record(folder)
    except RecordFormatError as error:
        raise StoreError(str(error)) from None
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError) as error:
        return str(error)
    return None


def plan_prune(results: Path, limit_bytes: int, keep: Collection[str] = ()) -> PrunePlan:
    """What must go so that the store holds at most `limit_bytes`. Removes nothing.

    Blocks of a route that any study of the results folder has tested stay, and so do those of routes that are being
    run, blocks that are in use, with what these are trained from, and those whose keys are in `keep`.
    """
    store = open_store(results)
    listed = {block.key: block for block in _listed(store)}
    in_use, finalists = store.in_use(), finalist_blocks(results) & listed.keys()
    needed = {
        ancestor
        for key in in_use & listed.keys()
        for ancestor in (listed[key].parent, listed[key].teacher, listed[key].stage_start)
        if ancestor is not None
    }
    leftovers = tuple(_leftovers(results, in_use))
    sizes = {key: store.sizes(key) for key in listed}
    # The blocks are counted already: only what lies beside them is looked for.
    block_folders = {f"{store.folder}/{key[:2]}/{key}" for key in listed}
    store_bytes = sum(size.total_bytes for size in sizes.values()) + bytes_under(store.folder, block_folders)
    kept_bytes = store_bytes - sum(leftover.freed_bytes for leftover in leftovers if leftover.in_store)
    blocks = [
        StoredBlock(key, block.gpu_seconds, block.finished, total_bytes - optimizer_bytes, optimizer_bytes)
        for key, block in listed.items()
        for total_bytes, optimizer_bytes in (sizes[key],)
    ]
    protected = finalists | in_use | needed | Leases(ResultsFolder(results).leases).keys() | set(keep)
    evictions = choose_evictions(blocks, protected, kept_bytes - limit_bytes)
    busy = tuple(sorted(in_use & listed.keys()))
    return PrunePlan(limit_bytes, store_bytes, leftovers, evictions, listed, len(finalists), busy)


def finalist_blocks(results: Path) -> set[str]:
    """Keys of all blocks behind the tested routes of all studies; StoreError when a tested study does not tell them."""
    keys: set[str] = set()
    for folder in ResultsFolder(results).study_folders():
        try:
            test = read_report(folder.report).test
        except FileNotFoundError:
            test = None
        except FileError as error:
            raise StoreError(
                f"{folder.report} is damaged ({error}), so the blocks of its finalists are unknown and nothing is "
                "pruned: rerun its search, which trains nothing and rewrites the report"
            ) from None
        if test is not None:
            keys |= {key for runs in test.runs.values() for run in runs for key in run.blocks}
        elif folder.leaderboard.exists():
            raise StoreError(
                f"{folder.path} was tested but its report.json does not name the finalists' blocks, so nothing is "
                "pruned: rerun its search with its --test-seeds, which trains nothing and rewrites the report"
            )
    return keys


def refuse_while_training(results: Path) -> None:
    """StoreBusyError when a search of the results folder runs, or a block is being trained in its store."""
    store = open_store(results)
    studies = ResultsFolder(results).study_folders()
    searching = [study.name for study in studies if any(map(is_held, study.workers.glob("*.lock")))]
    training = sorted(store.in_use() - set(store.block_keys()))
    who = [f"study {name} is searching" for name in searching] + [
        f"block {key[:12]} is being trained" for key in training
    ]
    if who:
        raise StoreBusyError(
            f"nothing was pruned, because {', '.join(who)} in {results}: wait until it is done, or stop it (Ctrl-C), "
            "prune, and rerun its command to resume"
        )


def _leftovers(results: Path, in_use: set[str]) -> Iterator[Leftover]:
    """Folders of dead writers. A partial one names its writer; a retired or evicted one had its block's lock."""
    folders = ResultsFolder(results)
    for parent in (folders.store, folders.rollouts, folders.scores):
        prefixes = [entry for entry in scan(parent) if re.fullmatch("[0-9a-f]{2}", entry.name)]
        for entry in (entry for prefix in prefixes if not prefix.is_symlink() for entry in scan(prefix)):
            match = LEFTOVER.fullmatch(entry.name)
            if match is None or not entry.is_dir(follow_symlinks=False):
                continue
            if match["name"] in in_use or (match["kind"] == "partial" and psutil.pid_exists(int(match["pid"] or 0))):
                continue
            yield Leftover(Path(entry.path), bytes_under(entry), parent != folders.scores)


def prune(results: Path, plan: PrunePlan) -> dict[str, Any]:
    """Remove what was planned; a JSON-able account. Blocks in use or tested since are skipped and named."""
    refuse_while_training(results)
    store, leases = open_store(results), Leases(ResultsFolder(results).leases)
    with leases.no_changes():
        # Asked again: a search may have come and gone while the question stood.
        skipped = _remove(store, plan, finalist_blocks(results) | leases.keys())
    left = bytes_under(store.folder)
    account = {"bytes_after": left, "within_limit": left <= plan.limit_bytes, "skipped": skipped}
    return {**plan.document(), **account}


class StoreLimit:
    """Holds a store within its limit while searches run.

    After every route the store is asked for its size. Its blocks are thousands of folders, so one that has been
    measured is measured again only when files have come to it or gone: nobody writes into a block that is stored.
    """

    def __init__(self, results: Path, limit_bytes: int):
        self.results, self.limit_bytes = results, limit_bytes
        self._measured: dict[str, tuple[tuple[int, int], int]] = {}

    def hold(self, keep: Collection[str]) -> PrunePlan | None:
        """Bring the store down to its limit; None when it is within it. `keep` stays, as do leases."""
        store, leases = open_store(self.results), Leases(ResultsFolder(self.results).leases)
        if self.store_bytes(store) <= self.limit_bytes:
            return None
        with leases.no_changes():
            store.records()  # moves what is damaged aside: it must not end a search
            plan = plan_prune(self.results, self.limit_bytes, keep)
            _remove(store, plan, ())
        return plan

    def store_bytes(self, store: BlockStore) -> int:
        """Bytes of all files in the store."""
        before, self._measured = self._measured, {}
        for key in store.block_keys():
            folder = str(store.path(key))
            with suppress(FileNotFoundError):  # evicted meanwhile
                state = os.lstat(folder)
                seen = (state.st_ino, state.st_mtime_ns)
                known = before.get(folder)
                size = known[1] if known is not None and known[0] == seen else bytes_under(folder)
                self._measured[folder] = (seen, size)
        return sum(size for _, size in self._measured.values()) + bytes_under(store.folder, self._measured.keys())


def _remove(store: BlockStore, plan: PrunePlan, keep: Collection[str]) -> list[str]:
    """Carry out a plan but for the blocks to `keep`; returns the keys of blocks that were skipped."""
    for leftover in plan.leftovers:
        with suppress(FileNotFoundError):  # another prune was faster
            shutil.rmtree(leftover.path)
    skipped = {step.key for step in plan.evictions if step.key in keep}
    for step in (step for step in plan.evictions if step.key not in keep):
        try:
            with store.lock(step.key, timeout=0), suppress(FileNotFoundError):
                store.drop_optimizer(step.key) if step.part is Part.optimizer else store.evict(step.key)
        except Timeout:
            skipped.add(step.key)
    return sorted(skipped)
