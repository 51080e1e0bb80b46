"""What a trained entry costs, in labels and device time, computed again from its allocation, blocks and scenario.

What: `account_mismatches` names every count that does not follow; `price_mismatches` the blocks whose price is far from
that of the same work elsewhere on the leaderboard.

Simplified: what a block cost was measured once, on somebody's machine. So a price is held against prices of the same
stage and model on the same device, and a lie within FAR times of them, or within START_UP, is not seen.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean, median

from tuition.benchmarks.boards.entries import RepeatableEntry
from tuition.benchmarks.boards.outcomes import Mismatch
from tuition.benchmarks.boards.protocol import DeclaredScenario
from tuition.planner.allocation import Allocation
from tuition.planner.cost import charge
from tuition.planner.stages import STAGE, STAGES, STUDENT_RL

FAR = 5.0
"""A price is far from others when it is so many times as small or as large. Our choice: a busy machine makes twice."""
START_UP = 30.0
"""GPU-seconds by which a price must differ, too: the first block of a process pays for its start (imports, compilation,
first use of the device: some 10 s), which is many times what a fast block costs. Three times that is our
choice."""
ENOUGH = 3  # other prices, without which nothing is said
ROUNDING = 0.01  # GPU-seconds


def stages_of(allocation: Allocation, shuffled: bool) -> list[str]:
    """The stage of each block of an allocation's route, in order."""
    stages = []
    for stage in STAGES:
        count = allocation.blocks(stage)
        if shuffled and stage.is_rl:  # one block over all labels
            count = min(1, count)
        stages += [stage.name] * (count + (allocation.replay if stage == STUDENT_RL else 0))
    return stages


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
    yield from _cost(id, entry, allocation)
    yield from _labels(id, entry, allocation, scenario)


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
    """Blocks whose price is far from the median of the same work, on the same device, in other entries.

    Far is both FAR times and START_UP.
    """
    prices: dict[tuple[str | None, ...], list[tuple[str, str, float]]] = {}
    for id, entry in entries:
        if entry.allocation is None or entry.scenario is None:
            continue
        allocation = Allocation.parse(entry.allocation)
        stages = stages_of(allocation, entry.shuffled)
        for place, run in enumerate(entry.samples):
            for number, (stage, block) in enumerate(zip(stages, run.blocks, strict=False)):
                shuffled = str(entry.shuffled)  # such a block is all of its stage
                teacher = None if STAGE[stage] == STUDENT_RL else allocation.teacher
                work = (entry.scenario.sha256, entry.accelerator, stage, teacher, shuffled)
                field = f"samples[{place}].blocks[{number}].gpu_seconds"
                prices.setdefault(work, []).append((id, field, block.gpu_seconds))
    for (_, device, of_stage, *_), found in prices.items():
        for id, field, seconds in found:
            others = [price for other, _, price in found if other != id]
            if len(others) < ENOUGH or abs(seconds - (middle := median(others))) <= START_UP:
                continue
            if not middle / FAR <= seconds <= middle * FAR:
                usual = f"{middle:.3g} for {of_stage} in other entries on {device}"
                yield Mismatch(id, field, seconds, usual)
