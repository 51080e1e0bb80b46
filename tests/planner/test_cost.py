from __future__ import annotations

import doctest
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.planner import cost
from tuition.planner.allocation import Allocation
from tuition.planner.cost import (
    UNKNOWN,
    BlockCosts,
    CheckpointState,
    Cost,
    Price,
    Source,
    Total,
    Work,
    charge,
    missing_blocks,
)
from tuition.planner.route import Block, Recipe, Route, compile_route

FULL = "teacher=large teacher_rl=3 warmup=2 opd=2 student_rl=3"
NAMES = ["T0", "T1", "T2", "W0", "W1", "O0", "O1", "S0", "S1", "S2"]  # FULL's blocks
ABSENT, EVALUABLE, RESUMABLE = CheckpointState.absent, CheckpointState.evaluable, CheckpointState.resumable


@pytest.fixture(scope="module")
def route(recipe: Recipe) -> Route:
    return compile_route(Allocation.parse(FULL), recipe, seed=0)


def store(route: Route, held: Mapping[str, CheckpointState]) -> Callable[[str], CheckpointState]:
    """A store that holds the named blocks, and fails when it is asked for anything but a block of the route."""
    states = {block.key: held.get(name, ABSENT) for name, block in zip(NAMES, route.blocks, strict=True)}
    return states.__getitem__


def missing_names(route: Route, **held: CheckpointState) -> list[str]:
    names = {block.key: name for name, block in zip(NAMES, route.blocks, strict=True)}
    return [names[block.key] for block in missing_blocks(route, store(route, held))]


def test_an_empty_store_misses_everything(route: Route) -> None:
    assert missing_names(route) == NAMES


@pytest.mark.parametrize("state", [EVALUABLE, RESUMABLE])
def test_nothing_is_missing_when_the_final_is_there(route: Route, state: CheckpointState) -> None:
    assert missing_names(route, S2=state) == []


def test_the_base_student_misses_nothing(recipe: Recipe) -> None:
    def no_store(key: str) -> CheckpointState:
        raise AssertionError(f"asked for {key}")

    assert missing_blocks(compile_route(Allocation(), recipe, 0), no_store) == ()


def test_the_teacher_is_not_needed_once_the_bridge_is_there(route: Route) -> None:
    assert missing_names(route, O1=EVALUABLE) == ["S0", "S1", "S2"]


def test_starting_the_next_stage_needs_weights_only(route: Route) -> None:
    assert missing_names(route, T2=EVALUABLE) == ["W0", "W1", "O0", "O1", "S0", "S1", "S2"]
    assert missing_names(route, T2=EVALUABLE, W1=EVALUABLE) == ["O0", "O1", "S0", "S1", "S2"]


def test_extending_a_stage_needs_the_optimizer(route: Route) -> None:
    assert missing_names(route, O1=EVALUABLE, S0=RESUMABLE) == ["S1", "S2"]
    assert missing_names(route, O1=EVALUABLE, S0=EVALUABLE) == ["S0", "S1", "S2"]


def test_a_stage_goes_back_to_its_latest_resumable_block(route: Route) -> None:
    assert missing_names(route, O1=EVALUABLE, S0=RESUMABLE, S1=EVALUABLE) == ["S1", "S2"]
    assert missing_names(route, O1=EVALUABLE, S0=EVALUABLE, S1=EVALUABLE) == ["S0", "S1", "S2"]


def test_the_kl_reference_is_trained_again_when_it_is_gone(route: Route) -> None:
    # S1 can be continued, but S2 is anchored to O1, whose own stage is resumable at O0 and reads the teacher T2.
    assert missing_names(route, T2=EVALUABLE, W1=EVALUABLE, O0=RESUMABLE, S1=RESUMABLE) == ["O1", "S2"]


def test_a_teacher_is_trained_again_when_a_missing_block_reads_it(route: Route) -> None:
    assert missing_names(route, T1=RESUMABLE, W1=EVALUABLE, O0=RESUMABLE) == ["T2", "O1", "S0", "S1", "S2"]


@given(states=st.lists(st.sampled_from(CheckpointState), min_size=10, max_size=10))
def test_training_what_is_missing_in_order_always_works(route: Route, states: list[CheckpointState]) -> None:
    """Play the plan: each block finds what it needs, and at the end the final checkpoint is there."""
    held = dict(zip((block.key for block in route.blocks), states, strict=True))
    plan = missing_blocks(route, held.__getitem__)
    for block in plan:
        assert block.parent not in held or held[block.parent] in (
            [RESUMABLE] if block.continues_stage else [EVALUABLE, RESUMABLE]
        )
        assert held.get(block.stage_start) is not ABSENT
        assert block.teacher is None or held.get(block.teacher) is not ABSENT
        held[block.key] = RESUMABLE
    assert held[route.final] is not ABSENT
    assert missing_blocks(route, held.__getitem__) == ()


@given(states=st.lists(st.sampled_from(CheckpointState), min_size=10, max_size=10), extra=st.integers(0, 9))
def test_a_fuller_store_never_misses_more(route: Route, states: list[CheckpointState], extra: int) -> None:
    held = dict(zip((block.key for block in route.blocks), states, strict=True))
    before = missing_blocks(route, held.__getitem__)
    held[route.blocks[extra].key] = RESUMABLE
    assert set(missing_blocks(route, held.__getitem__)) <= set(before)


# Costs


def measured(seconds: float) -> Cost:
    return Cost(seconds, Source.measured, "measured (1 block)")


def stated(seconds: float) -> Cost:
    return Cost(seconds, Source.stated, Source.stated.value)


def test_a_total_says_how_much_comes_from_where() -> None:
    total = Total.of([("a", stated(3.0)), ("b", measured(1.0)), ("c", measured(0.5))])
    assert total.seconds == total.at_least == 4.5
    assert list(total.basis().items()) == [("measured", 1.5), ("stated", 3.0)], "the best source first"


def test_a_total_with_an_unknown_part_is_unknown_and_names_it() -> None:
    total = Total.of([("a", stated(3.0)), ("b", UNKNOWN), ("b", UNKNOWN)])
    assert (total.seconds, total.rounded, total.at_least) == (None, None, 3.0)
    assert total.basis() == {"stated": 3.0, "unknown": ["b"]}


@given(parts=st.lists(st.sampled_from([measured(1.0), stated(2.5), UNKNOWN]), max_size=6), cut=st.integers(0, 6))
def test_totals_add_up(parts: list[Cost], cut: int) -> None:
    named = [(f"part {number % 2}", cost) for number, cost in enumerate(parts)]
    assert Total.of(named[:cut]) + Total.of(named[cut:]) == Total.of(named)


def test_a_route_costs_the_sum_of_its_blocks_and_of_those_that_are_missing(route: Route) -> None:
    costs = BlockCosts(
        {
            Work("teacher_rl", "large"): stated(100.0),
            Work("warmup", "student", "large"): measured(1.0),
            Work("opd", "student", "large"): measured(2.0),
            Work("student_rl", "student"): stated(10.0),
        }
    )
    assert costs.total(route.blocks).seconds == 3 * 100 + 2 * 1 + 2 * 2 + 3 * 10
    assert costs.marginal(route, store(route, {})) == costs.total(route.blocks)
    assert costs.marginal(route, store(route, {"O1": EVALUABLE, "S0": RESUMABLE})).basis() == {"stated": 20.0}
    assert costs.marginal(route, store(route, {"S2": EVALUABLE})).seconds == 0


def test_a_bridge_costs_by_the_teacher_that_it_learns_from(recipe: Recipe) -> None:
    costs = BlockCosts({Work("opd", "student", "small"): measured(1.0), Work("opd", "student", "large"): measured(9.0)})
    routes = [compile_route(Allocation(teacher=teacher, opd=1), recipe, 0) for teacher in ("small", "large")]
    assert [costs.total(route.blocks).seconds for route in routes] == [1.0, 9.0]


def test_what_is_unknown_is_never_given_as_time(route: Route) -> None:
    costs = BlockCosts({Work("opd", "student", "large"): measured(2.0)})
    total = costs.total(route.blocks)
    assert total.seconds is None and total.at_least == 4.0
    assert total.unknown == ("teacher_rl of large", "warmup of student from large", "student_rl of student")


def test_weights_compare_routes_where_costs_are_unknown(route: Route) -> None:
    assert [BlockCosts({}).relative(block) for block in route.blocks] == [1.0] * len(route.blocks)
    known = {Work("opd", "student", "large"): measured(2.0), Work("warmup", "student", "large"): measured(4.0)}
    weights = {block.name: BlockCosts(known).relative(block) for block in route.blocks}
    assert (weights["opd[0]"], weights["warmup[0]"], weights["teacher_rl[0]"]) == (2.0, 4.0, 3.0)


@pytest.mark.parametrize(
    ("seconds", "source"), [(-1.0, "measured"), (float("nan"), "stated"), (None, "measured"), (1.0, "unknown")]
)
def test_costs_that_cannot_be_are_refused(seconds: float | None, source: str) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Cost(seconds, Source[source], "")


def test_every_missing_block_is_a_block_of_the_route(route: Route) -> None:
    missing: tuple[Block, ...] = missing_blocks(route, store(route, {}))
    assert missing == route.blocks


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(cost).failed == 0


def test_a_chain_is_charged_its_rollouts_once_and_by_the_first_block_that_needs_them() -> None:
    chain = [Price(1.0), Price(2.0, "a", 0.5), Price(3.0, "b", 0.25), Price(4.0, "a", 0.5)]
    assert charge(chain) == [1.0, 2.5, 3.25, 4.0]
    assert charge(reversed(chain)) == [4.5, 3.25, 2.0, 1.0]
    assert charge([]) == []


def test_rollouts_that_are_there_already_are_charged_to_nobody() -> None:
    chain = [Price(2.0, "a", 0.5), Price(3.0, "b", 0.25), Price(4.0, "b", 0.25)]
    assert charge(chain, made={"a"}) == [2.0, 3.25, 4.0]
