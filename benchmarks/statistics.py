"""Statistics: avg@k with errors named by their source, and paired differences with an interval.

What: a score's standard errors over problems, over samples and over training seeds; the paired difference of two
allocations with a t interval, which with two or more training seeds covers the variance of training.

Simplified: all numbers are fractions (0..1), not points. Problems and seeds are taken as draws from larger
populations; outcomes of one problem are independent given the problem and the seed. Arrays are (problems, samples).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[Any]
FloatArray = NDArray[np.float64]


ROUNDING = 1e-9  # relative; sums of a few thousand outcomes agree far better, in any order


@dataclass(frozen=True)
class Score:
    """avg@k: the mean over problems of the mean correctness over samples, and its standard errors by source.

    `se_problems`: had other problems been drawn; `se_samples`: had other samples been drawn on these problems (nan for
    one sample); `se_seeds`: had training used other seeds (nan for one seed). They are not added up: se_problems and
    se_seeds hold the sampling error already.
    """

    mean: float
    se_problems: float
    se_samples: float
    num_problems: int
    num_samples: int
    num_seeds: int = 1
    se_seeds: float = math.nan


@dataclass(frozen=True)
class Difference:
    """A paired difference a - b with its interval at `level`.

    `excludes_training_variance` is True with one training seed: the interval then says nothing about a retraining.
    `p_value` is two-sided, of the same t statistic.
    """

    mean: float
    low: float
    high: float
    num_problems: int
    num_seeds: int
    excludes_training_variance: bool
    p_value: float
    level: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def reversed(self) -> "Difference":
        """The difference b - a."""
        return Difference(
            mean=-self.mean,
            low=-self.high,
            high=-self.low,
            num_problems=self.num_problems,
            num_seeds=self.num_seeds,
            excludes_training_variance=self.excludes_training_variance,
            p_value=self.p_value,
            level=self.level,
        )


def avg_at_k(correct_PK: Array) -> Score:
    """The score of one run. ValueError unless the array is two-dimensional, of at least one problem and sample.

    With p_i the mean over the K samples of problem i, P problems (Miller 2024, "Adding Error Bars to Evals",
    arXiv 2411.00640, sections 2.1 and 2.2, with the unbiased variances):
    se_problems = std(p_i, ddof=1) / sqrt(P), nan for one problem;
    se_samples = sqrt(sum_i var(outcomes of i, ddof=1) / K) / P, given the problems.
    """
    outcomes_PK = _outcomes(correct_PK, "correct_PK")
    num_problems, num_samples = outcomes_PK.shape
    means_P = outcomes_PK.mean(axis=1)
    return Score(
        mean=float(means_P.mean()),
        se_problems=_standard_error(means_P),
        se_samples=_samples_error(outcomes_PK),
        num_problems=num_problems,
        num_samples=num_samples,
    )


def score_over_seeds(corrects: Sequence[Array]) -> Score:
    """The score over S training seeds, one (problems, samples) array each, on the same problems.

    se_seeds = std(the seeds' means, ddof=1) / sqrt(S), nan for one seed; se_problems is that of the problems' means
    over all seeds; se_samples = sqrt(sum of the seeds' squared se_samples) / S. ValueError for no seeds or shapes that
    differ.
    """
    if not corrects:
        raise ValueError("there are 0 seeds; give one array of outcomes for each training seed")
    arrays = [_outcomes(correct_PK, f"seed {seed}") for seed, correct_PK in enumerate(corrects)]
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1:
        raise ValueError(f"the seeds' shapes differ: {shapes}; score all on the same problems and samples")
    seed_means_SP = np.stack([array.mean(axis=1) for array in arrays])
    num_problems, num_samples = shapes[0]
    return Score(
        mean=float(seed_means_SP.mean()),
        se_problems=_standard_error(seed_means_SP.mean(axis=0)),
        se_samples=math.hypot(*(_samples_error(array) for array in arrays)) / len(arrays),
        num_problems=num_problems,
        num_samples=num_samples,
        num_seeds=len(arrays),
        se_seeds=_standard_error(seed_means_SP.mean(axis=1)),
    )


def paired_difference(a: Sequence[Array], b: Sequence[Array], level: float = 0.95) -> Difference:
    """The mean difference a - b on the same problems and training seeds, with its t interval.

    `a` and `b` hold one (problems, samples) array for each training seed, the seeds in the same order; the numbers of
    samples may differ. d_sp is the difference of the two means on problem p with seed s. ValueError when the numbers
    of seeds or of problems differ, or there is only one problem.

    One seed: t interval over the P differences, P - 1 degrees of freedom (Miller 2024, arXiv 2411.00640, section 4.2).

    S >= 2 seeds: two-way random effects d_sp = mu + A_s + B_p + E_sp, where E also holds the sampling error. With the
    mean squares of the two-way layout with one value per cell, the analysis-of-variance estimate is
        var(mean) = (MS_seed + MS_problem - MS_residual) / (S P),
    since E[MS_seed] = s_E^2 + P s_A^2 and E[MS_problem] = s_E^2 + S s_B^2 (Searle, Casella and McCulloch 1992,
    "Variance Components", chapter 4). It can fall below what either factor gives alone, even below zero, and is
    therefore floored at max(MS_seed, MS_problem) / (S P). Degrees of freedom by Satterthwaite (1946, "An Approximate
    Distribution of Estimates of Variance Components", Biometrics Bulletin 2): (sum of terms)^2 / sum of (term^2 /
    df of the term), over the terms that the estimate used.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a number between 0 and 1, such as 0.95")
    differences_SP = _differences(a, b)
    num_seeds, num_problems = differences_SP.shape
    mean = float(differences_SP.mean())
    if num_seeds == 1:
        variance, freedom = float(differences_SP.var(ddof=1)) / num_problems, float(num_problems - 1)
    else:
        variance, freedom = _crossed_variance(differences_SP)
    error = math.sqrt(variance)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    # Without any variance the statistic is 0 or infinite.
    without_variance = math.inf if mean else 0.0
    statistic = abs(mean) / error if error > 0 else without_variance
    p_value = float(2 * stats.t.sf(statistic, freedom))
    return Difference(mean, mean - half, mean + half, num_problems, num_seeds, num_seeds == 1, p_value, level)


def _crossed_variance(differences_SP: FloatArray) -> tuple[float, float]:
    """Variance of the grand mean under crossed random effects, and its degrees of freedom."""
    num_seeds, num_problems = differences_SP.shape
    mean = differences_SP.mean()
    seed_S = differences_SP.mean(axis=1, keepdims=True) - mean
    problem_P = differences_SP.mean(axis=0, keepdims=True) - mean
    residual_SP = differences_SP - mean - seed_S - problem_P
    seed_freedom, problem_freedom = num_seeds - 1, num_problems - 1
    residual_freedom = seed_freedom * problem_freedom
    ms_seed = num_problems * float(np.square(seed_S).sum()) / seed_freedom
    ms_problem = num_seeds * float(np.square(problem_P).sum()) / problem_freedom
    ms_residual = float(np.square(residual_SP).sum()) / residual_freedom
    total = ms_seed + ms_problem - ms_residual
    floor, floor_freedom = max((ms_seed, seed_freedom), (ms_problem, problem_freedom))
    # Equal but for rounding, the degrees of freedom would depend on the order of the sums: the smaller ones are taken.
    if math.isclose(ms_seed, ms_problem, rel_tol=ROUNDING):
        floor_freedom = min(seed_freedom, problem_freedom)
    if total <= floor * (1 + ROUNDING):
        return floor / differences_SP.size, float(floor_freedom)
    terms = [(ms_seed, seed_freedom), (ms_problem, problem_freedom), (ms_residual, residual_freedom)]
    freedom = total**2 / sum(term**2 / term_freedom for term, term_freedom in terms)
    return total / differences_SP.size, freedom


def _differences(a: Sequence[Array], b: Sequence[Array]) -> FloatArray:
    """Differences of the problems' means, (seeds, problems)."""
    if len(a) != len(b) or not a:
        raise ValueError(f"a has {len(a)} seeds, b has {len(b)}; give both on the same seeds, one or more")
    shapes = [(_outcomes(x, "a").shape, _outcomes(y, "b").shape) for x, y in zip(a, b, strict=True)]
    problems = {shape[0] for pair in shapes for shape in pair}
    if len(problems) > 1:
        raise ValueError(f"the shapes (problems, samples) of a and b by seed are {shapes}; give both the same problems")
    if problems == {1}:
        raise ValueError("there is 1 problem; an interval over problems needs 2 or more")
    rows = [np.asarray(x, float).mean(axis=1) - np.asarray(y, float).mean(axis=1) for x, y in zip(a, b, strict=True)]
    return np.stack(rows)


def _outcomes(correct_PK: Array, name: str) -> FloatArray:
    outcomes_PK = np.asarray(correct_PK, dtype=np.float64)
    if outcomes_PK.ndim != 2 or 0 in outcomes_PK.shape:
        raise ValueError(f"{name} has the shape {outcomes_PK.shape}; give (problems, samples), both 1 or more")
    if not np.isfinite(outcomes_PK).all():
        raise ValueError(f"{name} holds a value that is not finite; outcomes are 0 or 1")
    return outcomes_PK


def _standard_error(values: FloatArray) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _samples_error(outcomes_PK: FloatArray) -> float:
    num_problems, num_samples = outcomes_PK.shape
    if num_samples == 1:
        return math.nan
    return math.sqrt(float(outcomes_PK.var(axis=1, ddof=1).sum()) / num_samples) / num_problems
