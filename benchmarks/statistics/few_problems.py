"""Bounds of a paired difference where few problems differ: what the problems that were drawn may have missed.

A t interval believes the variance that it sees. Where a recipe solves five problems in a hundred that were never
solved before, 30 problems hold one or two of them, or none: the variance is then tiny, and the interval lies too low.
`bounds` keeps the t interval of `statistics.crossed_interval` wherever it reaches further, and its p-value always.

Simplified: what a recipe gains on many problems and loses on few that were not drawn is seen by no method; with 30
problems and ten seeds the interval then holds the truth in 82 of 100 cases (docs/statistics.md).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tuition.benchmarks.statistics.variance import MeanSquares

FloatArray = NDArray[np.float64]

EQUAL = 1e-9  # of differences, which lie in -1..1: sums of a few thousand outcomes agree far better


def share_unseen(num_problems: int, level: float) -> float:
    """The share q of all problems of which `num_problems` show none with probability (1 - q)^P = 1 - level."""
    return float(1 - (1 - level) ** (1 / num_problems))


def bounds(
    values_SP: NDArray[Any], squares: MeanSquares, level: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]:
    """Mean, lower and upper bound, p-value of zero, and whether a bound is wider than the t interval's.

    `values_SP` are differences (..., seeds, problems) within -1..1, `squares` their mean squares. With m the mean and p
    its p-value, the upper bound is m plus the largest of
    - the t interval's half width;
    - q (1 - m), the gain of problems that are a share q of all, of which P show none (`share_unseen`);
    - the exact bound for gains that came as rare events: with g_p = max(d_p, 0), d_p the mean over the seeds, they
      count as k = sum(g)^2 / sum(g^2) of P events of size s = sum(g^2) / sum(g), so that their mean is at most s B, B
      being the `level` quantile of the beta distribution (k + 1, P - k) (Clopper and Pearson 1934, "The Use of
      Confidence or Fiducial Limits", Biometrika 26; effective counts as Korn and Graubard 1998, Survey Methodology 24).
    The lower bound mirrors it. Towards zero the last two count by the factor 4 (p - (1 - level)) / level, 1 at most:
    fully where the mean lies no further from zero than its standard error (one problem that differs always does), and
    not at all where the t interval leaves out zero. So the interval leaves out zero just where p < 1 - level, and no
    bound jumps when one sample turns right. Values that are all equal tell of no variance: there
    both sides count fully, and p is that of the same bound.
    """
    mean = values_SP.mean(axis=(-2, -1))
    means_P, num_problems = values_SP.mean(axis=-2), values_SP.shape[-1]
    half = np.asarray(squares.half_width(level))
    equal = (np.ptp(values_SP, axis=(-2, -1)) <= EQUAL) & (half <= EQUAL)  # a table may know a variance nevertheless
    p_value = np.where(equal, _p_value_of_equal(mean, num_problems), squares.p_value(mean))
    unseen = share_unseen(num_problems, level)
    above = np.maximum(unseen * (1 - mean), _beyond(np.maximum(means_P, 0), level))
    below = np.maximum(unseen * (1 + mean), _beyond(np.maximum(-means_P, 0), level))
    to_zero = np.where(equal, 1.0, np.clip(4 * (p_value - (1 - level)) / level, 0, 1))
    above, below = above * np.where(mean >= 0, 1, to_zero), below * np.where(mean <= 0, 1, to_zero)
    few = (above > half) | (below > half)
    return mean, mean - np.maximum(half, below), mean + np.maximum(half, above), p_value, few


def _beyond(gains_P: FloatArray, level: float) -> FloatArray:
    """How far the mean of gains, 0 or more, may lie above what was seen, if they came as rare events; 0 without any."""
    num_problems = gains_P.shape[-1]
    total, squares = gains_P.sum(axis=-1), np.square(gains_P).sum(axis=-1)
    seen = squares > 0
    size = np.divide(squares, total, out=np.zeros_like(total), where=seen)
    others = num_problems - np.divide(total**2, squares, out=np.zeros_like(total), where=seen)
    # Equal gains on every problem are no rare events.
    most = np.where(others > EQUAL, special.betaincinv(num_problems - others + 1, np.maximum(others, EQUAL), level), 1)
    return np.asarray(size * most - total / num_problems)


def _p_value_of_equal(mean: FloatArray, num_problems: int) -> FloatArray:
    """Of zero, where all values equal `mean`: zero leaves the interval when share_unseen (1 + |mean|) < |mean|."""
    size = np.abs(mean)
    return np.asarray(np.where(size <= EQUAL, 1.0, (1 / (1 + size)) ** num_problems))
