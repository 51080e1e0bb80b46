"""Statistics: avg@k with errors named by their source, intervals over seeds and problems, paired differences.

What: a score's standard errors over problems, over samples and over training seeds; its total interval; the paired
difference of two allocations with its interval, which with two or more training seeds covers the variance of training;
the t interval over the seeds' paired means (these problems, other seeds); bootstrap over problems or over samples, and
never over seeds. docs/statistics.md says which number answers which question. pass@k and maj@k are in pass_at_k.py,
what few problems may hide in few_problems.py, the seed variance of a whole table in seed_variance.py, tests of many
differences in multiplicity.py, the size of an experiment in power.py.

Simplified: all numbers are fractions (0..1), not points. Problems and seeds are taken as draws from larger
populations; outcomes of one problem are independent given the problem and the seed. Arrays are (problems, samples).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tuition.benchmarks.statistics.few_problems import bounds, share_unseen
from tuition.benchmarks.statistics.seed_variance import SeedVariance
from tuition.benchmarks.statistics.variance import mean_squares

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
class Interval:
    """An interval for a mean: what it would be with other seeds and other problems, at `level`.

    `excludes_training_variance` is True with one training seed. `p_value` is two-sided, of the mean being zero (nan
    for the interval of a score).
    """

    mean: float
    low: float
    high: float
    num_problems: int
    num_seeds: int
    excludes_training_variance: bool
    p_value: float
    level: float = 0.95


@dataclass(frozen=True)
class Difference(Interval):
    """A paired difference a - b with its interval at `level`.

    `excludes_training_variance` is True with one training seed: the interval then says nothing about a retraining.
    `p_value` is two-sided: below 1 - level where the interval leaves out zero. `few_problems`: a bound lies further out
    than the variance says, because the difference may sit in problems of which these hold few or none.
    """

    few_problems: bool = False

    def reversed(self) -> "Difference":
        """The difference b - a."""
        # 0 - x and not -x: no difference is never printed as "-0.0".
        return replace(self, mean=0.0 - self.mean, low=0.0 - self.high, high=0.0 - self.low)


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
        se_problems=standard_error(means_P),
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
        se_problems=standard_error(seed_means_SP.mean(axis=0)),
        se_samples=math.hypot(*(_samples_error(array) for array in arrays)) / len(arrays),
        num_problems=num_problems,
        num_samples=num_samples,
        num_seeds=len(arrays),
        se_seeds=standard_error(seed_means_SP.mean(axis=1)),
    )


def score_interval(corrects: Sequence[Array], level: float = 0.95) -> Interval:
    """The total interval of avg@k over problems, samples and (from two seeds on) training seeds, within 0..1.

    `corrects` holds one (problems, samples) array of outcomes for each training seed, as for `score_over_seeds`. With h
    the half width of `crossed_interval` at the mean m, the bounds are the true scores x for which
        |m - x| = h sqrt(x (1 - x) / (m (1 - m))):
    the interval of Wilson (1927, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22), h
    standing for the effective number of independent outcomes, as with clustered proportions (Korn and Graubard 1998,
    "Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data",
    Survey Methodology 24). The plain t interval of a score near 0 lies too low, and misses more often.

    It is never narrower than the exact bound of `crossed_interval` for equal values, m - q m to m + q (1 - m): of the
    problems that are the exception (the few that a weak model solves), 30 may hold none. docs/statistics.md has the
    coverage. `p_value` is nan. ValueError as `crossed_interval` and `score_over_seeds`, and for outcomes outside 0..1.
    """
    score_over_seeds(corrects)  # the same checks
    means_SP = np.stack([np.asarray(correct_PK, float).mean(axis=1) for correct_PK in corrects])
    if means_SP.min() < 0 or means_SP.max() > 1:
        raise ValueError(
            f"the outcomes of a problem average {means_SP.min():g} or {means_SP.max():g}; give verdicts, 0 or 1"
        )
    total = crossed_interval(means_SP, level)
    mean = total.mean
    share = share_unseen(total.num_problems, level)
    low, high = mean - share * mean, mean + share * (1 - mean)
    if not _all_equal(means_SP):
        variance = mean * (1 - mean)
        ratio = (total.high - mean) ** 2 / variance
        middle = (mean + ratio / 2) / (1 + ratio)
        half = math.sqrt(ratio * variance + ratio**2 / 4) / (1 + ratio)
        low, high = min(low, max(middle - half, 0.0)), max(high, min(middle + half, 1.0))
    return replace(total, low=low, high=high, p_value=math.nan)


def crossed_interval(values_SP: Array, level: float = 0.95) -> Interval:
    """The interval of the mean of values (seeds, problems), of any metric from 0 to 1.

    One seed: t interval over the P values, P - 1 degrees of freedom (Miller 2024, arXiv 2411.00640, section 2.1).

    S >= 2 seeds: two-way random effects y_sp = mu + A_s + B_p + E_sp, where E also holds the sampling error. From the
    mean squares of the two-way layout with one value per cell, with the problems' variance not below zero,
        var(mean) = (MS_seed + max(MS_problem - MS_residual, 0)) / (S P),
    since E[MS_seed] = s_E^2 + P s_A^2 and E[MS_problem] = s_E^2 + S s_B^2 (Searle, Casella and McCulloch 1992,
    "Variance Components", chapter 4). With w the share of MS_seed in the sum and T = |mean| / sqrt(var(mean)),
        p = w p(T; S - 1) + (1 - w) p(T; P - 1),
    p(T; f) being Student's two-sided p-value with f degrees of freedom; the interval holds what has p >= 1 - level. Two
    estimated variances with unequal degrees of freedom are treated like this by Cochran and Cox (1957, "Experimental
    Designs", 2nd edition, chapter 4; studied by Cochran 1964, "Approximate Significance Levels of the Behrens-Fisher
    Test", Biometrics 20), who weight the two critical values of t. Weighted p-values keep small levels better: the
    correction for many comparisons uses those.

    Few seeds may agree by chance, even to the last digit. So MS_seed counts as at least F MS_residual, with F the 5 %
    quantile of the F distribution with S - 1 and (S - 1) (P - 1) degrees of freedom: without seed variance it is
    smaller one time in twenty. The level is our choice, made by simulation (docs/statistics.md).

    All values equal (0 of 30 on AIME): there is no variance to go by. If a share q of all (problem, seed) pairs had
    another value, P problems would show none with probability (1 - q)^P at most; so with q = 1 - (1 - level)^(1 / P)
    the mean lies at most q mean below and q (1 - mean) above.

    ValueError for an array of another shape, one problem, or a level outside 0..1.
    """
    values = np.asarray(values_SP, dtype=np.float64)
    _check_level(level)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"values have the shape {values.shape}; give (seeds, problems), 1 or more seeds, 2 or more problems"
        )
    num_seeds, num_problems = values.shape
    mean = float(values.mean())
    if _all_equal(values):
        share = share_unseen(num_problems, level)
        below, above, p_value = share * mean, share * (1 - mean), float(mean == 0)
    else:
        squares = mean_squares(values)  # of one seed: the t interval over problems
        below = above = float(squares.half_width(level))
        p_value = float(squares.p_value(np.float64(mean)))
    return Interval(mean, mean - below, mean + above, num_problems, num_seeds, num_seeds == 1, p_value, level)


def paired_difference(
    a: Sequence[Array], b: Sequence[Array], level: float = 0.95, seed_variance: SeedVariance | None = None
) -> Difference:
    """The mean difference a - b on the same problems and training seeds, with its interval.

    `a` and `b` hold one (problems, samples) array for each training seed, the seeds in the same order; the numbers of
    samples may differ. The values of `crossed_interval` are the differences of the two means on problem p with seed s;
    `few_problems.bounds` says where the interval is wider than there. `seed_variance` is that of a table
    (`SeedVariances.between`); None takes it from these runs alone. ValueError when the numbers of seeds or of problems
    differ, or there is only one problem.
    """
    _check_level(level)
    values_SP = differences(a, b)
    squares = mean_squares(values_SP)
    if seed_variance is not None:
        squares = squares.with_seed_variance(seed_variance)
    *found, few = bounds(values_SP, squares, level)
    mean, low, high, p_value = map(float, found)
    num_seeds, num_problems = values_SP.shape
    return Difference(mean, low, high, num_problems, num_seeds, num_seeds == 1, p_value, level, bool(few))


def seed_interval(a: Sequence[Array], b: Sequence[Array], level: float = 0.95) -> Difference:
    """The mean difference a - b on THESE problems, had training used other seeds: t interval over S paired means.

    With m_s the difference of the two scores of seed s: mean(m) +- t(S - 1) std(m, ddof=1) / sqrt(S). It says nothing
    about other problems; `paired_difference` does. ValueError for fewer than two seeds.
    """
    _check_level(level)
    values_SP = differences(a, b)
    num_seeds, num_problems = values_SP.shape
    if num_seeds < 2:
        raise ValueError("there is 1 seed; an interval over seeds needs 2 or more")
    means_S = values_SP.mean(axis=1)
    mean, error = float(means_S.mean()), standard_error(means_S)
    half = float(stats.t.ppf(0.5 + level / 2, num_seeds - 1)) * error
    # Seeds that agree to the last digit: the statistic is 0 or infinite.
    statistic = abs(mean) / error if error > 0 else (math.inf if mean else 0.0)
    p_value = float(2 * stats.t.sf(statistic, num_seeds - 1))
    return Difference(mean, mean - half, mean + half, num_problems, num_seeds, False, p_value, level)


def bootstrap(
    correct_PK: Array, over: Literal["problems", "samples"], level: float = 0.95, num_resamples: int = 2000
) -> Interval:
    """Percentile interval of one checkpoint's avg@k, redrawing problems or the samples of each problem, seeded.

    Problems are drawn with their samples. Training seeds are never drawn: three values have 10 distinct resamples, and
    the interval would be far too narrow. So it always excludes training variance. Over samples, deviations are
    stretched by sqrt(K / (K - 1)), because resampling K draws understates their variance by (K - 1) / K (Davison and
    Hinkley 1997, "Bootstrap Methods and their Application", section 2.3). The bounds are nan where what is drawn does
    not vary (one problem or sample, all equal): a bootstrap cannot know what it never saw. `p_value` is nan.
    """
    _check_level(level)
    outcomes_PK = _outcomes(correct_PK, "correct_PK")
    num_problems, num_samples = outcomes_PK.shape
    mean = float(outcomes_PK.mean())
    means_P = outcomes_PK.mean(axis=1)
    low = high = math.nan
    if not _all_equal(means_P) if over == "problems" else (np.ptp(outcomes_PK, axis=1) > 0).any():
        rng = np.random.default_rng(0)
        draws = np.empty(num_resamples)
        for number in range(num_resamples):
            if over == "problems":
                draws[number] = means_P[rng.integers(num_problems, size=num_problems)].mean()
            else:
                chosen = rng.integers(num_samples, size=outcomes_PK.shape)
                draws[number] = np.take_along_axis(outcomes_PK, chosen, axis=1).mean()
        if over == "samples":
            draws = mean + (draws - mean) * math.sqrt(num_samples / (num_samples - 1))
        low, high = (float(bound) for bound in np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2]))
        low, high = min(max(low, 0.0), mean), max(min(high, 1.0), mean)
    return Interval(mean, low, high, num_problems, 1, True, math.nan, level)


def differences(a: Sequence[Array], b: Sequence[Array]) -> FloatArray:
    """Differences of the problems' means, (seeds, problems); ValueError as `paired_difference` says."""
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


def standard_error(values: FloatArray) -> float:
    """std(values, ddof=1) / sqrt(n), nan for one value."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _samples_error(outcomes_PK: FloatArray) -> float:
    num_problems, num_samples = outcomes_PK.shape
    if num_samples == 1:
        return math.nan
    return float(math.sqrt(float(outcomes_PK.var(axis=1, ddof=1).sum()) / num_samples) / num_problems)


def _all_equal(values: FloatArray) -> bool:
    """Whether there is no variance to go by, but for rounding."""
    return bool(np.ptp(values) <= ROUNDING * max(1.0, abs(float(values.mean()))))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a number between 0 and 1, such as 0.95")
