"""Power: how many problems, samples and seeds it takes to see a difference of two allocations.

What: `estimate_components` takes apart the variance of a measured difference, `typical_components` that of the pairs
of many; `power` is the chance that `paired_difference` of an experiment of a given size leaves out zero, or that a pair
of a whole table survives Holm's correction; `smallest` and `detectable` solve for one size.

Simplified: seeds, problems and noise are normal, and the difference is the same on average everywhere. With few
problems and scores near 0 or 1 real outcomes are not normal; plan with room to spare.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from tuition.benchmarks.statistics.intervals import Array, differences
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.benchmarks.statistics.seed_variance import SeedVariance, moderate, of_difference
from tuition.benchmarks.statistics.variance import MeanSquares, mean_squares

Size = Literal["problems", "samples", "seeds"]

MAX_PAIRS = 500  # of `typical_components`: 150 rows have 11,175
LOG2_DRAWS = 12  # 4,096 quasi-random draws of the mean squares: power to about 0.002
LARGEST: dict[Size, int] = {"problems": 100_000, "samples": 4096, "seeds": 200}
SMALLEST: dict[Size, int] = {"problems": 2, "samples": 1, "seeds": RANKED_SEEDS}
"""The least that `smallest` advises: rows of fewer seeds have no rank, however large their difference."""


class PowerError(ValueError):
    """A size or a component that makes no sense, or a power that no size reaches; with the value and the fix."""


@dataclass(frozen=True)
class Components:
    """Standard deviations of a paired difference a - b, as fractions, by source.

    `seed_sd`: from training seed to training seed, on all problems alike; `problem_sd`: from problem to problem, for
    all seeds alike; `interaction_sd`: of a problem from seed to seed beyond both; `sample_sd`: of the difference of ONE
    sample of each on one problem, for instance sqrt(2 x the mean of p (1 - p)) if both solve it with probability p.
    """

    seed_sd: float
    problem_sd: float
    interaction_sd: float
    sample_sd: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 2:
                raise PowerError(f"{name} is {value}; give a fraction between 0 and 2 (2 points are 0.02)")


@dataclass(frozen=True)
class Experiment:
    """The size of a comparison: problems, samples per problem of each allocation, training seeds of each.

    `rows`: of the table that it is a pair of, whose rows moderate each other's seed variance and whose pairs are
    corrected for their number; None for a comparison that stands alone.
    """

    problems: int
    samples: int
    seeds: int
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.rows is not None and (self.rows < 2 or self.seeds < RANKED_SEEDS):
            raise PowerError(
                f"a table of {self.rows} rows with {self.seeds} seeds ranks none; give 2 or more rows, and "
                f"{RANKED_SEEDS} or more seeds"
            )
        for name, least in (("problems", 2), ("samples", 1), ("seeds", 1)):
            value = getattr(self, name)
            if value < least:
                raise PowerError(f"{name} is {value}; give {least} or more")


@dataclass(frozen=True)
class Power:
    """What an experiment of a size would show.

    `power`: chance that the interval leaves out zero; `false_alarm`: the same if there is no difference at all (with
    one seed far above 5 %, because the interval excludes training variance); `standard_error`: of the mean difference,
    training variance included; `half_width`: mean half width of the interval, as a fraction.
    """

    difference: float
    experiment: Experiment
    power: float
    false_alarm: float
    standard_error: float
    half_width: float


def estimate_components(a: Sequence[Array], b: Sequence[Array]) -> Components:
    """Components of the difference a - b from measured outcomes, one (problems, samples) array per training seed.

    By the mean squares of the crossed layout (Searle, Casella and McCulloch 1992, chapter 4): seed_sd^2 = (MS_seed -
    MS_residual) / P, problem_sd^2 = (MS_problem - MS_residual) / S, MS_residual = interaction_sd^2 + sampling, each not
    below zero. The sampling part is the mean of the cells' var(outcomes, ddof=1) / K of a plus that of b; sample_sd^2
    is the mean of the cells' variances of a plus that of b. PowerError for fewer than two seeds (nothing is known of
    training then: give seed_sd) or one sample (noise and interaction cannot be distinguished).

    Three seeds tell little about seed_sd: its estimate is 0 in most cases where it is small, and may be half or twice
    the truth. Plan with a larger value as well.
    """
    values_SP = differences(a, b)
    num_seeds, num_problems = values_SP.shape
    if num_seeds < 2:
        raise PowerError("there is 1 training seed, which says nothing about training variance; test 2 or more seeds")
    if min(np.shape(array)[1] for array in [*a, *b]) < 2:
        raise PowerError("there is 1 sample per problem, which says nothing about sampling; score 2 or more samples")
    squares = mean_squares(values_SP)
    sample_variance = sampling = 0.0
    for system in (a, b):
        variances = [np.asarray(array, float).var(axis=1, ddof=1).mean() for array in system]
        sample_variance += float(np.mean(variances))
        sampling += float(np.mean([v / np.shape(array)[1] for v, array in zip(variances, system, strict=True)]))
    residual = float(squares.residual)
    return Components(
        seed_sd=math.sqrt(max(float(squares.seed) - residual, 0.0) / num_problems),
        problem_sd=math.sqrt(max(float(squares.problem) - residual, 0.0) / num_seeds),
        interaction_sd=math.sqrt(max(residual - sampling, 0.0)),
        sample_sd=math.sqrt(sample_variance),
    )


def typical_components(rows: Sequence[Sequence[Array]]) -> Components:
    """Components of the pairs of rows, each on the same seeds and problems: root mean squares over the pairs.

    Of more than MAX_PAIRS pairs, so many drawn with a fixed seed. PowerError as `estimate_components`, and for one row.
    """
    pairs = np.array([*combinations(range(len(rows)), 2)])
    if not len(pairs):
        raise PowerError(f"{len(rows)} rows have no pair; give 2 or more")
    if len(pairs) > MAX_PAIRS:
        pairs = np.random.default_rng(0).choice(pairs, MAX_PAIRS, replace=False)
    found = [astuple(estimate_components(rows[a], rows[b])) for a, b in pairs]
    return Components(*map(float, np.sqrt(np.square(found).mean(axis=0))))


def power(difference: float, experiment: Experiment, components: Components, level: float = 0.95) -> Power:
    """The chance that `paired_difference` at `level` leaves out zero when the true difference is `difference`.

    The mean is normal with variance seed_sd^2 / S + problem_sd^2 / P + (interaction_sd^2 + sample_sd^2 / K) / (S P) and
    independent of the mean squares, which are chi-square times their expectations (Searle, Casella and McCulloch 1992,
    chapter 4). So power = E[Phi((d - h) / sd) + Phi((-d - h) / sd)] over quasi-random draws of the half width h by the
    very method of `paired_difference`. Of a pair of a table with M pairs, h is at the level 1 - (1 - level) / M, the
    first and strictest step of Holm's correction, with the seed variance that `SeedVariances` gives it where all rows
    have the same: the pair is found at least so often. Deterministic. PowerError for a difference outside -1..1 or a
    level outside 0..1.
    """
    if not 0 < level < 1:
        raise PowerError(f"level is {level}; give a number between 0 and 1, such as 0.95")
    if not -1 <= difference <= 1:
        raise PowerError(f"the difference is {difference}; give a fraction between -1 and 1 (2 points are 0.02)")
    error = standard_error(experiment, components)
    half_D = _half_widths(experiment, components, level)
    return Power(
        difference=difference,
        experiment=experiment,
        power=_rejection(difference, half_D, error),
        false_alarm=_rejection(0.0, half_D, error),
        standard_error=error,
        half_width=float(half_D.mean()),
    )


def standard_error(experiment: Experiment, components: Components) -> float:
    """Standard error of the mean difference over seeds, problems and samples."""
    cell = components.interaction_sd**2 + components.sample_sd**2 / experiment.samples
    return math.sqrt(
        components.seed_sd**2 / experiment.seeds
        + components.problem_sd**2 / experiment.problems
        + cell / (experiment.seeds * experiment.problems)
    )


def _half_widths(experiment: Experiment, components: Components, level: float) -> np.ndarray:
    num_seeds, num_problems, rows = experiment.seeds, experiment.problems, experiment.rows
    residual = components.interaction_sd**2 + components.sample_sd**2 / experiment.samples
    uniform_D3 = stats.qmc.Sobol(3, scramble=True, seed=0).random_base2(LOG2_DRAWS)
    problem = num_seeds * components.problem_sd**2 + residual
    problem_D = problem * _chi_square(uniform_D3[:, 0], num_problems - 1)
    if num_seeds == 1:
        squares = MeanSquares(np.float64(0), problem_D, np.float64(0), 1, num_problems)
    else:
        seed = num_problems * components.seed_sd**2 + residual
        squares = MeanSquares(
            seed * _chi_square(uniform_D3[:, 1], num_seeds - 1),
            problem_D,
            residual * _chi_square(uniform_D3[:, 2], (num_seeds - 1) * (num_problems - 1)),
            num_seeds,
            num_problems,
        )
    if rows is not None:
        squares = squares.with_seed_variance(_of_a_table(seed / num_problems, rows, num_seeds - 1, len(uniform_D3)))
        level = 1 - (1 - level) / math.comb(rows, 2)
    return np.asarray(squares.half_width(level))


def _of_a_table(variance: float, rows: int, freedom: int, draws: int) -> SeedVariance:
    """Moderated variances of the difference of a table's first two rows, each row's own being half of `variance`."""
    rng = np.random.default_rng(0)
    own_DN = variance / 2 * rng.chisquare(freedom, (draws, rows)) / freedom
    moderated_DN = moderate(own_DN, np.full(rows, float(freedom)))
    pair = ((moderated_DN[:, 0], float(freedom)), (moderated_DN[:, 1], float(freedom)))
    return of_difference(*pair, table_freedom=float(rows * freedom))


def _chi_square(uniform_D: np.ndarray, freedom: int) -> np.ndarray:
    return np.asarray(stats.chi2.ppf(uniform_D, freedom) / freedom)


def _rejection(difference: float, half_D: np.ndarray, error: float) -> float:
    if error == 0:
        return float((abs(difference) > half_D).mean())
    above, below = (difference - half_D) / error, (-difference - half_D) / error
    return float((stats.norm.cdf(above) + stats.norm.cdf(below)).mean())


def detectable(experiment: Experiment, components: Components, wanted: float = 0.8, level: float = 0.95) -> Power:
    """The smallest difference that is seen with power `wanted`. PowerError if not even a difference of 1 is."""
    _check_wanted(wanted, level)

    def short(difference: float) -> float:
        return power(difference, experiment, components, level).power - wanted

    if short(1.0) < 0:
        raise PowerError(
            f"{experiment.seeds} seeds, {experiment.problems} problems and {experiment.samples} samples see no "
            f"difference with power {wanted}; take more"
        )
    if short(0.0) >= 0:
        return power(0.0, experiment, components, level)
    return power(float(brentq(short, 0.0, 1.0, xtol=1e-6)), experiment, components, level)


def smallest(
    size: Size,
    difference: float,
    experiment: Experiment,
    components: Components,
    wanted: float = 0.8,
    level: float = 0.95,
) -> Power:
    """The least problems, samples or seeds (the other two as in `experiment`) with power `wanted`.

    Seeds start at RANKED_SEEDS, below which rows have no rank, of a pair that stands alone as well. PowerError when
    even LARGEST does not reach it, with the power that it has: what limits it is then one of the other two.
    """
    _check_wanted(wanted, level)

    def at(number: int) -> Power:
        return power(difference, replace(experiment, **{size: number}), components, level)

    low, high = SMALLEST[size] - 1, LARGEST[size]
    best = at(high)
    if best.power < wanted:
        raise PowerError(
            f"{high:,} {size} see {100 * difference:g} points with power {best.power:.2f}, not {wanted}: the others "
            "limit it; take more of them, or a larger difference"
        )
    # Bisection: power grows with every size; high always reaches it, low never does or is not advised.
    while high - low > 1:
        middle = (low + high) // 2
        if at(middle).power >= wanted:
            high = middle
        else:
            low = middle
    return at(high)


def _check_wanted(wanted: float, level: float) -> None:
    if 0 < level < 1 and not 1 - level < wanted < 1:
        raise PowerError(f"power is {wanted}; give a number above {1 - level:g} and below 1, such as 0.8")
