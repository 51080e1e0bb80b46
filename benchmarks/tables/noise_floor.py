"""Noise floors of a recorded table: what is lost by noise alone, by someone who has seen every validation score.

What: over the allocations of the search space that all seeds have, `noise_floor` says how far the judges' means are
themselves from the truth, and what the choice by recorded validation scores loses on the judges' test: by the mean of
all draw seeds, and by one draw seed's own scores, which is where a search ends that evaluates everything. Among the
`LEADING` best by all draw seeds the same is asked again: allocations that are far off say little about those, and more
judge seeds can be recorded for them alone.

Simplified: one variance of a run's test score for all allocations, and their errors independent, though allocations
that share blocks share luck; the test's problems are taken as they are. Losses are to the judges' best, which is partly
best by luck: raw ones are too large on average. Shrunken ones are too small, as the best of several expected values is
less than the expected best. A planner that smooths scores over allocations may lose less than the raw choice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from tuition.benchmarks.statistics.intervals import FloatArray, seed_interval
from tuition.benchmarks.statistics.variance import mean_squares
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, leading_splits
from tuition.planner.allocation import Allocation

FEWEST_ALLOCATIONS = 4
"""With fewer, the mean of all of them is no better a guess than each one's own."""
LEADING = 20  # our choice
LEVEL = 0.95


@dataclass(frozen=True)
class Loss:
    """What a choice loses on the judges' test against their best, by their raw and by their shrunken means.

    `low` and `high` bound the raw difference of these two allocations, had training used other seeds (a t interval over
    the judge seeds); None where the choice is the judges' best, or there are several choices.
    """

    raw: float
    shrunken: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class NoiseFloor:
    """Errors and losses, as fractions; `judge_means` and `shrunken_means` by allocation, on the test suite.

    `left_out`: judge seeds that lack some of the allocations.
    """

    draw_seeds: tuple[int, ...]
    judge_seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    judge_means: Mapping[Allocation, float]
    error: float
    """Standard error of a judge mean."""
    kept: float
    """The share of a judge mean's distance from the mean of all that shrinking leaves."""
    shrunken_means: Mapping[Allocation, float]
    shrunken_error: float
    """Standard error of a shrunken mean."""
    all_draws: Loss
    """Of the choice by mean validation over all draw seeds."""
    one_draw: Loss
    """Of the choices by each single draw seed's own validation, on average."""


def noise_floor(table: RecordedTable, leading: int | None = None) -> NoiseFloor:
    """The noise floors of a table.

    With `leading`, only so many allocations count, the best by mean validation over all draw seeds, in which the judges
    have no part.

    Of the test means y of J judge seeds and n allocations, the two-way layout without interaction
    y_ja = mean + seed_j + allocation_a + error_ja has mean squares MS_a of allocations and MS_e of errors, with
    f = (n - 1) (J - 1) degrees of freedom; so sqrt(MS_e / J) is the error of one allocation's judge mean m_a. Shrunken:

        m + k (m_a - m),   k = max(0, 1 - (n - 3) / (n - 1) * f / (f + 2) * MS_e / MS_a),

    the positive part of the estimator of James and Stein (1961, "Estimation with Quadratic Loss", Proceedings of the
    Fourth Berkeley Symposium 1) for an estimated variance, towards the common mean as Lindley proposed; Efron and
    Morris (1975, "Data Analysis Using Stein's Estimator and Its Generalizations", JASA 70) derive it as an
    empirical-Bayes rule. Its error is sqrt(k MS_e / J), the posterior's standard deviation. It keeps the order of the
    allocations, and takes back from the best what is owed to luck.

    Raises:
        RecordedError: "not enough seeds", or allocations, with the numbers.
    """
    ranked = leading_splits(table)[:leading]
    draws = table.seeds("draw")
    judges = tuple(seed for seed in table.seeds("judge") if ranked and all((a, seed) in table.index for a in ranked))
    if not draws or len(judges) < 2:
        raise RecordedError(
            f"not enough seeds: {len(draws)} to draw from and {len(judges)} judges with all of their allocations; "
            "1 and 2 are needed: record more seeds"
        )
    if len(ranked) < FEWEST_ALLOCATIONS:
        raise RecordedError(
            f"not enough allocations: all seeds have {len(ranked)} of the search space; {FEWEST_ALLOCATIONS} are needed"
        )
    chosen = set(ranked)
    allocations = [allocation for allocation in table.allocations if allocation in chosen]  # equals as in `ranked`
    test_JAP = np.array([[table.correct_PK(a, seed, "test").mean(axis=1) for a in allocations] for seed in judges])
    means_A = test_JAP.mean(axis=(0, 2))
    variance, kept = _shrinking(test_JAP.mean(axis=2))
    shrunken_A = means_A.mean() + kept * (means_A - means_A.mean())
    own = [
        _loss(test_JAP, kept, int(np.argmax([table.correct_PK(a, seed, "validation").mean() for a in allocations])))
        for seed in draws
    ]
    return NoiseFloor(
        draw_seeds=draws,
        judge_seeds=judges,
        left_out=tuple(seed for seed in table.seeds("judge") if seed not in judges),
        judge_means=dict(zip(allocations, map(float, means_A), strict=True)),
        error=math.sqrt(variance),
        kept=kept,
        shrunken_means=dict(zip(allocations, map(float, shrunken_A), strict=True)),
        shrunken_error=math.sqrt(kept * variance),
        all_draws=_loss(test_JAP, kept, allocations.index(ranked[0])),
        one_draw=Loss(fmean(loss.raw for loss in own), fmean(loss.shrunken for loss in own)),
    )


def _shrinking(test_JA: FloatArray) -> tuple[float, float]:
    """Variance of a judge mean, and the share that shrinking leaves of its distance from the mean of all."""
    num_judges, num_allocations = test_JA.shape
    squares = mean_squares(test_JA)  # allocations take the place of problems
    variance = float(squares.residual) / num_judges
    if not squares.problem > 0:
        return variance, 0.0
    freedom = (num_allocations - 1) * (num_judges - 1)
    noise = (num_allocations - 3) / (num_allocations - 1) * freedom / (freedom + 2) * squares.residual / squares.problem
    return variance, max(0.0, 1 - float(noise))


def _loss(test_JAP: FloatArray, kept: float, chosen: int) -> Loss:
    """What the choice of this allocation loses."""
    means_A = test_JAP.mean(axis=(0, 2))
    best = int(means_A.argmax())
    raw = float(means_A[best] - means_A[chosen])
    if raw == 0:
        return Loss(0.0, 0.0)
    difference = seed_interval([*test_JAP[:, best, :, None]], [*test_JAP[:, chosen, :, None]], LEVEL)
    return Loss(raw, kept * raw, difference.low, difference.high)
