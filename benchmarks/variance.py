"""Variance of a mean over crossed seeds and problems: mean squares, the interval's half width and the p-value.

What: `mean_squares` of values (seeds, problems); `MeanSquares` holds one or many of them, so that an interval, its
coverage and its power all come from the same few lines. The method and its sources: `statistics.crossed_interval`.

Simplified: one value per cell; the layout is complete (every seed on every problem).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]
Floats = FloatArray | np.float64

ROUNDING = 1e-9  # relative; sums of a few thousand outcomes agree far better, in any order


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of a two-way layout of seeds and problems; numbers, or arrays of one shape for many layouts.

    With one seed `seed` and `residual` are 0 and `problem` is the variance over problems.
    """

    seed: Floats
    problem: Floats
    residual: Floats
    num_seeds: int
    num_problems: int

    def half_width(self, level: float) -> Floats:
        """Half of the interval's width at `level`."""
        error, freedom, floor, floor_freedom = self._errors()
        quantile = 0.5 + level / 2
        wide = stats.t.ppf(quantile, freedom) * error
        return np.maximum(wide, stats.t.ppf(quantile, floor_freedom) * floor) if self.num_seeds > 1 else wide

    def p_value(self, mean: Floats) -> Floats:
        """Two-sided p-value of a mean of zero: below 1 - level where the interval leaves out zero."""
        error, freedom, floor, floor_freedom = self._errors()
        p_value = 2 * stats.t.sf(_ratio(mean, error), freedom)
        if self.num_seeds == 1:
            return np.float64(p_value)
        return np.maximum(p_value, 2 * stats.t.sf(_ratio(mean, floor), floor_freedom))

    def _errors(self) -> tuple[Floats, Floats, Floats, int]:
        """Standard error of the mean with its degrees of freedom, and the floor's with its own."""
        size = self.num_seeds * self.num_problems
        seed_freedom, problem_freedom = self.num_seeds - 1, self.num_problems - 1
        if self.num_seeds == 1:
            return np.sqrt(self.problem / size), np.float64(problem_freedom), np.float64(0), 0
        residual_freedom = seed_freedom * problem_freedom
        # Problems' means that are equal to the last digit say nothing; the residual bounds their variance from below.
        scale = self.seed + self.problem + self.residual
        problem = np.where(self.problem > ROUNDING * scale, self.problem, self.residual)
        # Equal but for rounding, the degrees of freedom would depend on the order of the sums.
        beyond_noise = self.seed - self.residual > ROUNDING * scale
        total = problem + np.where(beyond_noise, self.seed - self.residual, 0)
        terms = self.seed**2 / seed_freedom + problem**2 / problem_freedom + self.residual**2 / residual_freedom
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = total**2 / terms
            floor = np.sqrt(self.seed) * self.seed / np.hypot(self.seed, self.residual)
        freedom = np.clip(freedom, min(seed_freedom, problem_freedom), seed_freedom + problem_freedom)
        freedom = np.where(beyond_noise, freedom, problem_freedom)
        return np.sqrt(total / size), freedom, np.nan_to_num(floor) / np.sqrt(size), seed_freedom


def _ratio(mean: Floats, error: Floats) -> Floats:
    """|mean| / error, 0 or infinite where there is no error."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(mean) == 0, 0.0, np.abs(mean) / error)


def mean_squares(values_SP: NDArray[Any]) -> MeanSquares:
    """Mean squares of values (..., seeds, problems), two or more of each; leading axes are many layouts."""
    num_seeds, num_problems = values_SP.shape[-2:]
    mean = values_SP.mean(axis=(-2, -1), keepdims=True)
    seeds = values_SP.mean(axis=-1, keepdims=True) - mean
    problems = values_SP.mean(axis=-2, keepdims=True) - mean
    residual = values_SP - mean - seeds - problems
    seed_freedom, problem_freedom = num_seeds - 1, num_problems - 1
    return MeanSquares(
        seed=num_problems * np.square(seeds).sum(axis=(-2, -1)) / seed_freedom,
        problem=num_seeds * np.square(problems).sum(axis=(-2, -1)) / problem_freedom,
        residual=np.square(residual).sum(axis=(-2, -1)) / (seed_freedom * problem_freedom),
        num_seeds=num_seeds,
        num_problems=num_problems,
    )
