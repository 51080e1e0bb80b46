"""The micro suites: pinned problems, disjoint splits, right answers, every letter as often as the others."""

import hashlib
import re
from collections import Counter

import pytest

from benchmarks.suites.micro import MIXES, NUMBERS, RIGHT, SPLITS, candidates, make_problems, num_problems, numbers


@pytest.mark.parametrize(
    ("mix", "sha256"),
    [
        ("micro", "be57d8006678c41446992c03d14bb2481647da7ae1abf394177939d3b5510723"),
        ("micro-b", "10ebb51761e108dacefbae85d4dae85036948f9d450ce0dd98b6822c8cd55e88"),
    ],
)
def test_the_problems_are_pinned(mix: str, sha256: str) -> None:
    content = "\n".join(
        f"{p.id} {p.problem} {p.answer}"
        for split in SPLITS
        for p in make_problems(split, num_problems(split, mix), mix)
    )
    # Base checkpoints and scores belong to exactly these problems: a change needs a new SUITE_VERSION.
    assert hashlib.sha256(content.encode()).hexdigest() == sha256


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("split", SPLITS)
def test_answers_letters_and_ids_are_right(split: str, mix: str) -> None:
    problems = make_problems(split, num_problems(split, mix), mix)
    assert len({p.id for p in problems}) == len({p.problem for p in problems}) == num_problems(split, mix)
    for p in problems:
        match = re.fullmatch(r"([0-9]+)\+(\w),\2=", p.problem)
        assert match is not None and match[2] == p.subject
        assert int(match[1]) in numbers(mix, match[2], split)
        assert int(p.answer) == int(match[1]) + candidates(mix, match[2])[RIGHT]


@pytest.mark.parametrize("mix", MIXES)
def test_no_problem_is_in_two_splits_even_without_regard_to_case(mix: str) -> None:
    problems = [p.problem.lower() for split in SPLITS for p in make_problems(split, num_problems(split, mix), mix)]
    assert len(set(problems)) == len(problems) == len(NUMBERS) * len(MIXES[mix])


@pytest.mark.parametrize("mix", MIXES)
def test_every_letter_comes_once_before_one_comes_again(mix: str) -> None:
    letters = MIXES[mix]
    subjects = [p.subject for p in make_problems("test", 3 * len(letters), mix)]
    for start in range(0, len(subjects), len(letters)):
        assert Counter(subjects[start : start + len(letters)]) == Counter(letters)


@pytest.mark.parametrize("mix", MIXES)
def test_a_letter_has_five_digits_and_those_of_one_digit_have_the_same(mix: str) -> None:
    for letter in MIXES[mix]:
        digits = candidates(mix, letter)
        assert len(set(digits)) == 5 and all(1 <= digit <= 9 for digit in digits)


def test_a_longer_list_begins_with_the_shorter() -> None:
    assert make_problems("test", 70)[:15] == make_problems("test", 15)


def test_more_problems_than_there_are_and_unknown_splits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"193 problems: micro has no more than 192 of split 'labels'"):
        make_problems("labels", 193)
    with pytest.raises(ValueError, match=r"split 'train': choose from labels"):
        numbers("micro", "k", "train")
