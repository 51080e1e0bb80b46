"""`tuition evidence`: the named comparisons of a recorded table.

Named entries are compared on all recorded seeds that they share. The best split and its runners-up are selected on
the validation scores of the draw seeds and compared on the test scores of the judge seeds only. `direct-compute` is
chosen as `tuition baselines` chooses it, from the chain that the table holds. The opposite split is found by its
allocation, because tables of before do not name it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tuition.app.studies.direct_compute import choose_match, extended, replays_of_direct
from tuition.app.studies.evaluation import Entry as TestEntry
from tuition.benchmarks.baselines import (
    DIRECT,
    DIRECT_COMPUTE,
    OPPOSITE,
    RAW_TEACHER,
    UNTRAINED_STUDENT,
    UPSTREAM,
)
from tuition.benchmarks.tables.evidence import (
    Comparison,
    Entry,
    Evidence,
    compare,
    markdown,
    plot,
    to_json,
)
from tuition.benchmarks.tables.recorded_table import (
    RecordedError,
    RecordedTable,
    leading_splits,
    read_table,
    split_means,
)
from tuition.planner.allocation import Allocation
from tuition.planner.stages import STUDENT, STUDENT_RL

BEST = "best-split"
RUNNERS_UP = ("runner-up-1", "runner-up-2", "runner-up-3")

COMPARISONS = (
    Comparison(DIRECT, UNTRAINED_STUDENT, "direct GRPO against the untrained student"),
    Comparison("raw-bridge", DIRECT, "raw-teacher bridge against direct GRPO"),
    Comparison(OPPOSITE, DIRECT, "raw-teacher bridge before direct GRPO, label-matched"),
    Comparison(UPSTREAM, DIRECT, "RL'd-teacher bridge against direct GRPO, label-matched"),
    Comparison(UPSTREAM, OPPOSITE, "all labels on the teacher against all on the student, same bridge"),
    Comparison(UPSTREAM, DIRECT_COMPUTE, "RL'd-teacher bridge against direct GRPO, compute-matched"),
    Comparison(UPSTREAM, "opd-only", "two-stage bridge against opd only"),
    Comparison(UPSTREAM, "sft-teacher", "RL'd against SFT'd teacher"),
    Comparison("half", "half-replay", "fresh labels against replay"),
    Comparison(BEST, UPSTREAM, "best split found against all upstream", judged=True),
    Comparison(BEST, "half", "best split found against half", judged=True),
    Comparison(BEST, OPPOSITE, "best split found against the opposite split", judged=True),
    *(Comparison(BEST, name, "best split found against a runner-up", judged=True) for name in RUNNERS_UP),
)


def make_evidence(path: Path, figure: Path | None) -> tuple[dict[str, Any], str]:
    """The evidence of a table as JSON values and as Markdown; the figure is written if a path is given."""
    evidence = gather(read_table(path))
    if figure is not None:
        check_figure(figure)
        plot(evidence, figure)
    return {"table": str(path), **to_json(evidence)}, markdown(evidence)


def check_figure(figure: Path) -> None:
    """RecordedError for a figure that could not be written there, or not in that format."""
    if not figure.parent.is_dir():
        raise RecordedError(f"--figure {figure}: the folder {figure.parent} does not exist; create it first")
    if figure.suffix not in (".png", ".pdf", ".svg"):
        raise RecordedError(f"--figure {figure}: use a name that ends in .png, .pdf or .svg")


def gather(table: RecordedTable) -> Evidence:
    """The entries of the named comparisons, and the comparisons."""
    entries = [
        _entry(table, name, allocation, seeds)
        for name, allocation in _named(table).items()
        if (seeds := table.seeds(allocation=allocation))
    ]
    matched, why_not = _direct_compute(table)
    if matched is not None:
        entries.insert(1, matched)
    notes = [f"{DIRECT_COMPUTE}: {why_not}"] if why_not else []
    if other := table.header.other_revisions:
        stages = ", ".join(f"{name} (revision {then}, now {now})" for name, (then, now) in other.items())
        notes.append(f"recorded by an earlier code of {stages}: what is trained today differs.")
    if idle := table.header.idle_first_steps:
        notes.append(f"recorded when the first step of a warm-up trained nothing ({', '.join(idle)}): today it trains.")
    return compare(
        table.header.scenario,
        table.header.test.name,
        [*entries, *_leading(table), *_untrained(table)],
        COMPARISONS,
        table.seeds("judge"),
        notes,
    )


def _named(table: RecordedTable) -> dict[str, Allocation]:
    """The baselines, with the opposite split after the raw bridge."""
    named = {name: Allocation.parse(text) for name, text in table.header.names.items()}
    upstream = named[UPSTREAM]
    labels = {"teacher_rl": 0, STUDENT_RL.name: upstream.teacher_rl}
    opposite = Allocation(**{**upstream.model_dump(), **labels})
    order = [name for name in named if name != OPPOSITE]
    order.insert(order.index("raw-bridge") + 1, OPPOSITE)
    return {name: named.get(name, opposite) for name in order}


def _untrained(table: RecordedTable) -> list[Entry]:
    """The student and the default teacher before any training, as far as they are recorded."""
    teacher = str(Allocation.parse(table.header.names[UPSTREAM]).teacher)
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


def _leading(table: RecordedTable) -> list[Entry]:
    """The selected split and its runners-up, scored on judge seeds only, as far as these are recorded."""
    draws, means, found = table.seeds("draw"), split_means(table), []
    for name, allocation in zip((BEST, *RUNNERS_UP), leading_splits(table), strict=False):
        note = f"{100 * means[allocation]:.1f} % on validation; its test score is from judge seeds only."
        if name == BEST:
            note = (
                f"selected from the {len(means)} splits recorded with all draw seeds, by its mean validation score "
                f"over {len(draws)} draw seeds ({100 * means[allocation]:.1f} %, biased upwards: it is the best of "
                f"{len(means)}); its test score is from judge seeds only."
            )
        if judges := table.seeds("judge", allocation):
            found.append(_entry(table, name, allocation, judges, note))
    return found


def _direct_compute(table: RecordedTable) -> tuple[Entry | None, str]:
    """Direct GRPO with the compute of the paper's rule, or why there is none."""
    upstream = Allocation.parse(table.header.names[UPSTREAM])
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
