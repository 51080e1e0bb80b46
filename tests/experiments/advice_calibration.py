"""How far is the planner's advice to be trusted? Searches of simulated problems, whose truth is known.

What: the planner searches each problem for a budget; then its 90 % intervals, its probabilities of being the best and
of being good enough, and its expected regret are held against the truth.

How to run (a problem takes some ten seconds of one core):
    python -m tests.experiments.advice_calibration --family matched --problems 8 --budget 1

Problems from number 1000 on judge; those below are for tuning.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import optuna

from tuition.benchmarks.planning.problems import FIRST_JUDGING, Problem, simulated_problem
from tuition.benchmarks.tables.replay import Replay
from tuition.planner.allocation import Allocation
from tuition.planner.planning.advice import EACH, LEVEL, Rivals, intervals, probability_best, standing
from tuition.planner.planning.planner import POINTS, Costs, View
from tuition.planner.planning.sampler import StructuralSampler
from tuition.planner.searching.trial_loop import SearchOptions, StudyLimits
from tuition.planner.study import search

STEP = 5
"""Every so many allocations of the space have their interval looked at."""
BINS = (0.0, 0.02, 0.1, 0.3, 0.6, 1.0)


@dataclass(frozen=True)
class Looked:
    """What was said of one problem, and what is true. Scores are points."""

    held: float
    """Share of the intervals of the space that hold the truth."""
    named_held: bool
    width: float
    """Of the named split's interval."""
    best: np.ndarray
    """Probabilities of being the best, as far as they are above 0."""
    is_best: np.ndarray
    good_enough: float
    regret: float
    true_regret: float


def searched(replay: Replay, budget: float, seed: int) -> View:
    """What the planner thinks when it has searched a problem, or a draw seed of a table, for so many R."""
    costs = Costs(replay.block_seconds, replay.score_seconds, replay.states_kept)
    sampler = StructuralSampler(replay.space, lambda study: costs, seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    limits = StudyLimits(gpu_seconds=budget * replay.dearest, price=replay.price)
    options = SearchOptions(score_untrained=replay.evaluate_untrained)
    search(study, replay.space, replay.nearest_route, replay.evaluate, limits, options)
    return sampler.view(study)


def look(problem: Problem, view: View, margin: float) -> Looked:
    """Hold what a view says against the truth."""
    grid = view.grid

    def truth(nodes: np.ndarray) -> np.ndarray:
        allocations = [grid.checkpoint(node) for node in nodes.tolist()]
        return POINTS * np.array([problem.truth(one) for one in allocations if isinstance(one, Allocation)])

    some = np.flatnonzero(grid.allowed)[::STEP]
    _, low, high = intervals(view.posterior.draws(some, EACH))
    true = truth(some)
    rivals = Rivals.of(view)
    stands = standing(rivals.draws, rivals.named, margin)
    best, scores = probability_best(rivals.draws), truth(rivals.nodes)
    return Looked(
        held=float(((low <= true) & (true <= high)).mean()),
        named_held=stands.score.low <= scores[rivals.named] <= stands.score.high,
        width=stands.score.high - stands.score.low,
        best=best[best > 0],
        is_best=(scores >= POINTS * problem.best - 1e-9)[best > 0],
        good_enough=stands.good_enough,
        regret=stands.regret,
        true_regret=POINTS * problem.best - float(scores[rivals.named]),
    )


def show(found: Sequence[Looked], margin: float) -> None:
    """Print how the problems came out together."""
    print(
        f"intervals of {LEVEL:.0%} that hold the truth: {np.mean([one.held for one in found]):.0%} of the space, ",
        end="",
    )
    print(f"{sum(one.named_held for one in found)} of {len(found)} of the named splits", end="")
    print(f" (width {np.mean([one.width for one in found]):.1f} points)")
    said, true = (np.array([getattr(one, name) for one in found]) for name in ("regret", "true_regret"))
    print(f"regret of the named split: {said.mean():.2f} points expected, {true.mean():.2f} true")
    good = np.array([one.good_enough for one in found])
    _table(f"within {margin:g} of the best", good, true <= margin)
    _table("the best", np.concatenate([one.best for one in found]), np.concatenate([one.is_best for one in found]))


def _table(what: str, said: np.ndarray, true: np.ndarray) -> None:
    print(f"probability of being {what}:\n  said          splits  mean said  true")
    for low, high in pairwise(BINS):
        mine = (said > low) & (said <= high)
        if mine.any():
            print(f"  {low:.2f} .. {high:.2f} {mine.sum():7d}  {said[mine].mean():9.3f}  {true[mine].mean():.3f}")


def main() -> None:
    """Play, one line a problem, then the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="matched")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--first", type=int, default=FIRST_JUDGING, help="number of the first problem")
    parser.add_argument("--budget", type=float, default=1.0, help="of each search, in R")
    parser.add_argument("--margin", type=float, default=1.0, help="points that are good enough")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = []
    for number in range(arguments.first, arguments.first + arguments.problems):
        problem = simulated_problem(arguments.family, number)
        one = look(problem, searched(problem.replay(), arguments.budget, seed=0), arguments.margin)
        found.append(one)
        print(
            f"{arguments.family} {number}: {one.held:.0%} of the intervals hold; good enough {one.good_enough:.2f}; "
            f"regret {one.regret:.2f} expected, {one.true_regret:.2f} true",
            flush=True,
        )
    show(found, arguments.margin)


if __name__ == "__main__":
    main()
