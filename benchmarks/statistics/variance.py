"""Variance of a mean over crossed seeds and problems: mean squares, the interval's half width and the p-value.

What: `mean_squares` of values (seeds, problems); `MeanSquares` holds one or many of them, so that an interval, its
coverage and its power all come from the same few lines. The method and its sources: `statistics.crossed_interval`.
The half width has no closed form and is solved for.

Simplified: one value per cell; the layout is complete (every seed on every problem).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

FloatArray = NDArray[np.float64]
Floats = FloatArray | np.float64

FLOOR = 0.05  # level of the F test below which MS_seed is not believed: our choice


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
        """Half of the interval's width at `level`: the mean whose `p_value` is 1 - level."""
        error, share = self._error()
        quantiles = special.stdtrit(self._freedoms(), 0.5 + level / 2)
        if self.num_seeds == 1:
            return np.float64(quantiles[0]) * error
        # The tail is convex: from the smaller quantile on, Newton's steps never pass the root.
        critical = optimize.newton(
            lambda t: self._weighted(_tail, t, share) - (1 - level) / 2,
            quantiles.min() + np.zeros_like(share),
            lambda t: -self._weighted(_density, t, share),
            tol=1e-9 * quantiles.max(),
            maxiter=200,
        )
        return np.float64(critical) * error

    def p_value(self, mean: Floats) -> Floats:
        """Two-sided p-value of a mean of zero: below 1 - level where the interval leaves out zero."""
        error, share = self._error()
        return np.float64(2) * self._weighted(_tail, _ratio(mean, error), share)

    def _freedoms(self) -> list[int]:
        """Degrees of freedom of the problems' part of the variance and, from two seeds on, of the seeds' part."""
        freedoms = [self.num_problems - 1, self.num_seeds - 1]
        return freedoms if self.num_seeds > 1 else freedoms[:1]

    def _error(self) -> tuple[Floats, Floats]:
        """Standard error of the mean, and the share of the seeds' part in its square."""
        size = self.num_seeds * self.num_problems
        if self.num_seeds == 1:
            return np.sqrt(self.problem / size), np.float64(0)
        seed_freedom, problem_freedom = self.num_seeds - 1, self.num_problems - 1
        least = special.fdtri(seed_freedom, seed_freedom * problem_freedom, FLOOR)
        seed = np.maximum(self.seed, least * self.residual)
        total = seed + np.maximum(self.problem - self.residual, 0)
        share = np.divide(seed, total, out=np.ones_like(total), where=total > 0)
        return np.sqrt(total / size), share

    def _weighted(self, function: Callable[[Floats, int], Floats], t: Floats, share: Floats) -> Floats:
        """`function` of t for the problems' and the seeds' degrees of freedom, weighted by their shares of variance."""
        problem, *seed = (function(t, freedom) for freedom in self._freedoms())
        return (1 - share) * problem + share * seed[0] if seed else problem


def _tail(t: Floats, freedom: int) -> Floats:
    return np.float64(special.stdtr(freedom, -t))


def _density(t: Floats, freedom: int) -> Floats:
    return np.float64((1 + t**2 / freedom) ** (-(freedom + 1) / 2) / (freedom**0.5 * special.beta(freedom / 2, 0.5)))


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
