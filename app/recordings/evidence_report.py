"""`tuition evidence`: the named comparisons of a recorded table.

Named entries are compared on all recorded seeds that they share. The best split is selected on the validation scores
of the draw seeds and compared on the test scores of the judge seeds only. `direct-compute` is chosen as
`tuition baselines` chooses it, from the chain that the table holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tuition.app.studies.direct_compute import choose_match, extended, replays_of_direct
from tuition.app.studies.evaluation import Entry as TestEntry
from tuition.benchmarks.baselines import DIRECT, DIRECT_COMPUTE, UPSTREAM
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
    read_table,
    selected_split,
    split_means,
)
from tuition.planner.allocation import Allocation

BEST = "best-split"

COMPARISONS = (
    Comparison("raw-bridge", DIRECT, "raw-teacher bridge against direct GRPO"),
    Comparison(UPSTREAM, DIRECT, "RL'd-teacher bridge against direct GRPO, label-matched"),
    Comparison(UPSTREAM, DIRECT_COMPUTE, "RL'd-teacher bridge against direct GRPO, compute-matched"),
    Comparison(UPSTREAM, "opd-only", "two-stage bridge against opd only"),
    Comparison(UPSTREAM, "sft-teacher", "RL'd against SFT'd teacher"),
    Comparison("half", "half-replay", "fresh labels against replay"),
    Comparison(BEST, UPSTREAM, "best split found against all upstream", judged=True),
    Comparison(BEST, "half", "best split found against half", judged=True),
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
        _entry(table, name, Allocation.parse(text), seeds)
        for name, text in table.header.names.items()
        if (seeds := table.seeds(allocation=Allocation.parse(text)))
    ]
    matched, why_not = _direct_compute(table)
    if matched is not None:
        entries.insert(1, matched)
    best = _best(table)
    if best is not None:
        entries.append(best)
    return compare(
        table.header.scenario,
        table.header.test.name,
        entries,
        COMPARISONS,
        table.seeds("judge"),
        [f"{DIRECT_COMPUTE}: {why_not}"] if why_not else [],
    )


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


def _best(table: RecordedTable) -> Entry | None:
    """The selected split, scored on judge seeds only; None where it cannot be selected, or judged."""
    best = selected_split(table)
    judges = table.seeds("judge", best) if best is not None else ()
    if best is None or not judges:
        return None
    draws, means = table.seeds("draw"), split_means(table)
    return _entry(
        table,
        BEST,
        best,
        judges,
        f"selected from the {len(means)} splits recorded with all draw seeds, by its mean validation score over "
        f"{len(draws)} draw seeds ({100 * means[best]:.1f} %, biased upwards: it is the best of {len(means)}); its "
        "test score is from judge seeds only.",
    )


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
