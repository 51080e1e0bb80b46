"""Seed variances of a table: shrunk towards the usual, never below a row's own, with the freedom that they have."""

import numpy as np
import pytest

from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.benchmarks.statistics.seed_variance import PRIOR_FREEDOM, SeedVariances, moderate, of_difference
from tuition.benchmarks.statistics.variance import mean_squares


def test_variances_are_shrunk_towards_the_usual_one_and_never_below_their_own() -> None:
    # Two degrees of freedom each, the usual variance is 4: (4 x 4 + 2 x 1) / 6 = 3, and 7 stays 7.
    assert PRIOR_FREEDOM == 4
    assert moderate(np.array([1.0, 7.0]), np.array([2.0, 2.0])) == pytest.approx([3, 7])
    # A row of ten seeds counts for more, in the usual variance and in its own.
    assert moderate(np.array([1.0, 5.0]), np.array([9.0, 1.0])) == pytest.approx([(4 * 1.4 + 9) / 13, 5])
    many = moderate(np.array([[1.0, 7.0], [2.0, 2.0]]), np.array([2.0, 2.0]))
    assert many[1] == pytest.approx([2, 2])


def test_the_degrees_of_freedom_of_a_difference_by_hand() -> None:
    # Equal variances of 4 + 2 degrees of freedom each: 12 together; the table has 6: 1 / (1/12 + 1/6) = 4.
    between = of_difference((0.5, 2.0), (0.5, 2.0), table_freedom=6.0)
    assert (between.variance, between.freedom) == (1.0, pytest.approx(4))
    alone = of_difference((0.5, 2.0), None, table_freedom=6.0)
    assert (alone.variance, alone.freedom) == (0.5, pytest.approx(3))
    assert of_difference((0.0, 2.0), (0.0, 2.0), 6.0).freedom == pytest.approx(6)


def test_a_table_of_one_row_with_runs_leaves_each_pair_to_itself() -> None:
    one = SeedVariances.of({"a": [0.1, 0.2, 0.3], "base": [0.5], "quick": [0.4]})
    assert one.between("a", "base") is None
    two = SeedVariances.of({"a": [0.1, 0.2, 0.3], "b": [0.4, 0.4, 0.5], "base": [0.5]})
    both, fixed = two.between("a", "b"), two.between("a", "base")
    assert both is not None and fixed is not None and both.variance > fixed.variance > 0
    assert two.between("base", "elsewhere") is None


def test_the_tables_variance_takes_the_place_of_the_pairs_own() -> None:
    rng = np.random.default_rng(0)
    a, b = ([rng.binomial(1, 0.5, (40, 4)) for _ in range(3)] for _ in range(2))
    known = of_difference((0.02**2, 2.0), (0.02**2, 2.0), table_freedom=20.0)
    values_SP = np.stack([x.mean(axis=1) - y.mean(axis=1) for x, y in zip(a, b, strict=True)])
    squares = mean_squares(values_SP).with_seed_variance(known)
    assert squares.seed == pytest.approx(40 * 2 * 0.02**2)
    found = paired_difference(a, b, seed_variance=known)
    assert found.p_value == pytest.approx(float(squares.p_value(values_SP.mean())))
    # One run tells nothing of seeds, whatever is known of others: the interval excludes training variance.
    assert paired_difference(a[:1], b[:1], seed_variance=known) == paired_difference(a[:1], b[:1])
