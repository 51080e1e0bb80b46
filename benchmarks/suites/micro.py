"""micro, micro-b and micro-c: numbers with a letter in place of two digits, made by a seeded generator.

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
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from string import ascii_lowercase

from tuition.benchmarks.problems import Problem

SUITE_VERSION = 1
NUMBERS = range(10, 100)
# No capitals: pools and suites are compared without regard to case.
LETTERS = ascii_lowercase + "αβγδεζηθικλμνξπρστυφχψ"
VALUES = range(10, 100)
# A base checkpoint takes a letter for one of this many values; the one at RIGHT is the letter's.
NUM_CANDIDATES, RIGHT = 4, 2


@dataclass(frozen=True)
class Mix:
    """The problems of one scenario: its letters, and of which level and how often each comes."""

    letters: str
    levels: tuple[int, ...] = (1, 1, 2)
    """The letters' levels, in turn. A base checkpoint may hardly know the values of a level."""
    splits: Mapping[str, int] = field(
        default_factory=lambda: {"labels": 4, "prompts": 20, "validation": 15, "test": 25, "pretraining": 26}
    )
    """How many of a letter's numbers each split has. What pretrains the base checkpoints is in no other split."""
    fewer: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """How many of them are in use, by level and split, where these are not all."""

    def level(self, letter: str) -> int:
        """The level of a letter's problems."""
        return self.levels[self.letters.index(letter) % len(self.levels)]

    def size(self, letter: str, split: str) -> int:
        """How many problems of a letter a split has."""
        return self.fewer.get(self.level(letter), {}).get(split, self.splits[split])


# The scenarios' problems, by name. In micro-c each level is known by another model; docs/micro-c.md says what for.
MIXES = {
    "micro": Mix(LETTERS),
    "micro-b": Mix(LETTERS[:40]),
    "micro-c": Mix(
        LETTERS[:45],
        levels=(1, 2, 1, 2, 1, 3, 1, 2, 1, 2, 1, 3, 1, 2, 1),
        splits={"labels": 10, "prompts": 20, "validation": 15, "test": 19, "pretraining": 26},
        fewer={1: {"labels": 1, "prompts": 0}, 3: {"labels": 3}},
    ),
}


@cache
def candidates(mix: str, letter: str) -> tuple[int, ...]:
    """The two-digit values that a base checkpoint takes a letter for; the one at RIGHT is the letter's.

    Values are dealt out, so that few letters share one: what a label teaches its own letter, it teaches no other.
    """
    start = MIXES[mix].letters.index(letter) * NUM_CANDIDATES
    per_deck = len(VALUES) - len(VALUES) % NUM_CANDIDATES
    deck = random.Random(f"{mix}@{SUITE_VERSION}:values:{start // per_deck}").sample(VALUES, len(VALUES))
    return tuple(deck[start % per_deck :][:NUM_CANDIDATES])


@cache
def numbers(mix: str, letter: str, split: str) -> tuple[int, ...]:
    """The numbers that come before a letter in a split."""
    order = list(NUMBERS)
    random.Random(f"{mix}@{SUITE_VERSION}:{letter}:numbers").shuffle(order)
    start = 0
    splits = MIXES[mix].splits
    for name, size in splits.items():
        if name == split:
            return tuple(order[start : start + size])
        start += size
    raise ValueError(f"split {split!r}: choose from {', '.join(splits)}")


def num_problems(split: str, mix: str = "micro") -> int:
    """How many problems a split has."""
    return sum(MIXES[mix].size(letter, split) for letter in MIXES[mix].letters)


def make_problems(split: str, count: int, mix: str = "micro") -> list[Problem]:
    """The first `count` problems of a split; a longer list begins with the shorter one.

    Every letter that has a problem left comes once before one comes again, in a new order each time. A problem's
    subject is its letter.

    Raises:
        ValueError: when the split has fewer.
    """
    if count > num_problems(split, mix):
        raise ValueError(f"{count} problems: {mix} has no more than {num_problems(split, mix)} of split {split!r}")
    of = MIXES[mix]
    rng = random.Random(f"{mix}@{SUITE_VERSION}:{split}")
    problems: list[Problem] = []
    for turn in range(of.splits[split]):
        for letter in rng.sample(of.letters, len(of.letters)):
            if turn >= of.size(letter, split):
                continue
            if len(problems) == count:
                return problems
            number = numbers(mix, letter, split)[turn]
            answer = f"{number}{candidates(mix, letter)[RIGHT]}"
            name = f"{mix}-{split}-{len(problems):04d}"
            problems.append(Problem(name, f"{number}{letter}=", answer, of.level(letter), letter))
    return problems
