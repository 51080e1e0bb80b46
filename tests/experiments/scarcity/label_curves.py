"""Are labels scarce? Scores against the number of labels at equal updates, for the teacher and the student.

How to run (about 25 minutes of two cores a scenario; what is in the results folder is kept):
    python -m tests.experiments.scarcity.label_curves --scenario micro --results scarcity

Every row trains ordinary shuffled GRPO of as many updates as all label blocks have, on the first n labels that each
seed would buy; scores are of the validation suite, avg@k. Below: the same labels in blocks against one shuffled run.
`--labels` and `--seeds` train fewer rows.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.experiments.scarcity.cells import SEEDS, Cell, run_cells
from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.runners.scenarios.scenario import Scenario

SCORED = ("teacher", "student")


def allocation(scenario: Scenario, scored: Any, blocks: int) -> str:
    """Labels on one model only. A teacher needs a transfer block to be an allocation; it is not trained."""
    if scored == "student":
        return f"student_rl={blocks}"
    return f"teacher={scenario.default_teacher} teacher_rl={blocks} opd=1"


def mean_and_error(values: list[float]) -> str:
    """Percent, with the standard error over seeds."""
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1) / len(values) ** 0.5:.1f}"


def print_curve(scored: str, num_labels: int, whole: int, results: Sequence[Mapping[str, Any]]) -> None:
    """A row of the first table: its seeds' results."""
    means, seen, unseen = [], [], []
    for result in results:
        per_problem = result["outcomes"].mean(axis=1)
        known = np.array([family in result["labelled"] for family in result["families"]])
        means.append(float(per_problem.mean()))
        seen.append(float(per_problem[known].mean()))
        unseen.append(float(per_problem[~known].mean()) if not known.all() else float("nan"))
    without = "" if num_labels == whole else f"{100 * np.mean(unseen):.1f}"
    print(f"| {scored} | {num_labels} | {mean_and_error(means)} | {100 * np.mean(seen):.1f} | {without} |", flush=True)


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro", help="a built-in name or a YAML file")
    parser.add_argument("--labels", type=int, nargs="+", help="numbers of labels; default: every eighth, all always")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="two or more")
    parser.add_argument("--results", type=Path, default=Path("results/scarcity"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    name, seeds = arguments.scenario, arguments.seeds
    scenario = Scenario.load(name)
    whole = len(scenario.labels)
    eighth = whole // 8
    numbers = sorted({*(arguments.labels or range(eighth, whole, eighth)), whole})
    curves = {
        (scored, n): [Cell(name, allocation(scenario, scored, 1), seed, num_labels=n, scored=scored) for seed in seeds]
        for scored in SCORED
        for n in numbers
    }
    num_blocks = scenario.recipe.num_label_blocks
    blocked = {
        scored: [Cell(name, allocation(scenario, scored, num_blocks), seed, scored=scored) for seed in seeds]
        for scored in SCORED
    }
    every = [cell for cells in (*curves.values(), *blocked.values()) for cell in cells]
    found = run_cells(every, arguments.results, arguments.workers)
    print("| model | labels | score, % ± over seeds | families with a label | families without |")
    print("|---|---|---|---|---|")
    for (scored, n), cells in curves.items():
        print_curve(scored, n, whole, [found[cell] for cell in cells])
    print("\n| model | blocked, % ± over seeds | shuffled, % ± over seeds | blocked - shuffled, points [95 %] |")
    print("|---|---|---|---|")
    for scored in SCORED:
        outcomes = [[found[cell]["outcomes"] for cell in cells] for cells in (blocked[scored], curves[scored, whole])]
        difference = paired_difference(*outcomes)
        scores = [mean_and_error([float(one.mean()) for one in several]) for several in outcomes]
        low, high = 100 * difference.low, 100 * difference.high
        print(f"| {scored} | {' | '.join(scores)} | {100 * difference.mean:+.1f} [{low:+.1f}, {high:+.1f}] |")


if __name__ == "__main__":
    main()
