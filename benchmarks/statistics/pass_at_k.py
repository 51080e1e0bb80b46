"""Metrics of several samples: unbiased pass@k and maj@k, exact over all subsets of k of the n samples.

What: one value for each problem, (problems,), for `statistics.crossed_interval` and the like; and the score of one run.

Simplified: maj@k counts answers that are equal as strings; `tuition.benchmarks.grading.equal_answers` makes those equal
that a policy takes for one. The error over samples of a score is the
jackknife's, for pass@k only: for maj@k it would take a count of all subsets for each sample that is left out.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tuition.benchmarks.statistics.intervals import Array, FloatArray, Score, standard_error


def ladder(num_samples: int) -> list[int]:
    """The k at which several samples are looked at: 1, 2, 4, ... below their number, and their number."""
    return [*(1 << power for power in range((num_samples - 1).bit_length())), num_samples]


def pass_at_k(correct_PK: Array, k: int) -> FloatArray:
    """For each problem the probability that k of its n samples, drawn without replacement, hold a correct one.

    Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1: with c of n
    correct, 1 - C(n - c, k) / C(n, k), the unbiased estimate of 1 - (1 - p)^k. ValueError unless outcomes are 0 or 1,
    two-dimensional, and 1 <= k <= n.
    """
    outcomes_PK = _verdicts(correct_PK, k)
    return _pass_at_k(outcomes_PK.sum(axis=1), outcomes_PK.shape[1], k)


def _pass_at_k(correct_P: FloatArray, num_samples: int, k: int) -> FloatArray:
    table = [1 - math.comb(num_samples - c, k) / math.comb(num_samples, k) for c in range(num_samples + 1)]
    shares: FloatArray = np.array(table)[correct_P.astype(int)]
    return shares


def pass_at_k_score(correct_PK: Array, k: int) -> Score:
    """pass@k of one run with its errors over problems and over samples.

    se_problems = std(values, ddof=1) / sqrt(P). se_samples is the jackknife's over the n samples of each problem
    (Efron and Stein 1981, "The Jackknife Estimate of Variance"): with t_j the value without sample j,
    (n - 1) / n sum_j (t_j - mean)^2, added over problems and divided by P^2; at k = 1 it is that of avg@n. nan for
    k = n, where no sample can be left out.
    """
    outcomes_PK = _verdicts(correct_PK, k)
    num_problems, n = outcomes_PK.shape
    correct_P = outcomes_PK.sum(axis=1)
    values_P = pass_at_k(outcomes_PK, k)
    se_samples = math.nan
    if k < n:
        # Only two values are different: without a correct sample, and without a wrong one.
        less_correct = _pass_at_k(np.maximum(correct_P - 1, 0), n - 1, k)
        less_wrong = _pass_at_k(np.minimum(correct_P, n - 1), n - 1, k)
        mean_P = (correct_P * less_correct + (n - correct_P) * less_wrong) / n
        squares_P = correct_P * (less_correct - mean_P) ** 2 + (n - correct_P) * (less_wrong - mean_P) ** 2
        se_samples = math.sqrt((n - 1) / n * float(squares_P.sum())) / num_problems
    return Score(float(values_P.mean()), standard_error(values_P), se_samples, num_problems, n)


def maj_at_k(answers: Sequence[Sequence[str | None]], correct_PK: Array, k: int) -> FloatArray:
    """For each problem the probability that the majority of k of its n samples, drawn without replacement, is correct.

    `answers` are the extracted answers, (problems, samples); equal strings are one answer, None (no answer) is drawn
    but has no vote, and k draws without any vote are wrong. A tie of t answers is broken at random, each with 1 / t. If
    samples with one answer have different verdicts (a time-out), the answer counts as correct in their share.

    Exact, by counting the subsets: an answer with m votes wins together with t - 1 others where each of the rest has
    fewer than m. Cost per problem: about (answers) k^3. ValueError for shapes that differ, or k outside 1..n.
    """
    outcomes_PK = _verdicts(correct_PK, k)
    num_problems, num_samples = outcomes_PK.shape
    if len(answers) != num_problems or any(len(row) != num_samples for row in answers):
        lengths = sorted({len(row) for row in answers})
        raise ValueError(
            f"answers are {len(answers)} problems of {lengths} samples, verdicts {num_problems} of {num_samples}; "
            "give one answer (or None) for each verdict"
        )
    return np.array([_majority(row, verdicts, k) for row, verdicts in zip(answers, outcomes_PK, strict=True)])


def maj_at_k_score(answers: Sequence[Sequence[str | None]], correct_PK: Array, k: int) -> Score:
    """maj@k of one run with its error over problems, std(values, ddof=1) / sqrt(P). se_samples is nan: not computed."""
    values_P = maj_at_k(answers, correct_PK, k)
    return Score(float(values_P.mean()), standard_error(values_P), math.nan, *np.shape(correct_PK))


def _majority(answers: Sequence[str | None], verdicts_K: FloatArray, k: int) -> float:
    counts = Counter(answer for answer in answers if answer is not None)
    silent = len(answers) - sum(counts.values())
    expected = 0.0
    for answer, count in counts.items():
        share = float(np.mean([v for a, v in zip(answers, verdicts_K, strict=True) if a == answer]))
        if share > 0:
            others = [other for name, other in counts.items() if name != answer]
            expected += share * _wins(count, others, silent, k) / math.comb(len(answers), k)
    return expected


def _wins(count: int, others: Sequence[int], silent: int, k: int) -> float:
    """The number of subsets of k that an answer with `count` samples wins, ties counted as 1 / (number that tie)."""
    wins = 0.0
    for votes in range(1, min(count, k) + 1):
        rest = k - votes
        # ways[drawn, tied]: how the other answers, each with at most `votes`, can fill `drawn` places, `tied` of them
        # with exactly `votes`.
        ways: Counter[tuple[int, int]] = Counter({(0, 0): 1})
        for other in others:
            following: Counter[tuple[int, int]] = Counter()
            for (drawn, tied), number in ways.items():
                for taken in range(min(other, votes, rest - drawn) + 1):
                    following[drawn + taken, tied + (taken == votes)] += number * math.comb(other, taken)
            ways = following
        without_vote = {drawn: math.comb(silent, rest - drawn) for drawn in range(rest + 1)}
        total = sum(number * without_vote[drawn] / (1 + tied) for (drawn, tied), number in ways.items())
        wins += math.comb(count, votes) * total
    return wins


def _verdicts(correct_PK: Array, k: int) -> FloatArray:
    outcomes_PK = np.asarray(correct_PK, dtype=np.float64)
    if outcomes_PK.ndim != 2 or 0 in outcomes_PK.shape:
        raise ValueError(f"correct_PK has the shape {outcomes_PK.shape}; give (problems, samples), both 1 or more")
    if not np.isin(outcomes_PK, (0, 1)).all():
        raise ValueError("correct_PK holds a value other than 0 and 1; give verdicts")
    if not 1 <= k <= outcomes_PK.shape[1]:
        raise ValueError(f"k is {k} and there are {outcomes_PK.shape[1]} samples; give 1 to {outcomes_PK.shape[1]}")
    return outcomes_PK
