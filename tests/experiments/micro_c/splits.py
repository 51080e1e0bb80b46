"""Corners, half and splits inside, trained with the seeds that micro-c was tuned on, scored on the validation suite.

How to run (minutes of a core for each seed; what is in the results folder is kept, so the command resumes):
    python -m tests.experiments.micro_c.splits --results micro-c-splits

Only validation problems are scored, and seeds are 0 to 2: no test suite, no seed of any evidence.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tests.experiments.scarcity.cells import SEEDS, validation_outcomes
from tuition.app.processes.libraries import silence_libraries
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario

STUDY = "splits"


def compared(scenario: Scenario) -> list[Allocation]:
    """Direct GRPO; opposite splits; shares of the default teacher; the best with other bridges; other teachers."""
    blocks, search = scenario.num_label_blocks, scenario.file.search
    bridge = (search.bridge_warmup, search.bridge_opd)
    raw = [(1, 0), (search.max_warmup, 0), (search.max_warmup, 1), bridge]

    def split(teacher: str, upstream: int, warmup: int, opd: int) -> Allocation:
        return Allocation(teacher=teacher, teacher_rl=upstream, warmup=warmup, opd=opd, student_rl=blocks - upstream)

    found = [Allocation(student_rl=blocks), *(split(scenario.default_teacher, 0, *shorter) for shorter in raw)]
    shares = [upstream for upstream in (1, 2, 3, blocks // 2, blocks) if upstream <= blocks]
    found += [split(scenario.default_teacher, upstream, *bridge) for upstream in shares]
    found += [split(scenario.default_teacher, min(2, blocks), search.max_warmup, opd) for opd in (0, 1, search.max_opd)]
    found += [split(teacher, 1, *bridge) for teacher in scenario.file.teachers]
    return list(dict.fromkeys(found))


def score(scenario: Scenario, allocation: Allocation, seed: int, results: Path) -> pd.Series:
    """Share of correct samples of each validation problem, in percent, by id."""
    route = compile_route(allocation, scenario.recipe, seed)
    outcomes_PK = validation_outcomes(scenario, route, results, STUDY)
    return pd.Series(100 * outcomes_PK.mean(axis=1), index=sorted(problem.id for problem in scenario.validation))


def line(allocation: Allocation, by_seed: Sequence[pd.Series], levels: Mapping[str, int]) -> str:
    """A row of the table: each seed's score, their mean and standard error, and the mean of each level."""
    scores = np.array([scored.mean() for scored in by_seed])
    error = scores.std(ddof=1) / len(scores) ** 0.5 if len(scores) > 1 else float("nan")
    of_levels = pd.concat(by_seed, axis=1).mean(axis=1).groupby(levels).mean()
    seeds = " ".join(f"{value:.1f}" for value in scores)
    return (
        f"| {allocation} | {scores.mean():.1f} ± {error:.1f} | {seeds} | {' / '.join(f'{x:.0f}' for x in of_levels)} |"
    )


def main() -> None:
    """Print the table as Markdown, each row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro-c", help="a built-in name or a YAML file")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--first", type=int, help="only the first so many allocations")
    parser.add_argument("--results", type=Path, default=Path("results/micro-c-splits"))
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    silence_libraries()
    scenario = Scenario.load(arguments.scenario)
    levels = {problem.id: problem.level for problem in scenario.validation}
    print("| allocation | validation, % ± over seeds | each seed | by level |\n|---|---|---|---|")
    for allocation in compared(scenario)[: arguments.first]:
        by_seed = [score(scenario, allocation, seed, arguments.results) for seed in arguments.seeds]
        print(line(allocation, by_seed, levels), flush=True)


if __name__ == "__main__":
    main()
