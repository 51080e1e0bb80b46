"""Regret against cost: what planners lose to the best allocation, by budget, with intervals over units.

A unit (a problem, or a recording) is the observation, however often it was searched: its value is the mean over its
searches. Intervals are t intervals over units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from tuition.benchmarks.planning.race_file import INTERVAL, Measured
from tuition.benchmarks.statistics.intervals import FloatArray, standard_error

LEVEL = 0.95
Answer = Literal["named", "trained"]


@dataclass(frozen=True)
class Regret:
    """A planner's mean regret at a budget, a fraction; `half` of its interval is nan for one unit.

    All is nan where some search had no answer yet.

    Attributes:
        covered: share of the searches whose interval for the named split holds the judge's value; nan where the planner
            gives none, and for what is trained.
    """

    planner: str
    answer: Answer
    budget: float
    mean: float
    half: float
    units: int
    trials: float
    covered: float


def regrets(measured: Sequence[Measured]) -> list[Regret]:
    """By planner, answer and budget."""
    found = []
    for one in measured:
        rows = one.rows
        for answer in ("named", "trained"):
            lost = (rows["best"] - rows[f"{answer}_value"]).to_numpy()
            frame = rows.assign(lost=lost, covered=_covered(rows) if answer == "named" else math.nan)
            for budget, part in frame.groupby("budget"):
                units: FloatArray = np.array([own.mean(skipna=False) for _, own in part.groupby("unit")["lost"]])
                mean, half = _interval(units)
                trials = float(part["trials"].mean())
                answered: Answer = "named" if answer == "named" else "trained"
                covered = float(part["covered"].mean())
                at = float(str(budget))
                found.append(Regret(one.header.planner, answered, at, mean, half, len(units), trials, covered))
    return found


def _covered(rows: pd.DataFrame) -> FloatArray:
    """By row: 1 or 0, or nan where there is no interval."""
    value, low, high = (rows[name].to_numpy(float) for name in ("named_value", *INTERVAL))
    return np.where(np.isnan(low), np.nan, (low <= value) & (value <= high))


def answers_differ(measured: Measured) -> bool:
    """Whether a planner ever named another allocation than the best that it had trained."""
    rows = measured.rows[measured.rows["trained"] != ""]
    return bool((rows["named"] != rows["trained"]).any())


def _interval(values: FloatArray) -> tuple[float, float]:
    mean = float(values.mean())
    if len(values) < 2 or math.isnan(mean):
        return mean, math.nan
    return mean, float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1)) * standard_error(values)
