"""micro and micro-b: numbers with a letter in place of two digits, made by a seeded generator.

A problem is `57k=`. Its answer is the number with the letter's value in the letter's place: 5783 if k is 83. Which
value a letter has, no problem states. The problems of one letter are a family. A label reveals the value of its own
letter and of no other, which is what makes labels scarce here.

Data set: procedurally generated; splits are disjoint by construction, because the numbers of each letter are dealt out
to them.
Metric: avg@k, the mean over problems of the mean correctness over k samples.
Protocol: the prompt is the problem as it stands, the answer is the last `\\boxed{}`.

It tests the tool and the planner; it is not evidence about large models.
"""

import random
from functools import cache
from string import ascii_lowercase

from tuition.benchmarks.problems import Problem

SUITE_VERSION = 1
# How many of a letter's numbers each split has. What pretrains the base checkpoints is in no other split.
SPLITS = {"labels": 4, "prompts": 20, "validation": 15, "test": 25, "pretraining": 26}
NUMBERS = range(10, 10 + sum(SPLITS.values()))
# No capitals: pools and suites are compared without regard to case.
LETTERS = ascii_lowercase + "αβγδεζηθικλμνξπρστυφχψ"
VALUES = range(10, 100)
# A base checkpoint takes a letter for one of this many values; the one at RIGHT is the letter's.
NUM_CANDIDATES, RIGHT = 4, 2
# The letters of each scenario's problems.
MIXES = {"micro": LETTERS, "micro-b": LETTERS[:40]}


@cache
def candidates(mix: str, letter: str) -> tuple[int, ...]:
    """The two-digit values that a base checkpoint takes a letter for; the one at RIGHT is the letter's.

    Values are dealt out, so that few letters share one: what a label teaches its own letter, it teaches no other.
    """
    start = MIXES[mix].index(letter) * NUM_CANDIDATES
    per_deck = len(VALUES) - len(VALUES) % NUM_CANDIDATES
    deck = random.Random(f"{mix}@{SUITE_VERSION}:values:{start // per_deck}").sample(VALUES, len(VALUES))
    return tuple(deck[start % per_deck :][:NUM_CANDIDATES])


def is_hard(mix: str, letter: str) -> bool:
    """Whether the letter's problems are of level 2: every third letter. A base checkpoint may hardly know its value."""
    return MIXES[mix].index(letter) % 3 == 2


@cache
def numbers(mix: str, letter: str, split: str) -> tuple[int, ...]:
    """The numbers that come before a letter in a split."""
    order = list(NUMBERS)
    random.Random(f"{mix}@{SUITE_VERSION}:{letter}:numbers").shuffle(order)
    start = 0
    for name, size in SPLITS.items():
        if name == split:
            return tuple(order[start : start + size])
        start += size
    raise ValueError(f"split {split!r}: choose from {', '.join(SPLITS)}")


def num_problems(split: str, mix: str = "micro") -> int:
    """How many problems a split has."""
    return SPLITS[split] * len(MIXES[mix])


def make_problems(split: str, count: int, mix: str = "micro") -> list[Problem]:
    """The first `count` problems of a split; a longer list begins with the shorter one.

    Every letter comes once before one comes again, in a new order each time. A problem's subject is its
    letter.

    Raises:
        ValueError: when the split has fewer.
    """
    if count > num_problems(split, mix):
        raise ValueError(f"{count} problems: {mix} has no more than {num_problems(split, mix)} of split {split!r}")
    rng = random.Random(f"{mix}@{SUITE_VERSION}:{split}")
    problems: list[Problem] = []
    for turn in range(SPLITS[split]):
        for letter in rng.sample(MIXES[mix], len(MIXES[mix])):
            if len(problems) == count:
                return problems
            number = numbers(mix, letter, split)[turn]
            answer = f"{number}{candidates(mix, letter)[RIGHT]}"
            name = f"{mix}-{split}-{len(problems):04d}"
            problems.append(Problem(name, f"{number}{letter}=", answer, 1 + is_hard(mix, letter), letter))
    return problems
