"""Does a training pool hold problems of an evaluation suite?

Two tests: exact (the text is equal after dropping case and white space) and 13-gram (one run of 13 alphanumeric
tokens in common, the usual test of the field). Exact hits are an error; 13-gram hits are reported with their counts,
because stock phrases cause many of them. Problems of fewer than 13 tokens can only be hit by the exact test.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tuition.benchmarks.problems import Problem

NGRAM = 13


@dataclass(frozen=True)
class Overlap:
    """What a pool and a suite have in common."""

    pool: str
    suite: str
    exact: tuple[tuple[str, str], ...]  # (pool id, suite id)
    ngram: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.pool} x {self.suite}: {len(self.exact)} exact, {len(self.ngram)} by 13-gram"


def find_overlap(pool: Iterable[Problem], suite: Iterable[Problem], pool_name: str, suite_name: str) -> Overlap:
    """Compare every problem of `pool` with every problem of `suite` through an index of texts and 13-grams."""
    texts: dict[str, str] = {}
    grams: dict[tuple[str, ...], str] = {}
    for problem in suite:
        texts[_normalized(problem.problem)] = problem.id
        grams.update(dict.fromkeys(_grams(problem.problem), problem.id))
    exact, ngram = [], []
    for problem in pool:
        if (hit := texts.get(_normalized(problem.problem))) is not None:
            exact.append((problem.id, hit))
        elif (hit := next((grams[gram] for gram in _grams(problem.problem) if gram in grams), None)) is not None:
            ngram.append((problem.id, hit))
    return Overlap(pool_name, suite_name, tuple(exact), tuple(ngram))


def _normalized(text: str) -> str:
    return "".join(text.lower().split())


def _grams(text: str) -> list[tuple[str, ...]]:
    tokens = re.findall(r"[a-z0-9]+", text.lower())
    return [tuple(tokens[i : i + NGRAM]) for i in range(len(tokens) - NGRAM + 1)]
