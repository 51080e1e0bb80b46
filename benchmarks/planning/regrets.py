"""Regret against cost: what planners lose to the best allocation, by budget, with intervals over units.

A unit (a problem, or a recording) is the observation, however often it was searched: its value is the mean over its
searches. Intervals are t intervals over units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from tuition.benchmarks.planning.race_file import Measured
from tuition.benchmarks.statistics.intervals import FloatArray, standard_error

LEVEL = 0.95
Answer = Literal["named", "trained"]


@dataclass(frozen=True)
class Regret:
    """A planner's mean regret at a budget, a fraction; `half` of its interval is nan for one unit.

    All is nan where some search had no answer yet.
    """

    planner: str
    answer: Answer
    budget: float
    mean: float
    half: float
    units: int
    trials: float


def regrets(measured: Sequence[Measured]) -> list[Regret]:
    """By planner, answer and budget."""
    found = []
    for one in measured:
        rows = one.rows
        for answer in ("named", "trained"):
            lost = (rows["best"] - rows[f"{answer}_value"]).to_numpy()
            frame = rows.assign(lost=lost)
            for budget, part in frame.groupby("budget"):
                units: FloatArray = np.array([own.mean(skipna=False) for _, own in part.groupby("unit")["lost"]])
                mean, half = _interval(units)
                trials = float(part["trials"].mean())
                answered: Answer = "named" if answer == "named" else "trained"
                found.append(Regret(one.header.planner, answered, float(str(budget)), mean, half, len(units), trials))
    return found


def answers_differ(measured: Measured) -> bool:
    """Whether a planner ever named another allocation than the best that it had trained."""
    rows = measured.rows[measured.rows["trained"] != ""]
    return bool((rows["named"] != rows["trained"]).any())


def _interval(values: FloatArray) -> tuple[float, float]:
    mean = float(values.mean())
    if len(values) < 2 or math.isnan(mean):
        return mean, math.nan
    return mean, float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1)) * standard_error(values)
