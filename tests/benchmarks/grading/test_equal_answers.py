"""Answers that a policy takes for one another share their votes."""

import numpy as np
import pytest

from tuition.benchmarks.grading.equal_answers import merge_equal
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.statistics.pass_at_k import maj_at_k


def test_equal_answers_are_one_answer() -> None:
    answers: list[list[str | None]] = [["1/2", "3", "0.5", None, "\\frac{1}{2}", "3.0"], ["7", "07", "8", "7", "", "x"]]
    correct = [[False] * 6, [True, True, False, True, False, False]]
    with Grader(timeout_seconds=20, policy="tuition-2") as grader:
        merged = merge_equal(answers, correct, grader)
    assert merged == [["1/2", "3", "1/2", None, "1/2", "3"], ["7", "7", "8", "7", "", "x"]]


def test_a_majority_that_is_written_in_three_ways_wins() -> None:
    answers, correct = [["1/2", "0.5", "\\frac{1}{2}", "9", "9"]], [[True, True, True, False, False]]
    with Grader(policy="tuition-2") as grader:
        merged = merge_equal(answers, correct, grader)
    by_text, by_value = (maj_at_k(each, np.array(correct), 5)[0] for each in (answers, merged))
    assert by_text == pytest.approx(0) and by_value == pytest.approx(1)


def test_as_text_by_the_policy_that_compares_texts() -> None:
    with Grader(policy="last-box") as grader:
        merged = merge_equal([["1/4", "0.25", "\\frac{1}{4}"]], [[False] * 3], grader)
    assert merged == [["1/4", "0.25", "1/4"]]
