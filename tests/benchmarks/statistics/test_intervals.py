"""Statistics: examples worked by hand, invariants, and the coverage of the intervals."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from tuition.benchmarks.statistics.intervals import (
    Difference,
    avg_at_k,
    bootstrap,
    crossed_interval,
    paired_difference,
    score_interval,
    score_over_seeds,
    seed_interval,
)
from tuition.benchmarks.statistics.variance import MeanSquares, mean_squares

Array = NDArray[Any]


@st.composite
def two_systems(draw: st.DrawFn) -> tuple[list[Array], list[Array]]:
    num_seeds, num_problems = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    samples_a, samples_b = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def system(num_samples: int) -> list[Array]:
        outcomes = arrays(np.int8, (num_problems, num_samples), elements=st.integers(0, 1))
        return [draw(outcomes) for _ in range(num_seeds)]

    return system(samples_a), system(samples_b)


def all_equal(a: list[Array], b: list[Array]) -> bool:
    return np.ptp([x.mean(axis=1) - y.mean(axis=1) for x, y in zip(a, b, strict=True)]) < 1e-12


def numbers(difference: Difference) -> list[float]:
    return [difference.mean, difference.low, difference.high, difference.p_value]


def test_avg_at_k_by_hand() -> None:
    score = avg_at_k(np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]))
    assert score.mean == 0.5
    assert score.se_problems == pytest.approx(0.5 / math.sqrt(3))
    # Only the first problem varies: variance 1/3 over 4 samples.
    assert score.se_samples == pytest.approx(math.sqrt(1 / 3 / 4) / 3)
    assert (score.num_problems, score.num_samples, score.num_seeds) == (3, 4, 1)
    assert math.isnan(score.se_seeds)


def test_one_sample_has_no_error_over_samples_and_one_problem_none_over_problems() -> None:
    assert math.isnan(avg_at_k(np.array([[1], [0]])).se_samples)
    assert math.isnan(avg_at_k(np.array([[1, 0]])).se_problems)


def test_score_over_seeds_by_hand() -> None:
    score = score_over_seeds([np.array([[1, 1], [1, 0]]), np.array([[1, 0], [0, 0]])])
    assert score.mean == 0.5
    assert score.se_seeds == pytest.approx(np.std([0.75, 0.25], ddof=1) / math.sqrt(2))
    assert score.se_problems == pytest.approx(np.std([0.75, 0.25], ddof=1) / math.sqrt(2))
    one = math.sqrt(0.5 / 2) / 2
    assert score.se_samples == pytest.approx(math.sqrt(2 * one**2) / 2)
    assert score.num_seeds == 2


def test_score_over_one_seed_is_the_score_of_the_run() -> None:
    outcomes_PK = np.array([[1, 0, 1], [0, 0, 1]])
    alone, over_seeds = avg_at_k(outcomes_PK), score_over_seeds([outcomes_PK])
    assert (alone.mean, alone.se_problems, alone.se_samples) == pytest.approx(
        (over_seeds.mean, over_seeds.se_problems, over_seeds.se_samples)
    )
    assert math.isnan(over_seeds.se_seeds)


def excludes_zero(difference: Difference) -> bool:
    return difference.low > 0 or difference.high < 0


def test_paired_difference_with_one_seed_is_the_paired_t_interval() -> None:
    # Differences .5, 0, 1, .5: mean .5, standard error sqrt(1/6)/2; t(.975, 3 df) = 3.182446.
    a = np.array([[1, 0], [1, 1], [1, 1], [1, 0]])
    b = np.array([[0], [1], [0], [0]])
    difference = paired_difference([a], [b])
    half = 3.182446 * math.sqrt(1 / 6) / 2
    assert difference.mean == 0.5
    assert (difference.low, difference.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert difference.excludes_training_variance
    assert difference.p_value == pytest.approx(0.0917, abs=1e-4)
    assert not excludes_zero(difference)


def test_paired_difference_over_seeds_by_hand() -> None:
    # d_sp = [[0, 0, 1], [1, 0, 1]]: grand mean 1/2, MS_seed = 1/6, MS_problem = 1/2, MS_residual = 1/6.
    a = [np.array([[0], [0], [1]]), np.array([[1], [0], [1]])]
    b = [np.zeros((3, 1)), np.zeros((3, 1))]
    difference = paired_difference(a, b)

    # Variance (1/6 + 1/2 - 1/6) / 6 = 1/12, a third of it from the seeds. Student's p-values in closed form:
    # 1 - 2/pi atan(t) with 1 degree of freedom (seeds), 1 - t / sqrt(2 + t^2) with 2 (problems).
    def p_value(t: float) -> float:
        return (1 - 2 / math.pi * math.atan(t)) / 3 + 2 / 3 * (1 - t / math.sqrt(2 + t**2))

    half = 1.8071712
    assert p_value(half * math.sqrt(12)) == pytest.approx(0.05)
    assert (difference.low, difference.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert difference.p_value == pytest.approx(p_value(0.5 * math.sqrt(12)))
    assert not difference.excludes_training_variance
    assert (difference.num_seeds, difference.num_problems) == (2, 3)


def test_the_parts_of_the_variance_weight_the_p_values_by_hand() -> None:
    # d_sp = mu + A_s + B_p with a residual of +-.1 that is orthogonal to both.
    residual_SP = 0.1 * np.array([[1, -1, 0, 0], [-1, 1, 0, 0]])
    d_SP = 0.5 + np.array([[-0.3], [0.3]]) + np.array([[-0.2, -0.2, 0.2, 0.2]]) + residual_SP
    ms_seed, ms_problem, ms_residual = 4 * 0.18 / 1, 2 * 0.16 / 3, 0.04 / 3
    total = ms_seed + ms_problem - ms_residual
    difference = paired_difference([row[:, None] for row in d_SP], [np.zeros((4, 1))] * 2)
    for mean, expected in ((0.5, difference.p_value), (difference.high - 0.5, 0.05)):
        p_seed, p_problem = (2 * stats.t.sf(mean / math.sqrt(total / 8), freedom) for freedom in (1, 3))
        assert (ms_seed * p_seed + (ms_problem - ms_residual) * p_problem) / total == pytest.approx(expected)
    assert difference.low == pytest.approx(1 - difference.high)


@given(two_systems())
def test_the_difference_is_antisymmetric(systems: tuple[list[Array], list[Array]]) -> None:
    a, b = systems
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert numbers(there.reversed()) == pytest.approx(numbers(back), abs=1e-12)


def test_equal_mean_squares_give_one_interval_in_any_order() -> None:
    a = [np.full((4, 1), value) for value in (0, 1, 0)]
    b = [np.array([[0], [0], [1], [1]]), np.array([[1], [0], [0], [1]]), np.zeros((4, 1), int)]
    first = paired_difference(a, b)
    again = paired_difference([x[::-1] for x in a[::-1]], [x[::-1] for x in b[::-1]])
    assert (first.low, first.high) == pytest.approx((again.low, again.high), abs=1e-9)


@given(two_systems(), st.randoms(use_true_random=False))
def test_the_order_of_problems_and_seeds_does_not_matter(systems: tuple[list[Array], list[Array]], random: Any) -> None:
    a, b = systems
    problems, seeds = list(range(len(a[0]))), list(range(len(a)))
    random.shuffle(problems)
    random.shuffle(seeds)
    shuffled = paired_difference([a[s][problems] for s in seeds], [b[s][problems] for s in seeds])
    assert numbers(paired_difference(a, b)) == pytest.approx(numbers(shuffled), abs=1e-9)


@given(two_systems(), st.sampled_from([0.25, 0.5, 2.0]))
def test_the_difference_scales(systems: tuple[list[Array], list[Array]], factor: float) -> None:
    a, b = systems
    assume(not all_equal(a, b))  # then the bound uses that outcomes are 0 or 1, as it does with few problems
    plain, scaled = paired_difference(a, b), paired_difference([factor * x for x in a], [factor * x for x in b])
    assert scaled.mean == pytest.approx(factor * plain.mean, abs=1e-12)
    assert scaled.p_value == pytest.approx(plain.p_value, abs=1e-9)


@given(two_systems())
def test_a_system_does_not_differ_from_itself(systems: tuple[list[Array], list[Array]]) -> None:
    difference = paired_difference(systems[0], systems[0])
    # No variance is no certainty: with a share q of other problems, P of them show none with probability (1 - q)^P.
    share = 1 - 0.05 ** (1 / difference.num_problems)
    assert numbers(difference) == pytest.approx([0, -share, share, 1])


@given(two_systems())
def test_mean_and_p_value_agree_with_the_interval(systems: tuple[list[Array], list[Array]]) -> None:
    a, b = systems
    difference = paired_difference(a, b)
    assert difference.mean == pytest.approx(score_over_seeds(a).mean - score_over_seeds(b).mean, abs=1e-12)
    assert difference.low <= difference.mean <= difference.high
    if abs(difference.p_value - 0.05) > 1e-6:
        assert excludes_zero(difference) == (difference.p_value < 0.05)


@given(two_systems())
def test_more_samples_of_the_same_outcomes_change_no_difference(systems: tuple[list[Array], list[Array]]) -> None:
    a, b = systems
    repeated = paired_difference([np.repeat(x, 2, axis=1) for x in a], b)
    assert numbers(repeated) == pytest.approx(numbers(paired_difference(a, b)), abs=1e-12)


@settings(deadline=None)
@given(two_systems())
def test_a_higher_level_gives_a_wider_interval(systems: tuple[list[Array], list[Array]]) -> None:
    narrow, wide = paired_difference(*systems, level=0.8), paired_difference(*systems, level=0.99)
    assert wide.low <= narrow.low and narrow.high <= wide.high
    assert wide.level == 0.99


@given(two_systems())
def test_exchanging_right_and_wrong_turns_the_difference_and_the_score_around(
    systems: tuple[list[Array], list[Array]],
) -> None:
    a, b = systems
    turned = paired_difference([1 - x for x in a], [1 - x for x in b])
    assert numbers(turned) == pytest.approx(numbers(paired_difference(b, a)), abs=1e-9)
    score, other = score_interval(a), score_interval([1 - x for x in a])
    assert (other.mean, other.low, other.high) == pytest.approx((1 - score.mean, 1 - score.high, 1 - score.low))


@given(two_systems())
def test_a_score_lies_in_its_interval_within_0_and_1(systems: tuple[list[Array], list[Array]]) -> None:
    corrects = systems[0]
    interval = score_interval(corrects)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    assert interval.mean == pytest.approx(score_over_seeds(corrects).mean)
    assert interval.excludes_training_variance == (len(corrects) == 1)
    # So much of the whole may be otherwise where none of these problems is.
    share = 1 - 0.05 ** (1 / interval.num_problems)
    assert interval.low <= interval.mean * (1 - share) + 1e-12
    assert interval.high >= interval.mean + share * (1 - interval.mean) - 1e-12


def test_the_interval_of_a_score_by_hand() -> None:
    # 40 problems, every second one solved once of two: mean 1/4, variance over problems 2.5 / 39.
    interval = score_interval([np.array([[1, 0], [0, 0]] * 20)])
    half = stats.t.ppf(0.975, 39) * math.sqrt(2.5 / 39 / 40)
    assert half == pytest.approx(0.0809, abs=1e-4)
    for bound in (interval.low, interval.high):
        assert abs(bound - 0.25) == pytest.approx(half * math.sqrt(bound * (1 - bound) / (0.25 * 0.75)))
    # One problem of 30 solved once of 16: the exact bound is the wider one above.
    once_PK = np.zeros((30, 16))
    once_PK[3, 5] = 1
    rare = score_interval([once_PK])
    assert rare.mean == pytest.approx(1 / 480)
    assert rare.high == pytest.approx(1 / 480 + (1 - 0.05 ** (1 / 30)) * 479 / 480)
    with pytest.raises(ValueError, match="give verdicts"):
        score_interval([np.array([[2], [0]])])


def test_none_solved_of_thirty_is_not_known_to_be_zero() -> None:
    interval = score_interval([np.zeros((30, 16))])
    # (1 - high)^30 = 0.05: the rule of three, 3 / 30, a little sharper.
    assert (interval.mean, interval.low) == (0, 0)
    assert (1 - interval.high) ** 30 == pytest.approx(0.05)
    assert score_interval([np.ones((30, 16))]).low == pytest.approx(1 - interval.high)


def test_an_equal_difference_on_every_problem_is_significant_from_five_problems_on() -> None:
    four, five = (paired_difference([np.ones((n, 1))], [np.zeros((n, 1))]) for n in (4, 5))
    assert not excludes_zero(four) and four.p_value == pytest.approx(1 / 16)
    assert excludes_zero(five) and five.p_value == pytest.approx(1 / 32)
    assert paired_difference([np.zeros((5, 1))], [np.ones((5, 1))]).p_value == pytest.approx(1 / 32)


def test_seeds_that_agree_by_chance_do_not_make_a_tiny_p_value() -> None:
    # Three seeds, 256 problems, seeds as far apart as noise explains: 10 points, but only two degrees of freedom.
    rng = np.random.default_rng(3)
    a = [rng.binomial(1, 0.5, (256, 8)) for _ in range(3)]
    b = [rng.binomial(1, 0.4, (256, 8)) for _ in range(3)]
    difference = paired_difference(a, b)
    assert excludes_zero(difference)
    assert 1e-4 < difference.p_value < 0.05


def test_the_interval_over_seeds_by_hand() -> None:
    # Paired means 1/2, 1 and 0: mean 1/2, standard error 1/2 / sqrt(3), t(.975, 2) = 4.302653.
    a = [np.array([[1], [0]]), np.array([[1], [1]]), np.array([[0], [0]])]
    difference = seed_interval(a, [np.zeros((2, 1))] * 3)
    half = 4.302653 * 0.5 / math.sqrt(3)
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
    assert not difference.excludes_training_variance
    with pytest.raises(ValueError, match="1 seed"):
        seed_interval(a[:1], a[:1])


def test_bootstraps_agree_with_the_standard_errors() -> None:
    rng = np.random.default_rng(0)
    rate_P = rng.beta(0.5, 0.5, 200)
    outcomes_PK = rng.binomial(1, rate_P[:, None], (200, 4))
    score = avg_at_k(outcomes_PK)
    for over, error in (("problems", score.se_problems), ("samples", score.se_samples)):
        interval = bootstrap(outcomes_PK, over)  # type: ignore[arg-type]
        assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
        assert interval == replace(bootstrap(outcomes_PK, over), p_value=interval.p_value)  # type: ignore[arg-type]
        assert interval.mean == score.mean and interval.excludes_training_variance


@given(two_systems())
def test_a_bootstrap_stays_within_0_and_1_around_the_score(systems: tuple[list[Array], list[Array]]) -> None:
    interval = bootstrap(systems[0][0], "problems", num_resamples=20)
    assert math.isnan(interval.low) or 0 <= interval.low <= interval.mean <= interval.high <= 1


@pytest.mark.parametrize(
    ("outcomes", "over"),
    [
        (np.array([[1, 0]]), "problems"),  # one problem
        (np.array([[1], [0]]), "samples"),  # one sample
        (np.zeros((30, 16)), "problems"),
        (np.array([[1, 1], [0, 0]]), "samples"),
        (np.array([[1, 0], [0, 1]]), "problems"),  # equal means
    ],
)
def test_a_bootstrap_of_what_does_not_vary_is_not_known(outcomes: Array, over: Any) -> None:
    interval = bootstrap(outcomes, over)
    assert math.isnan(interval.low) and math.isnan(interval.high)


def test_mean_squares_are_those_of_the_two_way_layout() -> None:
    values_SP = np.array([[0.0, 0, 1], [1, 0, 1]])
    squares = mean_squares(values_SP)
    assert (squares.seed, squares.problem, squares.residual) == pytest.approx((1 / 6, 1 / 2, 1 / 6))
    several = mean_squares(np.stack([values_SP, 2 * values_SP]))
    assert several.problem == pytest.approx([1 / 2, 2])
    assert several.half_width(0.95)[1] == pytest.approx(2 * squares.half_width(0.95))


def test_seeds_and_problems_that_agree_by_chance_leave_a_wide_interval() -> None:
    # MS_seed = MS_problem = 0, MS_residual = 1: MS_seed counts as the 5 % quantile of F(1, 1), and the 97.5 % quantile
    # of t(1) is 1 over its root; so the half width is sqrt(1 / 4).
    interval = crossed_interval(np.array([[1.0, 0], [0, 1]]))
    assert (interval.low, interval.high) == pytest.approx((0, 1))


def test_seeds_that_agree_to_the_last_digit_are_not_believed() -> None:
    # Each seed solves half of eight problems. The least MS_seed that is believed of three: F(2, 14) at 5 %.
    values_SP = np.array([[1.0, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]])
    squares = mean_squares(values_SP)
    assert squares.seed == pytest.approx(0) and squares.problem > squares.residual
    believed = replace(squares, seed=stats.f.ppf(0.05, 2, 14) * squares.residual)
    assert squares.half_width(0.95) == pytest.approx(believed.half_width(0.95))
    assert squares.p_value(np.float64(0.5)) == pytest.approx(believed.p_value(np.float64(0.5)))
    more = replace(squares, seed=2 * believed.seed)
    assert more.half_width(0.95) > believed.half_width(0.95)


@pytest.mark.parametrize("level", [0.1, 0.95, 0.999, 1 - 1e-6])
@pytest.mark.parametrize(("num_seeds", "num_problems"), [(2, 2), (2, 500), (3, 30), (40, 5), (10, 100_000)])
def test_a_mean_at_the_end_of_the_interval_has_the_p_value_of_the_level(
    num_seeds: int, num_problems: int, level: float
) -> None:
    seed, problem, residual = np.random.default_rng(0).lognormal(0, 3, (3, 200))
    squares = MeanSquares(seed, problem, residual, num_seeds, num_problems)
    assert squares.p_value(squares.half_width(level)) == pytest.approx(1 - level, rel=1e-8)


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("deviations", [(0.05, 0.2, 0.3), (0.1, 0.1, 0.1), (0.02, 0.2, 0.1)])
def test_intervals_over_seeds_cover_the_truth(num_seeds: int, deviations: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    seed_sd, problem_sd, residual_sd = deviations
    repetitions, num_problems, truth, hits = 600, 40, 0.1, 0
    for _ in range(repetitions):
        d_SP = truth + rng.normal(0, seed_sd, (num_seeds, 1)) + rng.normal(0, problem_sd, (1, num_problems))
        d_SP = d_SP + rng.normal(0, residual_sd, d_SP.shape)
        difference = paired_difference([row[:, None] for row in d_SP], [np.zeros((num_problems, 1))] * num_seeds)
        hits += difference.low <= truth <= difference.high
    # 94.4 to 97 %, and two standard errors of 600 repetitions or more.
    assert 0.92 <= hits / repetitions <= 0.985


def test_one_seed_misses_the_variance_of_training() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        d_P = rng.normal(0, 0.1) + rng.normal(0, 0.1, (40, 1))
        difference = paired_difference([d_P], [np.zeros((40, 1))])
        hits += difference.low <= 0 <= difference.high
    # The reason for the flag: the truth over retrainings lies outside far more often than one time in twenty.
    assert hits / 200 < 0.6


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([np.zeros((3, 2))], [np.zeros((4, 2))], r"\(3, 2\), \(4, 2\)"),
        ([np.zeros((3, 2))] * 2, [np.zeros((3, 2))], "a has 2 seeds, b has 1"),
        ([], [], "a has 0 seeds"),
        ([np.zeros(3)], [np.zeros(3)], r"shape \(3,\)"),
        ([np.zeros((1, 2))], [np.zeros((1, 2))], "1 problem"),
        ([np.full((2, 2), np.nan)], [np.zeros((2, 2))], "not finite"),
    ],
)
def test_shapes_that_do_not_pair_are_named(a: list[Array], b: list[Array], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b)


def test_other_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="0 seeds"):
        score_over_seeds([])
    with pytest.raises(ValueError, match="shapes differ"):
        score_over_seeds([np.zeros((2, 2)), np.zeros((2, 3))])
    with pytest.raises(ValueError, match=r"shape \(0, 2\)"):
        avg_at_k(np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"level is 95"):
        paired_difference([np.zeros((2, 2))], [np.zeros((2, 2))], level=95)
