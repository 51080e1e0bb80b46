"""Are labels scarce? Scores against the number of labels at equal updates, for the teacher and the student.

How to run (about 25 minutes of two cores a scenario; what is in the results folder is kept):
    python -m tests.experiments.scarcity.label_curves --scenario micro --results scarcity

Every row trains ordinary shuffled GRPO of as many updates as all label blocks have, on the first n labels that seeds
0, 1, 2 would buy; scores are of the validation suite, avg@k. Below: the same labels in blocks against one shuffled run.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tests.experiments.scarcity.cells import SEEDS, Cell, run_cells
from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.runners.scenarios.scenario import Scenario


def curve_cells(scenario: Scenario, scored: Any) -> dict[int, list[Cell]]:
    """Cells by number of labels, in eighths of the budget, one for each seed."""
    route = allocation(scenario, scored, 1)
    eighth = len(scenario.labels) // 8
    return {
        n: [Cell(scenario.name, route, seed, num_labels=n, scored=scored) for seed in SEEDS]
        for n in range(eighth, 8 * eighth + 1, eighth)
    }


def allocation(scenario: Scenario, scored: Any, blocks: int) -> str:
    """Labels on one model only. A teacher needs a transfer block to be an allocation; it is not trained."""
    if scored == "student":
        return f"student_rl={blocks}"
    return f"teacher={scenario.default_teacher} teacher_rl={blocks} opd=1"


def mean_and_error(values: list[float]) -> str:
    """Percent, with the standard error over seeds."""
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1) / len(values) ** 0.5:.1f}"


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro")
    parser.add_argument("--results", type=Path, default=Path("results/scarcity"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    scenario = Scenario.load(arguments.scenario)
    num_blocks = scenario.recipe.num_label_blocks
    whole = len(scenario.labels)
    curves = {scored: curve_cells(scenario, scored) for scored in ("teacher", "student")}
    blocked = {
        scored: [
            Cell(scenario.name, allocation(scenario, scored, num_blocks), seed, scored=scored)  # type: ignore[arg-type]
            for seed in SEEDS
        ]
        for scored in curves
    }
    every = [cell for curve in curves.values() for cells in curve.values() for cell in cells]
    found = run_cells(
        [*every, *(cell for cells in blocked.values() for cell in cells)], arguments.results, arguments.workers
    )
    print("| model | labels | score, % ± over seeds | families with a label | families without |")
    print("|---|---|---|---|---|")
    for scored, curve in curves.items():
        for n, cells in curve.items():
            means, seen, unseen = [], [], []
            for result in (found[cell] for cell in cells):
                per_problem = result["outcomes"].mean(axis=1)
                known = np.array([family in result["labelled"] for family in result["families"]])
                means.append(float(per_problem.mean()))
                seen.append(float(per_problem[known].mean()))
                unseen.append(float(per_problem[~known].mean()) if not known.all() else float("nan"))
            without = "" if n == whole else f"{100 * np.mean(unseen):.1f}"
            print(f"| {scored} | {n} | {mean_and_error(means)} | {100 * np.mean(seen):.1f} | {without} |", flush=True)
    print("\n| model | blocked, % ± over seeds | shuffled, % ± over seeds | blocked - shuffled, points [95 %] |")
    print("|---|---|---|---|")
    for scored in curves:
        outcomes = [[found[cell]["outcomes"] for cell in cells] for cells in (blocked[scored], curves[scored][whole])]
        difference = paired_difference(*outcomes)
        scores = [mean_and_error([float(one.mean()) for one in several]) for several in outcomes]
        low, high = 100 * difference.low, 100 * difference.high
        print(f"| {scored} | {' | '.join(scores)} | {100 * difference.mean:+.1f} [{low:+.1f}, {high:+.1f}] |")


if __name__ == "__main__":
    main()
