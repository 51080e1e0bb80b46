"""What an entry must say by its leaderboard, and what entries must not have in common.

What: `entry_mismatches` is about an entry by itself, without its samples. `cross_mismatches` finds names that a reader
takes for one, one result under two names, a sample file of two runs, blocks of one key with several weights, and prices
far from those of the same work.

Simplified: rows of different suites or decodings are in different tables, and may have one name or checkpoint.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tuition.benchmarks.boards.accounts import account_mismatches, price_mismatches, stages_of
from tuition.benchmarks.boards.entries import PARTIAL, SHORT_ID, MeasuredEntry, RepeatableEntry, TrainingRun
from tuition.benchmarks.boards.outcomes import Mismatch
from tuition.benchmarks.boards.protocol import DeclaredScenario, Protocol
from tuition.benchmarks.boards.row_names import Baselines, name_mismatches, twin_names
from tuition.benchmarks.suites.catalog import GENERATED, SUITES, generated
from tuition.benchmarks.suites.micro import SUITE_VERSION
from tuition.planner.allocation import BASE, Allocation
from tuition.planner.route import derive_seed
from tuition.planner.stages import STAGE

SAMPLING_SEEDS = (derive_seed("score", "test", 0), derive_seed("score", "validation", 0), 0)
"""Of the samples, as a test has it; of a checkpoint by itself also as a validation suite, and as earlier scores."""
ALWAYS_NAMED = ("torch", "transformers")
"""Libraries whose versions every score's record states."""

Listed = tuple[str, MeasuredEntry]
Student = Callable[[MeasuredEntry], str | None]
"""The weights' hash of the untrained student of an entry's scenario; None where it is not known."""


def _unknown(_: MeasuredEntry) -> None:
    return None


@dataclass(frozen=True)
class KnownScenario:
    """What a scenario that is at hand says of its entries.

    Attributes:
        counts: of its labels.
        student: the weights' hash of its untrained student.
        baselines: its baselines that are plain chains of blocks.
        contamination: what its check has found of test problems in what its runs are trained on.
        keys: of an entry's blocks for one training seed.
    """

    counts: DeclaredScenario
    student: str
    baselines: Baselines
    contamination: str
    keys: Callable[[RepeatableEntry, int], tuple[str, ...]]


def entry_mismatches(
    id: str, entry: MeasuredEntry, protocol: Protocol | None, known: KnownScenario | None = None
) -> Iterator[Mismatch]:
    """What an entry says otherwise than its leaderboard's protocol, the catalogue, its allocation and its blocks.

    `known` is of the entry's scenario where it is at hand; else what the protocol declares is taken.
    """
    declared = known.counts if known is not None else protocol.scenario if protocol is not None else None
    label_blocks = None if declared is None else declared.labels // declared.labels_per_block
    yield from name_mismatches(id, entry, label_blocks, None if known is None else known.baselines)
    yield from catalogue_mismatches(id, entry)
    yield from _contradictions(id, entry)
    yield from _sampling_seed(id, entry)
    if protocol is not None:
        yield from (Mismatch(id, *broken) for broken in protocol.broken_by(entry))
    if not isinstance(entry, RepeatableEntry):
        return
    yield from account_mismatches(id, entry, declared)
    if known is not None and not entry.contamination.startswith(known.contamination):
        yield Mismatch(id, "contamination", entry.contamination, f"begins {known.contamination!r}")


def _contradictions(id: str, entry: MeasuredEntry) -> Iterator[Mismatch]:
    """Versions and devices of which an entry itself says something else."""
    for name, version in re.findall(r"\b([A-Za-z][A-Za-z0-9_-]*) (\d[^\s,]*)", entry.engine):
        stated = entry.versions.get(name)
        # Records do not name vLLM beside the engine; what every record names must be there.
        if stated != version and (stated is not None or name in ALWAYS_NAMED):
            yield Mismatch(id, f"versions.{name}", stated, f"{version} of the engine, {entry.engine}")
    for part in entry.grader.split("+")[1:]:
        name, _, version = part.rpartition("-")
        if (stated := entry.versions.get(name)) is not None and stated != version:
            yield Mismatch(id, f"versions.{name}", stated, f"{version} of the grader, {entry.grader}")
    stated = entry.versions.get("tuition")
    if stated is not None and not f"{entry.code_version}+".startswith(f"{stated}+"):
        yield Mismatch(id, "versions.tuition", stated, f"that of code_version {entry.code_version}")
    torch = entry.versions.get("torch", "")
    if entry.accelerator is not None and not entry.accelerator.startswith("cpu") and torch.endswith("+cpu"):
        yield Mismatch(id, "accelerator", entry.accelerator, f"a processor: torch {torch} computes on nothing else")


def _sampling_seed(id: str, entry: MeasuredEntry) -> Iterator[Mismatch]:
    """Another seed of the samples than everybody's: who may choose one, chooses the luckiest."""
    allowed = SAMPLING_SEEDS if entry.allocation is None else SAMPLING_SEEDS[:1]
    if entry.sampling_seed not in allowed:
        right = f"{allowed[0]}, which scores have by default (`--seed 0`)"
        yield Mismatch(id, "sampling_seed", entry.sampling_seed, right)


def catalogue_mismatches(id: str, entry: MeasuredEntry) -> Iterator[Mismatch]:
    """A suite that has a catalogue's name, but not its version or number of problems."""
    whole, partial, limit = entry.suite.partition(PARTIAL)
    bare, _, version = whole.partition("@")
    if home := GENERATED.fullmatch(bare):
        if generated(whole) is None:
            yield Mismatch(id, "suite", entry.suite, f"this version has {home[0]}@{SUITE_VERSION}, up to its size")
        elif not entry.suite_verified:
            yield Mismatch(id, "suite_verified", False, f"true: this package makes {entry.suite} itself")
        return
    if (suite := SUITES.get(bare)) is None:
        return
    if version != str(suite.version):
        yield Mismatch(id, "suite", entry.suite, f"the catalogue has {suite.versioned}")
        return
    num_problems = min(int(limit.removesuffix("]")), suite.num_problems) if partial else suite.num_problems
    if entry.num_problems != num_problems:
        yield Mismatch(id, f"num_problems (suite {entry.suite})", entry.num_problems, num_problems)


def cross_mismatches(entries: Sequence[Listed], student: Student = _unknown) -> Iterator[Mismatch]:
    """Everything that entries contradict each other in; each is named at the later one."""
    yield from twin_names(entries)
    yield from _files(entries)
    yield from _listed_twice(entries, student)
    repeatable = [(id, entry) for id, entry in entries if isinstance(entry, RepeatableEntry)]
    yield from _weights(repeatable)
    yield from price_mismatches(repeatable)


def _files(entries: Sequence[Listed]) -> Iterator[Mismatch]:
    """A file of two runs, unless they state one checkpoint: `shared_checkpoints` names those."""
    first: dict[str, tuple[str, str, str | None]] = {}
    for id, entry in entries:
        for place, file in enumerate(entry.samples):
            here = f"samples[{place}] of entry {id[:SHORT_ID]} ({entry.name})"
            other, there, weights = first.setdefault(file.sha256, (id, here, file.weights_sha256))
            one_checkpoint = other != id and weights is not None and weights == file.weights_sha256
            if there != here and not one_checkpoint:
                yield Mismatch(id, f"samples[{place}].sha256", file.sha256, f"the file of {there}")


class _Run(NamedTuple):
    """A training run of an entry, with the hash of its weights."""

    id: str
    entry: MeasuredEntry
    place: int
    weights: str

    @property
    def field(self) -> str:
        """Where the weights are stated."""
        return f"samples[{self.place}].weights_sha256"

    @property
    def route(self) -> tuple[object, ...] | None:
        """What made the weights; None where nothing says so."""
        entry = self.entry
        return None if entry.allocation is None else (entry.allocation, entry.shuffled, entry.scenario)

    def origins(self, student: str | None) -> set[str] | None:
        """Where the weights may come from: keys of blocks, or `base` for the untrained student; None: not stated.

        Blocks at the end that have learnt nothing leave the weights of the one before.
        """
        if self.entry.allocation == BASE:
            return {BASE}
        run = self.entry.samples[self.place]
        if not isinstance(run, TrainingRun) or not run.blocks:
            return None
        stages = stages_of(Allocation.parse(str(self.entry.allocation)), self.entry.shuffled)
        origin = None
        for stage, block in zip(reversed(stages), reversed(run.blocks), strict=False):
            if STAGE[stage].model != "student":
                break  # the student was as it came
            if block.weights_sha256 is None:
                return None
            if block.weights_sha256 != self.weights:
                return {str(origin)}
            origin = block.key
        return {str(origin)} | ({BASE} if student in (None, self.weights) else set())


def _checkpoints_twice(entries: Sequence[Listed]) -> Iterator[tuple[_Run, _Run]]:
    """Pairs of runs in one table that state one checkpoint, the earlier entry's first."""
    first: dict[tuple[str, ...], _Run] = {}
    for id, entry in entries:
        for place, file in enumerate(entry.samples):
            if file.weights_sha256 is not None:
                run = _Run(id, entry, place, file.weights_sha256)
                one = first.setdefault((*entry.table, run.weights), run)
                if one.id != id:
                    yield one, run


def _listed_twice(entries: Sequence[Listed], student: Student) -> Iterator[Mismatch]:
    """One result under two names: a checkpoint of two entries, whose routes cannot both end in it."""
    for one, other in _checkpoints_twice(entries):
        if not _may_share(one, other, student(other.entry)):
            there = f"weights of its own: entry {one.id[:SHORT_ID]} ({one.entry.name}) has them, listed once"
            yield Mismatch(other.id, other.field, other.weights, there)


def _may_share(one: _Run, other: _Run, student: str | None) -> bool:
    """Whether two routes may end in one checkpoint: where they share a block, or the student, and learn nothing more.

    So it is, as far as is stated, where the weights of blocks are not.
    """
    if one.route is None or other.route is None or one.route == other.route:
        return False
    origins = one.origins(student), other.origins(student)
    return None in origins or bool((origins[0] or set()) & (origins[1] or set()))


def shared_checkpoints(entries: Sequence[Listed], student: Student = _unknown) -> Iterator[tuple[str, str, str]]:
    """(id, field, reason) of runs that state the checkpoint of another entry's run, and may have it."""
    for one, other in _checkpoints_twice(entries):
        if _may_share(one, other, student(other.entry)):
            there = f"of entry {one.id[:SHORT_ID]} ({one.entry.name}) too"
            yield other.id, other.field, f"{there}: only training again shows that both routes end in it"


def _weights(entries: Sequence[tuple[str, RepeatableEntry]]) -> Iterator[Mismatch]:
    """Blocks of one key, trained on one kind of device, have one result."""
    first: dict[tuple[str, str | None], tuple[str, str]] = {}
    for id, entry in entries:
        for place, run in enumerate(entry.samples):
            for number, block in enumerate(run.blocks):
                if block.weights_sha256 is None:
                    continue
                field = f"samples[{place}].blocks[{number}].weights_sha256"
                where = f"{field} of entry {id[:SHORT_ID]} ({entry.name})"
                known, there = first.setdefault((block.key, entry.accelerator), (block.weights_sha256, where))
                if known != block.weights_sha256:
                    yield Mismatch(id, field, block.weights_sha256, f"{known} in {there}, a block of the same key")
