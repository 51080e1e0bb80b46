"""The micro suites: pinned problems, disjoint splits, right answers, every letter as often as its mix says."""

import hashlib
import re
from collections import Counter

import pytest

from tuition.benchmarks.suites.micro import (
    MIXES,
    NUM_CANDIDATES,
    NUMBERS,
    RIGHT,
    VALUES,
    candidates,
    make_problems,
    num_problems,
    numbers,
)

SPLITS = list(MIXES["micro"].splits)


@pytest.mark.parametrize(
    ("mix", "sha256"),
    [
        ("micro", "8dff5e099f810d115bc5df6cd75a56ba1adc03e8959d1d383f0a41e210c544d4"),
        ("micro-b", "762169e4f26b7d5ea7c1061410dacf97354c312488c8ea10be08752588c0d808"),
        ("micro-c", "43f9259713e15ae424160100c19eaf5a1548d33219a34d7908e7324a99b7f3a7"),
    ],
)
def test_the_problems_are_pinned(mix: str, sha256: str) -> None:
    content = "\n".join(
        f"{p.id} {p.problem} {p.answer}"
        for split in MIXES[mix].splits
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
        match = re.fullmatch(r"([0-9]{2})(\w)=", p.problem)
        assert match is not None and match[2] == p.subject
        assert int(match[1]) in numbers(mix, match[2], split)
        assert p.answer == match[1] + str(candidates(mix, match[2])[RIGHT])


@pytest.mark.parametrize("mix", MIXES)
def test_no_problem_is_in_two_splits_even_without_regard_to_case(mix: str) -> None:
    problems = [p.problem.lower() for split in SPLITS for p in make_problems(split, num_problems(split, mix), mix)]
    assert len(set(problems)) == len(problems) <= len(NUMBERS) * len(MIXES[mix].letters)
    assert sum(MIXES[mix].splits.values()) == len(NUMBERS) and list(MIXES[mix].splits) == SPLITS


@pytest.mark.parametrize("mix", MIXES)
def test_every_letter_comes_once_before_one_comes_again(mix: str) -> None:
    letters = MIXES[mix].letters
    subjects = [p.subject for p in make_problems("test", 3 * len(letters), mix)]
    for start in range(0, len(subjects), len(letters)):
        assert Counter(subjects[start : start + len(letters)]) == Counter(letters)


@pytest.mark.parametrize("mix", ["micro", "micro-b"])
def test_every_third_letter_is_of_level_2_in_every_split(mix: str) -> None:
    hard = set(MIXES[mix].letters[2::3])
    for split in SPLITS:
        for p in make_problems(split, num_problems(split, mix), mix):
            assert p.level == (2 if p.subject in hard else 1)


def test_the_levels_of_micro_c_differ_in_labels_and_prompts_and_in_nothing_else() -> None:
    sizes = {
        split: Counter(p.level for p in make_problems(split, num_problems(split, "micro-c"), "micro-c"))
        for split in SPLITS
    }
    letters = {1: 24, 2: 15, 3: 6}
    assert sizes["labels"] == {1: 24 * 1, 2: 15 * 10, 3: 6 * 3}
    assert sizes["prompts"] == {2: 15 * 20, 3: 6 * 20}
    for split in ("validation", "test", "pretraining"):
        assert sizes[split] == {level: count * MIXES["micro-c"].splits[split] for level, count in letters.items()}


@pytest.mark.parametrize("mix", MIXES)
def test_a_letter_has_different_values_of_two_digits_and_shares_few(mix: str) -> None:
    values = {letter: candidates(mix, letter) for letter in MIXES[mix].letters}
    for of_letter in values.values():
        assert len(set(of_letter)) == NUM_CANDIDATES and all(10 <= value <= 99 for value in of_letter)
    # Dealt from decks of 22 letters: no value comes again before the deck is used up.
    for start in range(0, len(values), len(VALUES) // NUM_CANDIDATES):
        deck = [
            value for letter in MIXES[mix].letters[start:][: len(VALUES) // NUM_CANDIDATES] for value in values[letter]
        ]
        assert len(set(deck)) == len(deck)


def test_a_longer_list_begins_with_the_shorter() -> None:
    assert make_problems("test", 70)[:15] == make_problems("test", 15)


def test_more_problems_than_there_are_and_unknown_splits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"193 problems: micro has no more than 192 of split 'labels'"):
        make_problems("labels", 193)
    with pytest.raises(ValueError, match=r"split 'train': choose from labels"):
        numbers("micro", "k", "train")
