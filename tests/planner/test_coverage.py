"""The choice of routes that cover a search space: all of the first, distinct, near to everything, cheap by sharing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuition.planner.allocation import Allocation
from tuition.planner.coverage import candidates, cover, distances
from tuition.planner.route import Block, Recipe, Route, compile_route
from tuition.planner.space import SearchSpace

SPACE = SearchSpace(teachers=("large", "small"), num_label_blocks=4, max_warmup=1, max_opd=2)


def seconds(block: Block) -> float:
    return 10.0 if block.model == "large" else 3.0


def routes(recipe: Recipe, *texts: str) -> list[Route]:
    return [compile_route(Allocation.parse(text), recipe, 0) for text in texts]


@pytest.fixture(scope="module")
def pool(recipe: Recipe) -> list[Route]:
    return candidates(SPACE, lambda allocation: compile_route(allocation, recipe, 0), seed=0)


def trained(chosen: list[Route]) -> float:
    return sum(seconds(block) for block in {b.key: b for route in chosen for b in route.blocks}.values())


def test_the_pool_of_a_small_space_is_all_of_it_and_the_same_again(pool: list[Route], recipe: Recipe) -> None:
    everything = {str(a) for a in SPACE.random_allocations(20_000, seed=9)}
    assert {str(route.allocation) for route in pool} == everything
    again = candidates(SPACE, lambda allocation: compile_route(allocation, recipe, 0), seed=0)
    assert [route.key for route in again] == [route.key for route in pool]


@settings(max_examples=10)
@given(st.integers(1, 40))
def test_the_choice_begins_with_the_first_and_a_longer_one_with_the_shorter(
    pool: list[Route], recipe: Recipe, count: int
) -> None:
    first = routes(recipe, "student_rl=4", "teacher=large warmup=1 opd=1")
    chosen = cover(SPACE, pool, first, count, seconds, 5.0)
    assert chosen[:2] == first and len(chosen) == max(2, count)
    assert len({route.key for route in chosen}) == len(chosen)
    assert cover(SPACE, pool, first, count + 1, seconds, 5.0)[: len(chosen)] == chosen


def test_a_choice_of_everything_ends_when_nothing_is_left(pool: list[Route]) -> None:
    chosen = cover(SPACE, pool, [], 10_000, seconds, 5.0)
    assert sorted(route.key for route in chosen) == sorted(route.key for route in pool)
    assert cover(SPACE, [], [], 5, seconds, 5.0) == []


def test_it_covers_better_than_random_routes_and_trains_less(pool: list[Route]) -> None:
    def far(chosen: list[Route]) -> float:
        apart = distances(SPACE, [r.allocation for r in pool], [r.allocation for r in chosen])
        return float(apart.min(axis=1).mean())

    chosen = cover(SPACE, pool, [], 30, seconds, 5.0)
    rng = np.random.default_rng(0)
    draws = [[pool[i] for i in rng.choice(len(pool), 30, replace=False)] for _ in range(10)]
    assert far(chosen) < min(map(far, draws)) and trained(chosen) < min(map(trained, draws))


def test_distance_is_symmetric_zero_for_the_same_and_counts_teachers_and_labels(recipe: Recipe) -> None:
    texts = ["student_rl=4", "teacher=large opd=1 student_rl=4", "teacher=small opd=1 student_rl=4", "student_rl=3"]
    allocations = [Allocation.parse(text) for text in texts]
    apart = distances(SPACE, allocations, allocations)
    assert (apart == apart.T).all() and (np.diag(apart) == 0).all()
    assert apart[1, 2] == 1 and apart[0, 3] == 0.5 and apart[0, 1] == 1.5


def test_a_run_that_costs_nothing_is_refused(pool: list[Route]) -> None:
    with pytest.raises(ValueError, match="run_seconds=0"):
        cover(SPACE, pool, [], 3, seconds, 0)
