"""Bounds where few problems differ: exact where nothing is seen, without jumps, and in accord with the p-value."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuition.benchmarks.statistics.few_problems import bounds, share_unseen
from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.benchmarks.statistics.variance import mean_squares


def solved(num_right: int, num_problems: int = 30, num_samples: int = 16) -> list[np.ndarray]:
    """Three seeds, in the first of which so many samples are right, on one problem after the other."""
    first = np.zeros(num_problems * num_samples)
    first[:num_right] = 1
    return [first.reshape(num_problems, num_samples), *[np.zeros((num_problems, num_samples))] * 2]


def test_nothing_solved_of_thirty_is_within_nine_and_a_half_points() -> None:
    found = paired_difference(solved(0), solved(0))
    assert (found.low, found.high) == pytest.approx((-0.0950, 0.0950), abs=1e-4)
    assert found.few_problems and found.p_value == 1


def test_no_bound_jumps_when_one_sample_turns_right() -> None:
    """It did: 0 of 480 gave 9.5 points, 1 of 480 gave -0.22 to +0.63."""
    differences = [paired_difference(solved(count), solved(0)) for count in range(48)]
    for before, after in pairwise(differences):
        assert abs(after.high - before.high) < 0.01 and abs(after.low - before.low) < 0.01
    assert (differences[1].low, differences[1].high) == pytest.approx((-0.0944, 0.0957), abs=1e-4)


def test_the_bound_towards_zero_fades_with_p() -> None:
    """Of one sample more right in one, two or all three runs, each on another problem, as docs/statistics.md has it."""
    none = [np.zeros((30, 8))] * 3
    found = []
    for count in (1, 2, 3):
        runs = [np.zeros((30, 8)) for _ in range(3)]
        for run in range(count):
            runs[run][run, 0] = 1
        found.append(paired_difference(runs, none))
    assert [100 * one.low for one in found] == pytest.approx([-9.4, -5.1, 0.2], abs=0.05)
    assert [one.p_value for one in found] == pytest.approx([0.42, 0.18, 0.02], abs=0.005)


def test_equal_differences_have_the_exact_bound_and_others_that_of_t() -> None:
    right, wrong = [np.ones((30, 16)) for _ in range(5)], [np.zeros((30, 16))] * 5
    assert paired_difference(right, wrong).low == pytest.approx(0.81, abs=0.001)
    right[0][0, 0] = 0
    other = paired_difference(right, wrong)
    assert (100 * other.low, 100 * other.high) == pytest.approx((99.8, 100.1), abs=0.05)


def test_gains_that_came_as_rare_events_have_the_exact_bound_of_their_number() -> None:
    # 4 of 100 problems turn from never to always: 8.9 %, Clopper and Pearson's one-sided 95 % bound, beyond t's 7.9.
    gains = np.zeros((100, 1))
    gains[:4] = 1
    found = paired_difference([gains] * 3, [np.zeros((100, 1))] * 3)
    assert found.high == pytest.approx(stats.binomtest(4, 100, alternative="less").proportion_ci(0.95).high)
    assert found.few_problems
    mirrored = paired_difference([np.zeros((100, 1))] * 3, [gains] * 3)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_many_problems_that_vary_keep_the_t_interval() -> None:
    rng = np.random.default_rng(1)
    a, b = ([rng.binomial(1, rate, (400, 8)) for _ in range(3)] for rate in (0.6, 0.5))
    values_SP = np.stack([x.mean(axis=1) - y.mean(axis=1) for x, y in zip(a, b, strict=True)])
    found, half = paired_difference(a, b), mean_squares(values_SP).half_width(0.95)
    assert not found.few_problems
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 4), st.floats(0.01, 0.5))
def test_zero_is_left_out_just_where_p_is_small(seed: int, num_problems: int, num_seeds: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    values_SP = rng.binomial(4, rate, (num_seeds, num_problems)) / 4 - rng.binomial(4, 0.1, (1, num_problems)) / 4
    mean, low, high, p_value, _ = bounds(values_SP, mean_squares(values_SP), 0.95)
    if abs(p_value - 0.05) > 1e-6:
        assert (low > 0 or high < 0) == (p_value < 0.05)
    assert low <= mean <= high
    unseen = share_unseen(num_problems, 0.95)
    assert (high if mean >= 0 else -low) >= abs(mean) + unseen * (1 - abs(mean)) - 1e-12


def test_many_layouts_at_once_are_the_same() -> None:
    rng = np.random.default_rng(0)
    values_RSP = rng.binomial(2, 0.1, (5, 3, 12)) / 2 - rng.binomial(2, 0.1, (5, 3, 12)) / 2
    values_RSP[3] = 0
    together = bounds(values_RSP, mean_squares(values_RSP), 0.95)
    for number, values_SP in enumerate(values_RSP):
        alone = bounds(values_SP, mean_squares(values_SP), 0.95)
        assert [x[number] for x in together] == pytest.approx([float(x) for x in alone], abs=1e-9)
