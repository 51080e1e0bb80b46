"""Sign flips, Holm's correction and rank intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuition.benchmarks.statistics.intervals import Difference
from tuition.benchmarks.statistics.multiplicity import (
    MAX_EXACT_UNITS,
    NUM_FLIPS,
    distinguished_pairs,
    holm,
    rank_intervals,
    sign_flip,
)

ZEROS = np.zeros((3, 1))


def test_sign_flips_by_hand() -> None:
    # Differences 1, 1, 1: two of the eight patterns are as extreme.
    test = sign_flip([np.ones((3, 1))], [ZEROS])
    assert (test.p_value, test.over, test.num_units, test.exact, test.smallest_p) == (0.25, "problems", 3, True, 0.25)


def test_with_several_seeds_the_seeds_are_flipped() -> None:
    a, b = [np.ones((50, 2))] * 3, [np.zeros((50, 2))] * 3
    over_seeds = sign_flip(a, b)
    # Three seeds that all agree, on any number of problems, are one pattern and its mirror image of eight.
    assert (over_seeds.over, over_seeds.num_units, over_seeds.p_value) == ("seeds", 3, 0.25)
    assert sign_flip(a, b, over="problems").p_value < 0.001
    with pytest.raises(ValueError, match="1 seed"):
        sign_flip(a[:1], b[:1], over="seeds")


@pytest.mark.parametrize("num_problems", [8, 60])
def test_sign_flips_agree_with_scipy(num_problems: int) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.binomial(1, 0.6, (2, num_problems, 4)) * np.array([[[1]], [[1]]])
    ours = sign_flip([a], [b])
    values = a.mean(axis=1) - b.mean(axis=1)
    theirs = stats.permutation_test(
        (values,), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True, n_resamples=4999
    )
    assert ours.exact == (np.count_nonzero(values) <= MAX_EXACT_UNITS)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-9 if num_problems == 8 else 0.03)


def test_random_flips_repeat_and_never_give_zero() -> None:
    a, b = [np.ones((40, 1))], [np.zeros((40, 1))]
    test = sign_flip(a, b)
    assert not test.exact and test.p_value == test.smallest_p == 1 / (1 + NUM_FLIPS)
    assert test == sign_flip(a, b)
    assert sign_flip(a, a).p_value == 1


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9), st.randoms(use_true_random=False))
def test_sign_flips_know_neither_order_nor_direction(counts: list[int], random: object) -> None:
    def outcomes(values: list[int]) -> np.ndarray:
        return np.array([[i < max(value, 0) for i in range(3)] for value in values], int)

    a, b = outcomes(counts), outcomes([-count for count in counts])
    order = list(range(len(counts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    p_value = sign_flip([a], [b]).p_value
    assert p_value == sign_flip([b], [a]).p_value == sign_flip([a[order]], [b[order]]).p_value
    assert 0 < p_value <= 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"p-value 1\.5"):
        holm([1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_never_below_the_raw_p_value_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for raw, corrected in zip(p_values, adjusted, strict=True):
        assert raw <= corrected <= 1
    for i, j in zip(range(len(p_values)), range(1, len(p_values)), strict=False):
        assert (p_values[i] <= p_values[j]) <= (adjusted[i] <= adjusted[j])
    assert min(adjusted) == min(1, len(p_values) * min(p_values))


def difference(mean: float, p_value: float) -> Difference:
    p_value = p_value if mean else 1.0
    half = abs(mean) * (0.5 if p_value < 0.05 else 2)
    return Difference(mean, mean - half, mean + half, 50, 3, False, p_value)


@pytest.mark.parametrize(
    ("a_over_b", "apart", "ranks"),
    [
        # Three tests: 0.001 becomes 0.003, and the next smallest is doubled. 0.02 survives as 0.04, 0.03 does not.
        (0.02, {("a", "b"), ("a", "c")}, {"a": (1, 1), "b": (2, 3), "c": (2, 3)}),
        (0.03, {("a", "c")}, {"a": (1, 2), "b": (1, 3), "c": (2, 3)}),
    ],
)
def test_rank_intervals_by_hand(
    a_over_b: float, apart: set[tuple[str, str]], ranks: dict[str, tuple[int, int]]
) -> None:
    pairwise = {
        ("a", "b"): difference(0.1, a_over_b),
        ("c", "a"): difference(-0.2, 0.001),
        ("b", "c"): difference(0.1, 0.4),
    }
    assert distinguished_pairs(["b", "c", "a"], pairwise) == apart
    assert rank_intervals(["b", "c", "a"], pairwise) == ranks


def test_a_longer_table_needs_smaller_p_values() -> None:
    """The same difference is told apart among 2 entries, and no more once 15 pairs are looked at."""
    names = [f"entry {i}" for i in range(6)]
    pairwise = {(a, b): difference(0.1, 1.0) for i, a in enumerate(names) for b in names[i + 1 :]}
    pairwise[names[0], names[1]] = difference(0.1, 0.004)
    assert rank_intervals(names[:2], pairwise) == {names[0]: (1, 1), names[1]: (2, 2)}
    assert set(rank_intervals(names, pairwise).values()) == {(1, 6)}


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=5), st.data())
def test_rank_intervals_lie_within_those_of_single_tests(scores: list[float], data: st.DataObject) -> None:
    names = [f"entry {i}" for i in range(len(scores))]
    pairwise = {
        (names[i], names[j]): difference(scores[i] - scores[j], data.draw(st.sampled_from([0.001, 0.02, 0.3])))
        for i in range(len(scores))
        for j in range(i)
    }
    both_ways = {**pairwise, **{(b, a): d.reversed() for (a, b), d in pairwise.items()}}
    ranks = rank_intervals(names, pairwise)
    for name in names:
        # As if each pair had been tested alone.
        significant = [d.mean for (a, _), d in both_ways.items() if a == name and d.p_value < 0.05]
        first = 1 + sum(mean < 0 for mean in significant)
        last = len(names) - sum(mean > 0 for mean in significant)
        assert 1 <= ranks[name][0] <= first <= last <= ranks[name][1] <= len(names)


def test_repeated_names_and_missing_pairs_are_named() -> None:
    with pytest.raises(ValueError, match="'a' appears twice"):
        rank_intervals(["a", "a"], {})
    with pytest.raises(ValueError, match="'a' and 'b'"):
        rank_intervals(["a", "b"], {})
