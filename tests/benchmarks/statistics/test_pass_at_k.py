"""pass@k and maj@k: by hand, against brute force over all subsets, and against real samples."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.benchmarks.statistics.intervals import avg_at_k
from tuition.benchmarks.statistics.pass_at_k import (
    ladder,
    maj_at_k,
    maj_at_k_score,
    pass_at_k,
    pass_at_k_score,
)


@st.composite
def answered(draw: st.DrawFn) -> tuple[list[str | None], list[int], int]:
    """One problem: answers (None: no answer), their verdicts, and k."""
    answers = draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=7))
    correct = draw(st.sampled_from(["a", "b"]))
    return answers, [int(answer == correct) for answer in answers], draw(st.integers(1, len(answers)))


@pytest.mark.parametrize(
    ("num_samples", "expected"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (16, [1, 2, 4, 8, 16]), (17, [1, 2, 4, 8, 16, 17])],
)
def test_the_ladder_ends_at_all_samples(num_samples: int, expected: list[int]) -> None:
    assert ladder(num_samples) == expected


def test_pass_at_k_by_hand() -> None:
    # 1 of 4 correct: k = 2 of 4 holds it in 3 of 6 pairs.
    assert pass_at_k(np.array([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]]), 2).tolist() == [0.5, 0, 1]


@given(answered())
def test_both_are_the_mean_over_all_subsets(problem: tuple[list[str | None], list[int], int]) -> None:
    answers, verdicts, k = problem
    passed, won = [], []
    for subset in combinations(range(len(answers)), k):
        passed.append(any(verdicts[i] for i in subset))
        votes = [answers[i] for i in subset if answers[i] is not None]
        most = max((votes.count(answer) for answer in votes), default=0)
        winners = {answer for answer in votes if votes.count(answer) == most}
        right = {answers[i] for i in subset if verdicts[i]}
        won.append(len(winners & right) / len(winners) if winners else 0.0)
    assert pass_at_k(np.array([verdicts]), k)[0] == pytest.approx(np.mean(passed))
    assert maj_at_k([answers], np.array([verdicts]), k)[0] == pytest.approx(np.mean(won))


@given(answered(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(problem: tuple[list[str | None], list[int], int], random: object) -> None:
    answers, verdicts, k = problem
    order = list(range(len(answers)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = maj_at_k([[answers[i] for i in order]], np.array([[verdicts[i] for i in order]]), k)
    assert shuffled == pytest.approx(maj_at_k([answers], np.array([verdicts]), k))


@given(answered())
def test_one_sample_is_avg_and_pass_at_k_grows(problem: tuple[list[str | None], list[int], int]) -> None:
    answers, verdicts, _ = problem
    correct_PK = np.array([verdicts])
    assert pass_at_k(correct_PK, 1)[0] == pytest.approx(np.mean(verdicts))
    assert maj_at_k([answers], correct_PK, 1)[0] == pytest.approx(np.mean(verdicts))
    values = [pass_at_k(correct_PK, k)[0] for k in range(1, len(answers) + 1)]
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(values))


def test_ties_are_decided_by_lot_and_no_answer_has_no_vote() -> None:
    correct_PK = np.array([[1, 1, 0, 0]])
    assert maj_at_k([["a", "a", "b", "b"]], correct_PK, 4)[0] == 0.5
    assert maj_at_k([["a", "a", "b", None]], correct_PK, 4)[0] == 1
    assert maj_at_k([[None] * 4], np.zeros((1, 4)), 4)[0] == 0
    # One answer with two verdicts, a time-out, counts in its share.
    assert maj_at_k([["a", "a", None, None]], np.array([[1, 0, 0, 0]]), 4)[0] == 0.5


def test_the_error_of_maj_at_k_is_over_problems() -> None:
    score = maj_at_k_score(
        [["a", "a", "b"], ["a", "b", "b"], ["b", "b", "b"]], np.array([[1, 1, 0], [1, 0, 0], [0] * 3]), 3
    )
    assert (score.mean, score.num_problems, score.num_samples) == (pytest.approx(1 / 3), 3, 3)
    assert score.se_problems == pytest.approx(1 / 3) and math.isnan(score.se_samples)


def test_errors_of_pass_at_1_are_those_of_avg() -> None:
    correct_PK = np.random.default_rng(0).binomial(1, [[0.2], [0.7], [0.5]], (3, 8))
    ours, plain = pass_at_k_score(correct_PK, 1), avg_at_k(correct_PK)
    assert (ours.mean, ours.se_problems, ours.se_samples) == pytest.approx(
        (plain.mean, plain.se_problems, plain.se_samples)
    )
    assert math.isnan(pass_at_k_score(correct_PK, 8).se_samples)


def test_the_error_over_samples_of_pass_at_k_is_the_spread_of_new_samples() -> None:
    rng = np.random.default_rng(0)
    scores = [pass_at_k_score(rng.binomial(1, 0.15, (40, 16)), 4) for _ in range(200)]
    spread = np.std([score.mean for score in scores], ddof=1)
    assert np.sqrt(np.mean([score.se_samples**2 for score in scores])) == pytest.approx(spread, rel=0.15)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="k is 3 and there are 2 samples"):
        pass_at_k(np.zeros((2, 2)), 3)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        pass_at_k(np.full((2, 2), 0.5), 1)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        pass_at_k(np.zeros(2), 1)
    with pytest.raises(ValueError, match="one answer"):
        maj_at_k([["a"]], np.zeros((1, 2)), 1)
