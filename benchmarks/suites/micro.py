"""micro: sums of three and four numbers with written steps, made by a seeded generator.

Data set: procedurally generated; splits are disjoint by construction, because a problem's split is a
hash of its operands in sorted order (so `3+4+5` and `5+4+3` are never on two sides).
Metric: avg@k, the mean over problems of the mean correctness over k samples.
Protocol: the prompt is the problem as it stands, the answer is the last `\\boxed{}`.

It tests the tool and the planner; it is not evidence about large models.
"""

import hashlib
import random
from dataclasses import dataclass

OPERAND_MAX = 49
SUITE_VERSION = 1
MAX_GENERATED = 20_000  # every split has some 29,000 distinct sums, and drawing the last of them takes long

# Ten buckets of operand multisets. What is not named here is left for pretraining the base checkpoints.
_BUCKETS = {"labels": {0}, "prompts": {1}, "validation": {2}, "test": {3}, "pretraining": {4, 5, 6, 7, 8, 9}}


@dataclass(frozen=True)
class Problem:
    """One problem. `answer` is its checked answer; reading it costs a label unless it belongs to a suite."""

    id: str
    problem: str
    answer: str
    level: int | None = None
    subject: str | None = None


def split_of(operands: list[int]) -> str:
    """The split that a multiset of operands belongs to, whatever their order."""
    digest = hashlib.sha256(" ".join(map(str, sorted(operands))).encode()).digest()
    bucket = digest[0] * 256 + digest[1]
    return next(name for name, buckets in _BUCKETS.items() if bucket % 10 in buckets)


def draw_operands(rng: random.Random, split: str, counts: tuple[int, ...] = (3, 4)) -> list[int]:
    """Draw operands of one problem of `split`; `counts` are the numbers of operands to choose from."""
    while True:
        operands = [rng.randint(1, OPERAND_MAX) for _ in range(rng.choice(counts))]
        if split_of(operands) == split:
            return operands


def make_problems(split: str, count: int) -> list[Problem]:
    """The first `count` problems of a split; a longer list begins with the shorter one.

    Levels are the number of operands less two: half of the problems are 1 (three operands), half 2.
    """
    rng = random.Random(f"micro@{SUITE_VERSION}:{split}")
    problems: list[Problem] = []
    seen: set[str] = set()
    while len(problems) < count:
        operands = draw_operands(rng, split)
        key = " ".join(map(str, sorted(operands)))
        if key in seen:
            continue
        seen.add(key)
        text = "+".join(map(str, operands)) + "="
        problems.append(
            Problem(f"micro-{split}-{len(problems):04d}", text, str(sum(operands)), len(operands) - 2, "sums")
        )
    return problems
