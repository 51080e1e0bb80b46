"""Policies by name and version, and the verdicts of `last-box`."""

import pytest

from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.benchmarks.grading.last_box import grade, normalised
from tuition.benchmarks.grading.policies import (
    DEFAULT_POLICY,
    GRADER_VERSION,
    MATH_VERIFY,
    POLICIES,
    PolicyError,
    find_policy,
    policy_of,
    refuse_mixed,
)


def test_every_policy_is_found_by_its_name_and_its_version() -> None:
    assert set(POLICIES) >= {"tuition-1", "tuition-2", "math-verify", "last-box"}
    for name, policy in POLICIES.items():
        assert find_policy(name) is policy is policy_of(policy.version)
    assert policy_of(f"tuition-1+{MATH_VERIFY}").name == "tuition-1"  # as it has always been written
    assert policy_of(GRADER_VERSION).name == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("tuition-1+math-verify-0.8.0", f"here tuition-1 is tuition-1+{MATH_VERIFY}: install that version"),
        ("tuition-0+math-verify-0.9.0", "an unknown policy: known are tuition-1"),
        ("", "an unknown policy"),
    ],
)
def test_another_version_is_refused_with_the_known_ones(version: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words.replace("+", r"\+")):
        policy_of(version)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(PolicyError, match="unknown grading policy 'best': choose one of tuition-1"):
        Grader(policy="best")


def test_verdicts_of_two_policies_are_refused_with_both_names() -> None:
    refuse_mixed([GRADER_VERSION, GRADER_VERSION])
    with pytest.raises(PolicyError, match=r"graded by tuition-1 and by tuition-2\+math-verify"):
        refuse_mixed([GRADER_VERSION, "tuition-1"])


@pytest.mark.parametrize(
    ("gold", "completion", "correct"),
    [
        ("\\frac{1}{2}", "It is \\boxed{\\dfrac12}.", True),
        ("\\frac{1}{2}", "It is \\boxed{0.5}.", True),
        ("\\frac{1}{4}", "It is \\boxed{0.25}.", False),
        ("2\\sqrt{3}", "\\boxed{2\\sqrt3}", True),
        ("3", "\\boxed{x=3}", True),
        ("3", "\\boxed{3 \\text{ cm}}", True),
        ("3", "\\boxed{4} or \\fbox{3}", True),
        ("\\frac{3}{4}", "\\boxed{3/4}", True),
        ("\\boxed{7}", "\\boxed{7}", True),
        ("1+x", "\\boxed{x+1}", False),
        ("3", "\\boxed{3} \\boxed{", False),
        ("3", "3", False),
        ("\\sqrt", "\\boxed{\\sqrt}", True),
    ],
)
def test_the_last_box_is_compared_as_text(gold: str, completion: str, correct: bool) -> None:
    assert grade(gold, completion)[0] is correct


@pytest.mark.parametrize("text", ["\\sqrt\\sqrt2", "\\frac", "3\\text{ cm}\\text{ m}", "\\frac\\frac"])
def test_where_the_published_rules_stop_there_is_no_normal_form(text: str) -> None:
    assert normalised(text) is None


@pytest.mark.slow
def test_a_grader_grades_by_its_policy() -> None:
    with Grader(policy="last-box") as paper, Grader(policy="math-verify") as library:
        assert paper.grade("7", "12-5=7").verdict is Verdict.no_answer
        assert library.grade("7", "12-5=7").verdict is Verdict.correct
        assert paper.grade("\\frac{1}{4}", "\\boxed{0.25}").verdict is Verdict.wrong
        assert library.grade("\\frac{1}{4}", "\\boxed{0.25}").verdict is Verdict.correct
