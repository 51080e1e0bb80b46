"""The entries of `tuition evidence`: allocations of a recorded table by name, with their outcomes.

Named entries have all recorded seeds. `direct-compute` is chosen as `tuition baselines` chooses it, from the chain that
the table holds. The opposite split and the student of the half split before its own labels are found by their
allocations. The best splits are picked on validation scores of the draw seeds, and have judge seeds only.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from tuition.app.studies.direct_compute import choose_match, extended, replays_of_direct
from tuition.app.studies.evaluation import Entry as TestEntry
from tuition.benchmarks.baselines import DIRECT_COMPUTE, OPPOSITE, RAW_TEACHER, UNTRAINED_STUDENT, UPSTREAM
from tuition.benchmarks.evidence.claims import HALF_BRIDGE, upstream_of
from tuition.benchmarks.evidence.comparisons import Entry
from tuition.benchmarks.evidence.share_curve import split_of
from tuition.benchmarks.evidence.split_families import BEST_SPLIT, FAMILIES, Picked, best_of_families
from tuition.benchmarks.tables.recorded_table import RecordedTable
from tuition.planner.allocation import Allocation
from tuition.planner.stages import STUDENT, STUDENT_RL


def upstream_allocation(table: RecordedTable) -> Allocation:
    """All labels on the default teacher, with the scenario's bridge: the paper's rule."""
    return Allocation.parse(table.header.names[UPSTREAM])


def upstream_names(table: RecordedTable) -> dict[str, str]:
    """For every teacher the name of the entry that has all labels on it; the default teacher first."""
    default = upstream_allocation(table).teacher
    others = [teacher for teacher in table.header.space.teachers if teacher != default]
    return {str(default): UPSTREAM, **{teacher: upstream_of(teacher) for teacher in others}}


def gather_entries(table: RecordedTable) -> tuple[list[Entry], list[str]]:
    """All entries that the table has, and why `direct-compute` is not among them if it is not."""
    entries = [
        _entry(table, name, allocation, seeds)
        for name, allocation in _named(table).items()
        if (seeds := table.seeds(allocation=allocation))
    ]
    matched, why_not = _direct_compute(table)
    if matched is not None:
        entries.insert(1, matched)
    return [*entries, *_best(table), *_untrained(table)], [f"{DIRECT_COMPUTE}: {why_not}"] if why_not else []


def _named(table: RecordedTable) -> dict[str, Allocation]:
    """The baselines, the opposite split after the raw bridge, and what is read from the table beside them."""
    named = {name: Allocation.parse(text) for name, text in table.header.names.items()}
    upstream = named[UPSTREAM]
    opposite = split_of(upstream, str(upstream.teacher), 0, upstream.label_blocks)
    order = [name for name in named if name != OPPOSITE]
    order.insert(order.index("raw-bridge") + 1, OPPOSITE)
    found = {name: named.get(name, opposite) for name in order}
    found[HALF_BRIDGE] = Allocation(**{**named["half"].model_dump(), STUDENT_RL.name: 0})
    for teacher, name in upstream_names(table).items():
        found.setdefault(name, split_of(upstream, teacher, upstream.label_blocks, upstream.label_blocks))
    return found


def _untrained(table: RecordedTable) -> list[Entry]:
    """The student and the default teacher before any training, as far as they are recorded."""
    teacher = str(upstream_allocation(table).teacher)
    found = []
    for name, model, shown in ((UNTRAINED_STUDENT, STUDENT, "base"), (RAW_TEACHER, teacher, f"base:{teacher}")):
        outcomes_PK = table.untrained_PK(model)
        if outcomes_PK is None:
            continue
        note = "before any training." if model == STUDENT else "before any training: a reference, no student to deploy."
        seeds = table.seeds()
        found.append(Entry(name, shown, dict.fromkeys(seeds, outcomes_PK), 0, dict.fromkeys(seeds, 0.0), note, True))
    return found


def _entry(table: RecordedTable, name: str, allocation: Allocation, seeds: Sequence[int], note: str = "") -> Entry:
    runs = {seed: table.run(allocation, seed) for seed in seeds}
    return Entry(
        name,
        str(allocation),
        {seed: table.correct_PK(allocation, seed, "test") for seed in seeds},
        runs[seeds[0]].labels_trained,
        {seed: run.gpu_seconds_full for seed, run in runs.items()},
        note,
    )


def _best(table: RecordedTable) -> list[Entry]:
    """The best split and that of each family, scored on judge seeds only, as far as these are recorded."""
    return [
        _entry(table, name, picked.allocation, judges, _how_picked(name, picked, len(table.seeds("draw"))))
        for name, picked in best_of_families(table).items()
        if (judges := table.seeds("judge", picked.allocation))
    ]


def _how_picked(name: str, picked: Picked, num_draws: int) -> str:
    those = "splits recorded with all draw seeds" if name == BEST_SPLIT else f"of these with {FAMILIES[name]}"
    biased = f", biased upwards: it is the best of {picked.num_splits}" if picked.num_splits > 1 else ""
    return (
        f"selected from the {picked.num_splits} {those}, by mean validation score over {num_draws} draw "
        f"seed{'s' if num_draws > 1 else ''} ({100 * picked.validation:.1f} %{biased}); its test score is from judge "
        "seeds only."
    )


def _direct_compute(table: RecordedTable) -> tuple[Entry | None, str]:
    """Direct GRPO with the compute of the paper's rule, or why there is none."""
    upstream = upstream_allocation(table)
    blocks = table.header.recipe.recipe().num_label_blocks
    longest = max(replays_of_direct(table.allocations, blocks), default=0)
    chain = [extended(blocks, replay) for replay in range(longest + 1)]
    seeds = [s for s in table.seeds() if all((a, s) in table.index for a in (upstream, *chain))]
    if not seeds:
        return None, "no seed is recorded with the whole chain of replay blocks"

    def of_chain(value: Callable[[Allocation, int], float]) -> list[list[float]]:
        return [[value(allocation, seed) for allocation in chain] for seed in seeds]

    costs = of_chain(lambda allocation, seed: table.run(allocation, seed).gpu_seconds_full)
    scores = of_chain(lambda allocation, seed: float(table.correct_PK(allocation, seed, "validation").mean()))
    target = fmean(table.run(upstream, seed).gpu_seconds_full for seed in seeds)
    try:
        match = choose_match(
            table.header.scenario_sha256, seeds, TestEntry(UPSTREAM, upstream), target, blocks, costs, scores
        )
    except ValueError as error:
        return None, f"the recorded chain is too short: {error}"
    chosen = extended(blocks, match.chosen_replay)
    entry = _entry(table, DIRECT_COMPUTE, chosen, seeds, match.sentence().removeprefix(f"{DIRECT_COMPUTE}: "))
    return replace(entry, gpu_seconds=dict(zip(seeds, match.charged_gpu_seconds, strict=True))), ""
