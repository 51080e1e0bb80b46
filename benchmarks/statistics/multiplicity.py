"""Tests of many differences: sign-flip permutation p-values, Holm's correction, and ranks as intervals.

What: `sign_flip` tests one paired difference without a normal distribution; `holm` corrects the p-values of a table;
`distinguished_pairs` says which pairs of a table differ after that correction, and `rank_intervals` which ranks are
consistent with that.

Simplified: Holm's correction knows nothing of the correlation of the differences, so it is somewhat conservative.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuition.benchmarks.statistics.intervals import Array, Difference, FloatArray, differences

MAX_EXACT_UNITS = 16  # 65,536 sign patterns
RANKED_SEEDS = 3  # with fewer, tables of equal rows show ranks that differ: docs/statistics.md
NUM_FLIPS = 19_999  # a Monte Carlo p-value is then never below 1/20,000
TIE = 1e-12  # sums of the same differences in another order agree to this


@dataclass(frozen=True)
class SignFlip:
    """A sign-flip permutation test. `smallest_p` is what the test could give at most extreme: 2^(1 - units) or more."""

    p_value: float
    over: Literal["problems", "seeds"]
    num_units: int
    exact: bool
    smallest_p: float


def sign_flip(
    a: Sequence[Array], b: Sequence[Array], over: Literal["problems", "seeds"] | None = None, seed: int = 0
) -> SignFlip:
    """Two-sided p-value of the mean difference a - b, by flipping the signs of independent differences (Fisher 1935).

    Over problems (the default with one seed): d_p is problem p's difference, the mean over the seeds. Hypothesis: THESE
    checkpoints are exchangeable on every problem. Rejecting it says that these checkpoints differ, not that the recipes
    that trained them do. Over seeds (the default from two seeds on): d_s is seed s's difference of scores. Hypothesis:
    the two recipes are exchangeable on these problems, training seed by training seed. With S seeds the p-value is
    never below 2^(1 - S): 0.25 with three; six are needed to go below 0.05, and that is the honest answer. Flipping
    problems with several seeds' means would treat the seeds' common part as if each problem had drawn its own.

    Exact over all sign patterns for up to MAX_EXACT_UNITS differences other than zero (zeros do not matter); otherwise
    by NUM_FLIPS random patterns, p = (1 + as extreme) / (1 + patterns) (Phipson and Smyth 2010, "Permutation P-values
    Should Never Be Zero"), the same for the same `seed`. ValueError as `paired_difference`, and for one seed over
    seeds.
    """
    values_SP = differences(a, b)
    num_seeds = len(values_SP)
    if over is None:
        over = "problems" if num_seeds == 1 else "seeds"
    if over == "seeds" and num_seeds == 1:
        raise ValueError("there is 1 seed; flip over problems, or give 2 or more seeds")
    units = values_SP.mean(axis=0 if over == "problems" else 1)
    moving = units[np.abs(units) > TIE]
    exact = len(moving) <= MAX_EXACT_UNITS
    sums = _all_sums(moving) if exact else _random_sums(moving, seed)
    extreme = int((np.abs(sums) >= abs(moving.sum()) - TIE * len(units)).sum())
    p_value = extreme / len(sums) if exact else (1 + extreme) / (1 + NUM_FLIPS)
    smallest = min(2.0 / len(sums), 1.0) if exact else 1 / (1 + NUM_FLIPS)
    return SignFlip(p_value, over, len(units), exact, smallest)


def _all_sums(values: FloatArray) -> FloatArray:
    """The sums under all 2^n sign patterns."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _random_sums(values: FloatArray, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, size=(NUM_FLIPS, len(values)), dtype=np.int8)
    sums: FloatArray = 2.0 * (signs @ values) - values.sum()
    return sums


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: below 0.05 means significant with the whole table's error kept at 5 %.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure": the i-th smallest of m (i from 0) is
    multiplied by m - i, made no smaller than its predecessor, and cut at 1. ValueError for a value outside 0..1.
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"p-value {wrong[0]}; give numbers from 0 to 1")
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def distinguished_pairs(names: Sequence[str], pairwise: Mapping[tuple[str, str], Difference]) -> set[tuple[str, str]]:
    """The pairs (better, worse) whose difference has a p-value below 1 - level after `holm` over all pairs.

    The chance that any pair of the table is distinguished falsely is then at most 1 - level, for any table size.
    `pairwise` holds each pair once, in either order. ValueError for a repeated name or a pair that is missing.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"entry {repeated[0]!r} appears twice; give entries distinct names")
    pairs = [(a, b) for index, a in enumerate(names) for b in names[index + 1 :]]
    ordered = [difference_of(pairwise, a, b) for a, b in pairs]
    adjusted = holm([difference.p_value for difference in ordered])
    return {
        (a, b) if difference.mean > 0 else (b, a)
        for (a, b), difference, p_value in zip(pairs, ordered, adjusted, strict=True)
        if p_value < 1 - difference.level
    }


def rank_intervals(names: Sequence[str], pairwise: Mapping[tuple[str, str], Difference]) -> dict[str, tuple[int, int]]:
    """`ranks_left_open` by the pairs that `distinguished_pairs` finds. ValueError as there."""
    return ranks_left_open(names, distinguished_pairs(names, pairwise))


def ranks_left_open(names: Sequence[str], apart: Collection[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """For every entry the first and the last rank (1 is best) consistent with the pairs (better, worse).

    The first rank is 1 + the number of entries that are better, the last rank the number of entries less those that are
    worse.
    """
    first, last = dict.fromkeys(names, 1), dict.fromkeys(names, len(names))
    for better, worse in apart:
        first[worse] += 1
        last[better] -= 1
    return {name: (first[name], last[name]) for name in names}


def difference_of(pairwise: Mapping[tuple[str, str], Difference], a: str, b: str) -> Difference:
    """The difference a - b, whichever way round the pair stands. ValueError where there is none."""
    if (a, b) in pairwise:
        return pairwise[a, b]
    if (b, a) in pairwise:
        return pairwise[b, a].reversed()
    raise ValueError(f"no paired difference of {a!r} and {b!r}; give one for every pair of entries")
