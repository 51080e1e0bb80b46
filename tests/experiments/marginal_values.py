"""Is the next label block worth what a search says? Its marginal values against those of a complete table.

What: our own planner searches draw seeds of recorded tables by replay for a budget. Then it says, with a 90 % interval,
by how much one more block of labels at a stage raises the score of an allocation; the table says the same by its judge
seeds, which no search has seen: the mean over them of the difference of the two validation scores, that of one seed
taken from routes that share their beginning. Two groups of allocations are asked about: every one of the table whose
successor is there too ("all"), and what a person would ask about, the best by the posterior of each number of labels
("best").

The judges' mean has an error of its own. Their variance is pooled over all allocations of a stage, as three seeds say
little about one; "with judges' error" is how often the interval holds the judges' mean once this error is added to it.

How to run (a search takes a few seconds of one core, 12 of them by default; nothing is trained):
    python -m tests.experiments.marginal_values --budget 1 --repeats 2

Simplified: values of one search share its mistakes, so their number says little; errors of biases are over searches.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import optuna
import pandas as pd

from tests.experiments.advice_calibration import searched
from tuition.app.advice.what_if import label_stages, with_blocks
from tuition.benchmarks.tables.recorded_table import RecordedTable, read_table
from tuition.benchmarks.tables.replay import Replay
from tuition.benchmarks.tables.shipped import find_table
from tuition.planner.allocation import Allocation
from tuition.planner.planning.advice import EACH, Spread, posterior_means
from tuition.planner.planning.grid import RL, SFT, STUDENT_RL
from tuition.planner.planning.planner import POINTS, View
from tuition.planner.route import derive_seed


@dataclass(frozen=True)
class Step:
    """One more block of labels at a stage, and what it is worth by the judges: points."""

    stage: str
    before: Allocation
    after: Allocation
    judges: tuple[float, ...]

    @property
    def value(self) -> float:
        """The judges' mean."""
        return fmean(self.judges)


def steps_of(table: RecordedTable) -> list[Step]:
    """All steps of a table's search space of which all judge seeds have both ends."""
    judges, found = table.seeds("judge"), []
    for before in table.allocations:
        for stage in label_stages(before):
            after = with_blocks(before, stage, getattr(before, stage) + 1)
            both = all((one, seed) in table.index for one in (before, after) for seed in judges)
            if both and table.header.space.holds(after) and not before.replay:
                means = [
                    [table.correct_PK(one, seed, "validation").mean() for seed in judges] for one in (before, after)
                ]
                found.append(Step(stage, before, after, tuple(POINTS * np.diff(means, axis=0)[0])))
    return found


def judges_errors(steps: Sequence[Step]) -> dict[str, float]:
    """Standard error of a judges' mean by stage, in points: their variance pooled over the stage's steps."""
    found = {}
    for stage in {step.stage for step in steps}:
        own = np.array([step.judges for step in steps if step.stage == stage])
        found[stage] = float(np.sqrt(own.var(axis=1, ddof=1).mean() / own.shape[1]))
    return found


def said(view: View, steps: Sequence[Step], errors: dict[str, float], seed: int) -> pd.DataFrame:
    """What a search says of every step, beside the judges: a row a step, in points."""
    grid, rng = view.grid, np.random.default_rng(derive_seed(seed, "judges"))
    known = [(grid.index(step.before), grid.index(step.after), step) for step in steps]
    known = [(before, after, step) for before, after, step in known if min(before, after) >= 0]
    nodes = np.unique([node for before, after, _ in known for node in (before, after)])
    draws, best = view.posterior.draws(nodes, EACH), best_by_labels(view)
    rows = []
    for before, after, step in known:
        gains = np.diff(draws[:, np.searchsorted(nodes, [before, after])], axis=1)[:, 0]
        own = Spread.of(gains)
        wide = Spread.of(gains + errors[step.stage] * rng.standard_normal(len(gains)))
        rows.append(
            {
                "stage": step.stage,
                "best": before in best,
                "said": own.mean,
                "judges": step.value,
                "width": own.high - own.low,
                "held": own.low <= step.value <= own.high,
                "held_with_error": wide.low <= step.value <= wide.high,
            }
        )
    return pd.DataFrame(rows)


def best_by_labels(view: View) -> set[int]:
    """The best node by posterior mean of each number of label blocks."""
    labels, means = view.grid.counts[:, [RL, SFT, STUDENT_RL]].sum(1), posterior_means(view, view.grid.allowed)
    return {int(np.where(labels == blocks, means, -np.inf).argmax()) for blocks in range(1, int(labels.max()) + 1)}


def summary(values: pd.DataFrame) -> str:
    """A Markdown row for each table, group and stage."""
    lines = [
        "| table | allocations | stage | searches × values | said, points | judges, points | said - judges "
        "| width | held | with judges' error |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group in ("all", "best"):
        for (table, stage), own in values[values["best"] | (group == "all")].groupby(["table", "stage"]):
            biases = (own["said"] - own["judges"]).groupby(own["search"]).mean()
            error = f" ± {biases.sem():.2f}" if len(biases) > 1 else ""
            lines.append(
                f"| `{table}` | {group} | {stage} | {len(biases)} × {len(own) / len(biases):.0f} "
                f"| {own['said'].mean():+.2f} | {own['judges'].mean():+.2f} | {biases.mean():+.2f}{error} "
                f"| {own['width'].mean():.1f} | {own['held'].mean():.0%} | {own['held_with_error'].mean():.0%} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Search, one line a search, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=["micro@2", "micro-b@2"])
    parser.add_argument("--budget", type=float, default=1.0, help="of each search, in R")
    parser.add_argument("--repeats", type=int, default=2, help="searches of each draw seed")
    parser.add_argument("--draws", type=int, help="draw seeds of each table; by default all")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = []
    for name in arguments.tables:
        table = read_table(find_table(name))
        steps = steps_of(table)
        errors = judges_errors(steps)
        told = ", ".join(f"{stage} {error:.2f}" for stage, error in sorted(errors.items()))
        print(f"{name}: {len(steps)} steps; standard error of a judges' mean, points: {told}", flush=True)
        for draw in table.seeds("draw")[: arguments.draws]:
            for repeat in range(arguments.repeats):
                view = searched(Replay(table, draw), arguments.budget, repeat)
                values = said(view, steps, errors, repeat).assign(table=name, search=f"{draw}, {repeat}")
                found.append(values)
                bias = (values["said"] - values["judges"]).mean()
                print(
                    f"{name}, draw seed {draw}, repeat {repeat}: {view.num_scores} scores; "
                    f"{values['held_with_error'].mean():.0%} held, said - judges {bias:+.2f} points",
                    flush=True,
                )
    print(summary(pd.concat(found)))


if __name__ == "__main__":
    main()
