"""What a trained entry costs, in labels and device time, computed again from its allocation, blocks and scenario.

What: `account_mismatches` names every count that does not follow; `price_mismatches` the blocks whose price is far from
that of the same work elsewhere on the leaderboard; `unchecked_prices` the entries whose work nobody else has priced.

Simplified: what a block cost was measured once, on somebody's machine. So a price is held against prices of the same
stage and model on the same device, and a lie within FAR times of them, or within START_UP, is not seen.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean, median
from typing import NamedTuple

from tuition.benchmarks.boards.entries import MeasuredEntry, RepeatableEntry, TrainedBlock, TrainingRun
from tuition.benchmarks.boards.outcomes import Mismatch
from tuition.benchmarks.boards.protocol import DeclaredScenario
from tuition.planner.allocation import Allocation
from tuition.planner.cost import charge
from tuition.planner.stages import STAGE, STAGES, STUDENT_RL, Stage

FAR = 5.0
"""A price is far from others when it is so many times as small or as large. Our choice: a busy machine makes twice."""
START_UP = 30.0
"""GPU-seconds by which a price must differ, too: the first block of a process pays for its start (imports, compilation,
first use of the device: some 10 s), which is many times what a fast block costs. Three times that is our
choice."""
ENOUGH = 3
"""Other prices, with fewer of which nothing can be said of one."""
ROUNDING = 0.01  # GPU-seconds


def stages_of(allocation: Allocation, shuffled: bool) -> list[str]:
    """The stage of each block of an allocation's route, in order."""
    stages = []
    for stage in STAGES:
        count = blocks_of(allocation, stage)
        stages += [stage.name] * (min(1, count) if shuffled and stage.buys_labels else count)
    return stages


def blocks_of(allocation: Allocation, stage: Stage) -> int:
    """Blocks of a stage, replay included."""
    return allocation.blocks(stage) + (allocation.replay if stage == STUDENT_RL else 0)


def account_mismatches(id: str, entry: RepeatableEntry, scenario: DeclaredScenario | None) -> Iterator[Mismatch]:
    """What does not follow from the allocation: blocks, weights, cost; and the three label counts, by the scenario."""
    if entry.allocation is None:
        return
    allocation = Allocation.parse(entry.allocation)
    wanted = stages_of(allocation, entry.shuffled)
    for place, run in enumerate(entry.samples):
        if len(run.blocks) != len(wanted):
            yield Mismatch(id, f"samples[{place}].blocks", f"{len(run.blocks)} blocks", f"{len(wanted)} blocks")
        elif run.blocks and run.blocks[-1].weights_sha256 not in (None, run.weights_sha256):
            last = run.blocks[-1].weights_sha256
            yield Mismatch(id, f"samples[{place}].weights_sha256", run.weights_sha256, f"{last} of its last block")
        yield from _rollouts(id, place, run, wanted)
    yield from _cost(id, entry, allocation)
    yield from _labels(id, entry, allocation, scenario)


def _rollouts(id: str, place: int, run: TrainingRun, stages: Sequence[str]) -> Iterator[Mismatch]:
    """Blocks that train on completions drawn before, without these or without what they cost.

    The others may have such completions too: a filter's pass rates.
    """
    for number, (stage, block) in enumerate(zip(stages, run.blocks, strict=False)):
        field = f"samples[{place}].blocks[{number}]"
        if block.rollouts is None:
            if not STAGE[stage].generates:
                yield Mismatch(id, f"{field}.rollouts", None, f"a hash: {stage} trains on completions drawn before")
            if block.rollouts_gpu_seconds:
                yield Mismatch(id, f"{field}.rollouts_gpu_seconds", block.rollouts_gpu_seconds, "0 without rollouts")
        elif not block.rollouts_gpu_seconds:
            yield Mismatch(id, f"{field}.rollouts_gpu_seconds", 0, "what drawing its rollouts cost")


def _cost(id: str, entry: RepeatableEntry, allocation: Allocation) -> Iterator[Mismatch]:
    spent = fmean(sum(charge(run.prices)) for run in entry.samples)
    stated = entry.gpu_seconds
    if stated is None:
        yield Mismatch(id, "gpu_seconds", stated, round(spent, 3))
        return
    # direct-compute is charged for the longer chain that was trained to choose its length.
    chosen_by_length = allocation.teacher is None and allocation.replay > 0
    if stated < spent - ROUNDING or (stated > spent + ROUNDING and not chosen_by_length):
        yield Mismatch(id, "gpu_seconds", stated, round(spent, 3))


def _labels(
    id: str, entry: RepeatableEntry, allocation: Allocation, scenario: DeclaredScenario | None
) -> Iterator[Mismatch]:
    if scenario is None:
        return
    trained = allocation.label_blocks * scenario.labels_per_block
    if entry.labels_trained != trained:
        yield Mismatch(id, "labels_trained", entry.labels_trained, trained)
    if trained > scenario.labels:
        yield Mismatch(id, "allocation", f"{entry.allocation} buys {trained} labels", f"there are {scenario.labels}")
    if entry.labels_validation != scenario.labels_validation:
        yield Mismatch(id, "labels_validation", entry.labels_validation, scenario.labels_validation)
    least, most = trained + scenario.labels_validation, scenario.labels + scenario.labels_validation
    if entry.labels_owned is None or not least <= entry.labels_owned <= most:
        yield Mismatch(id, "labels_owned", entry.labels_owned, f"{least} to {most}")


def price_mismatches(entries: Sequence[tuple[str, RepeatableEntry]]) -> Iterator[Mismatch]:
    """Prices of blocks, and of their rollouts, far from the median of the same work on the same device elsewhere.

    Far is both FAR times and START_UP. A block without rollouts, where others of the same work have them, is named too.
    """
    for work, found in _by_work(entries).items():
        for one in found:
            peers = [other.block for other in found if other.id != one.id]
            if len(peers) < ENOUGH:
                continue
            prices = {"gpu_seconds": [peer.gpu_seconds for peer in peers]}
            drawn = [peer.rollouts_gpu_seconds for peer in peers if peer.rollouts is not None]
            if one.block.rollouts is not None:
                prices["rollouts_gpu_seconds"] = drawn
            elif len(drawn) == len(peers):
                yield Mismatch(one.id, f"{one.field}.rollouts", None, f"rollouts, as {work.stage} has in other entries")
            for name, others in prices.items():
                seconds = getattr(one.block, name)
                if len(others) < ENOUGH or abs(seconds - (middle := median(others))) <= START_UP:
                    continue
                if not middle / FAR <= seconds <= middle * FAR:
                    usual = f"{middle:.3g} for {work.stage} in other entries on {work.device}"
                    yield Mismatch(one.id, f"{one.field}.{name}", seconds, usual)


def unchecked_prices(entries: Sequence[tuple[str, MeasuredEntry]]) -> dict[str, str]:
    """Why the price of an entry could be held against nothing on its leaderboard, by id; checked ones are left out."""
    reasons = {}
    for id, entry in entries:
        if not entry.gpu_seconds:
            continue
        if entry.allocation is None:
            reasons[id] = "no allocation says what was trained"
        elif not isinstance(entry, RepeatableEntry):
            reasons[id] = f"format {entry.schema_version} does not state the prices of blocks"
    lonely: dict[str, list[str]] = {}
    devices: dict[str, set[str]] = {}
    for work, found in _by_work([(id, one) for id, one in entries if isinstance(one, RepeatableEntry)]).items():
        for one in found:
            devices.setdefault(str(work.device), set()).add(one.id)
            if sum(other.id != one.id for other in found) < ENOUGH and work.stage not in lonely.setdefault(one.id, []):
                lonely[one.id].append(work.stage)
    for id, entry in entries:
        if stages := lonely.get(id):
            alone = devices[str(entry.accelerator)] == {id}
            few = f"other entries have fewer than {ENOUGH} blocks of {', '.join(stages)} on {entry.accelerator}"
            reasons[id] = f"only entry on {entry.accelerator}" if alone else few
    return reasons


class _Work(NamedTuple):
    """What decides a block's price: equal works should cost about the same."""

    scenario: str
    device: str | None
    stage: str
    teacher: str | None
    merged: int | None
    """Blocks that an ordinary run's block stands for; None in a route of blocks."""


class _Priced(NamedTuple):
    """A block of an entry, and where it is stated."""

    id: str
    field: str
    block: TrainedBlock


def _by_work(entries: Sequence[tuple[str, RepeatableEntry]]) -> dict[_Work, list[_Priced]]:
    found: dict[_Work, list[_Priced]] = {}
    for id, entry in entries:
        if entry.allocation is None or entry.scenario is None:
            continue
        allocation = Allocation.parse(entry.allocation)
        stages = stages_of(allocation, entry.shuffled)
        for place, run in enumerate(entry.samples):
            for number, (stage, block) in enumerate(zip(stages, run.blocks, strict=False)):
                teacher = None if STAGE[stage] == STUDENT_RL else allocation.teacher
                merged = blocks_of(allocation, STAGE[stage]) if entry.shuffled else None
                work = _Work(entry.scenario.sha256, entry.accelerator, stage, teacher, merged)
                found.setdefault(work, []).append(_Priced(id, f"samples[{place}].blocks[{number}]", block))
    return found
