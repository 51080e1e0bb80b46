"""The micro suite: pinned problems, disjoint splits, right answers."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suites.micro import OPERAND_MAX, draw_operands, make_problems, split_of

SPLITS = ("labels", "prompts", "validation", "test", "pretraining")


def operands(problem: str) -> list[int]:
    return [int(number) for number in problem.rstrip("=").split("+")]


def test_the_problems_are_pinned() -> None:
    content = "\n".join(f"{p.id} {p.problem} {p.answer}" for split in SPLITS for p in make_problems(split, 50))
    # Base checkpoints and scores belong to exactly these problems: a change needs a new SUITE_VERSION.
    assert (
        hashlib.sha256(content.encode()).hexdigest()
        == "ce8b889705598b16745d9b91d6a3e347038d3929bc00032d672cd6a828adc3d0"
    )


@pytest.mark.parametrize("split", SPLITS)
def test_answers_levels_and_ids_are_right(split: str) -> None:
    problems = make_problems(split, 60)
    assert len({p.id for p in problems}) == 60
    for p in problems:
        assert int(p.answer) == sum(operands(p.problem))
        assert p.level == len(operands(p.problem)) - 2
        assert split_of(operands(p.problem)) == split
    assert {p.level for p in problems} == {1, 2}


def test_no_problem_is_in_two_splits_in_any_order() -> None:
    seen = [tuple(sorted(operands(p.problem))) for split in SPLITS for p in make_problems(split, 200)]
    assert len(set(seen)) == len(seen)


def test_a_longer_list_begins_with_the_shorter() -> None:
    assert make_problems("test", 40)[:15] == make_problems("test", 15)


@given(st.lists(st.integers(1, OPERAND_MAX), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_operands_does_not_change_the_split(numbers: list[int], shuffler: random.Random) -> None:
    shuffled = list(numbers)
    shuffler.shuffle(shuffled)
    assert split_of(shuffled) == split_of(numbers)


def test_the_number_of_operands_can_be_chosen() -> None:
    rng = random.Random(0)
    assert {len(draw_operands(rng, "test", (2,))) for _ in range(10)} == {2}
