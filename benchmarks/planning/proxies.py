"""Cheap proxies of what is raced on, for planners that begin with another scenario's scores.

What: scores of some random allocations, as a cheap search would leave them.

- *right*: the same at lower fidelity. Of a simulated problem a score is 50 + shift + scale * (truth - 75) points + a
  smooth distortion (`RandomSurface` of standard deviation 1) + the noise of the family, with shift U(-10, 10) and scale
  U(.5, 1.2); of a recorded table it is the mean of its other draw seeds, on validation.
- *wrong*: the same with the shares exchanged: a split with t label blocks upstream and s on the student has the score
  of one with s and t. Without a bridge a split keeps its own.

Simplified: a real proxy would also have scores of teachers; and a table's other draw seeds are as dear as this one.
"""

from functools import lru_cache

import numpy as np

from tuition.benchmarks.planning.contestant import Likeness, RaceError
from tuition.benchmarks.planning.families import RandomSurface
from tuition.benchmarks.planning.problems import POINTS, Problem, base_score, counts_of
from tuition.benchmarks.tables.recorded_table import RecordedTable
from tuition.benchmarks.tables.warm_scores import table_warm_start
from tuition.planner.allocation import Allocation
from tuition.planner.planning.warm_start import Known, WarmStart
from tuition.planner.route import derive_seed
from tuition.planner.stages import STUDENT

SCORES = 40
"""That a proxy has: our choice."""
DISTORTION = 1.0
MIDDLE_TRUTH, MIDDLE_PROXY = 75.0, 50.0


@lru_cache(maxsize=64)
def problem_proxy(problem: Problem, likeness: Likeness) -> WarmStart:
    """The scores of a problem's proxy; a problem always has the same."""
    world, seed = problem.world, derive_seed("proxy", problem.family, problem.number)
    rng = np.random.default_rng(seed)
    shift, scale = rng.uniform(-10, 10), rng.uniform(0.5, 1.2)
    distortion = RandomSurface.draw(rng, world.space, DISTORTION)
    noise = world.noise / POINTS

    def moved(truth: float) -> float:
        return (MIDDLE_PROXY + shift + scale * (POINTS * truth - MIDDLE_TRUTH)) / POINTS

    def score(allocation: Allocation) -> float:
        seen = moved(problem.truth(as_it_seems(allocation, likeness)))
        bent = float(distortion(counts_of(world, allocation))[0]) / POINTS
        return seen + bent + noise * float(rng.standard_normal())

    chosen = [*dict.fromkeys(world.space.random_allocations(4 * SCORES, seed))][:SCORES]
    scores: tuple[Known, ...] = tuple((str(one), score(one), noise) for one in chosen)
    untrained = ((STUDENT, moved(base_score(world, STUDENT)), noise),)
    return WarmStart(source=f"{likeness} proxy", space=world.space, untrained=untrained, scores=scores)


def table_proxy(table: RecordedTable, seed: int, likeness: Likeness) -> WarmStart:
    """The scores of a draw seed's proxy. RaceError for a table without another draw seed."""
    others = [other for other in table.seeds("draw") if other != seed]
    if not others:
        raise RaceError(f"the table has no draw seed but {seed}: a proxy needs another one")
    whole = table_warm_start(table, table.header.scenario, others)
    known = {name: (value, error) for name, value, error in whole.scores}
    random = table.header.space.random_allocations(4 * SCORES, derive_seed("proxy", seed))
    pairs = {str(one): str(as_it_seems(one, likeness)) for one in random}
    chosen = [(one, *known[seen]) for one, seen in pairs.items() if seen in known][:SCORES]
    return whole.model_copy(update={"source": f"{likeness} proxy", "scores": tuple(chosen)})


def as_it_seems(allocation: Allocation, likeness: Likeness) -> Allocation:
    """The split whose score a proxy gives: with the shares of teacher and student exchanged where it lies."""
    if likeness == "right" or allocation.teacher is None:
        return allocation
    shares = {"teacher_rl": allocation.student_rl, "student_rl": allocation.teacher_rl}
    return Allocation(**{**allocation.model_dump(), **shares})
