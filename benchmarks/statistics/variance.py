"""Variance of a mean over crossed seeds and problems: mean squares, the interval's half width and the p-value.

What: `mean_squares` of values (seeds, problems); `MeanSquares` holds one or many of them, so that an interval, its
coverage and its power all come from the same few lines. The method and its sources: `statistics.crossed_interval`.
The half width has no closed form and is solved for.

Simplified: one value per cell; the layout is complete (every seed on every problem).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from tuition.benchmarks.statistics.seed_variance import SeedVariance

FloatArray = NDArray[np.float64]
Floats = FloatArray | np.float64

FLOOR = 0.05  # level of the F test below which MS_seed is not believed: our choice


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of a two-way layout of seeds and problems; numbers, or arrays of one shape for many layouts.

    With one seed `seed` and `residual` are 0 and `problem` is the variance over problems. `seed_freedom` holds the
    degrees of freedom of `seed`: None for those of this layout alone, S - 1.
    """

    seed: Floats
    problem: Floats
    residual: Floats
    num_seeds: int
    num_problems: int
    seed_freedom: Floats | None = None

    def with_seed_variance(self, known: SeedVariance) -> "MeanSquares":
        """The same with a seed variance that more runs than this layout's tell; of one seed it stays as it is."""
        if self.num_seeds == 1:
            return self
        return replace(
            self, seed=self.num_problems * np.asarray(known.variance), seed_freedom=np.asarray(known.freedom)
        )

    def half_width(self, level: float) -> Floats:
        """Half of the interval's width at `level`: the mean whose `p_value` is 1 - level."""
        error, share = self._error()
        quantiles = [special.stdtrit(freedom, 0.5 + level / 2) for freedom in self._freedoms()]
        if self.num_seeds == 1:
            return np.float64(quantiles[0]) * error
        # The tail is convex: from the smaller quantile on, Newton's steps never pass the root.
        critical = optimize.newton(
            lambda t: self._weighted(_tail, t, share) - (1 - level) / 2,
            np.minimum(*quantiles) + np.zeros_like(share),
            lambda t: -self._weighted(_density, t, share),
            tol=1e-9 * float(np.max(np.maximum(*quantiles))),
            maxiter=200,
        )
        return np.float64(critical) * error

    def p_value(self, mean: Floats) -> Floats:
        """Two-sided p-value of a mean of zero: below 1 - level where the interval leaves out zero."""
        error, share = self._error()
        return np.float64(2) * self._weighted(_tail, _ratio(mean, error), share)

    def _freedoms(self) -> list[Floats]:
        """Degrees of freedom of the problems' part of the variance and, from two seeds on, of the seeds' part."""
        problem = np.float64(self.num_problems - 1)
        return [problem, self._seed_freedom()] if self.num_seeds > 1 else [problem]

    def _seed_freedom(self) -> Floats:
        return np.float64(self.num_seeds - 1) if self.seed_freedom is None else self.seed_freedom

    def _error(self) -> tuple[Floats, Floats]:
        """Standard error of the mean, and the share of the seeds' part in its square."""
        size = self.num_seeds * self.num_problems
        if self.num_seeds == 1:
            return np.sqrt(self.problem / size), np.float64(0)
        residual_freedom = (self.num_seeds - 1) * (self.num_problems - 1)
        least = special.fdtri(self._seed_freedom(), residual_freedom, FLOOR)
        seed = np.maximum(self.seed, least * self.residual)
        total = seed + np.maximum(self.problem - self.residual, 0)
        share = np.divide(seed, total, out=np.ones_like(total), where=total > 0)
        return np.sqrt(total / size), share

    def _weighted(self, function: Callable[[Floats, Floats], Floats], t: Floats, share: Floats) -> Floats:
        """`function` of t for the problems' and the seeds' degrees of freedom, weighted by their shares of variance."""
        problem, *seed = (function(t, freedom) for freedom in self._freedoms())
        return (1 - share) * problem + share * seed[0] if seed else problem


def _tail(t: Floats, freedom: Floats) -> Floats:
    return np.float64(special.stdtr(freedom, -t))


def _density(t: Floats, freedom: Floats) -> Floats:
    return np.float64((1 + t**2 / freedom) ** (-(freedom + 1) / 2) / (freedom**0.5 * special.beta(freedom / 2, 0.5)))


def _ratio(mean: Floats, error: Floats) -> Floats:
    """|mean| / error, 0 or infinite where there is no error."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(mean) == 0, 0.0, np.abs(mean) / error)


def mean_squares(values_SP: NDArray[Any]) -> MeanSquares:
    """Mean squares of values (..., seeds, problems), two or more problems; leading axes are many layouts."""
    num_seeds, num_problems = values_SP.shape[-2:]
    if num_seeds == 1:
        none = np.zeros(values_SP.shape[:-2])
        return MeanSquares(none, values_SP.var(axis=(-2, -1), ddof=1), none, 1, num_problems)
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
