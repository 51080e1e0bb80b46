from __future__ import annotations

import doctest
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.planner import cost
from tuition.planner.allocation import Allocation
from tuition.planner.cost import UNKNOWN_BLOCK_SECONDS, BlockCosts, CheckpointState, Price, charge, missing_blocks
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


# Seconds


def test_a_block_costs_the_median_of_what_was_measured() -> None:
    costs = BlockCosts({("opd", "student"): 100.0})
    assert costs.seconds("opd", "student") == 100.0
    for seconds in (1.0, 2.0, 50.0):
        costs.record("opd", "student", seconds)
    assert costs.seconds("opd", "student") == 2.0


def test_an_unknown_block_costs_the_mean_of_what_is_known() -> None:
    costs = BlockCosts({("opd", "student"): 10.0, ("warmup", "student"): 999.0})
    costs.record("warmup", "student", 30.0)
    assert costs.seconds("teacher_rl", "large") == 20.0


def test_without_any_knowledge_all_blocks_cost_the_same() -> None:
    assert BlockCosts().seconds("opd", "student") == UNKNOWN_BLOCK_SECONDS == 60.0


def test_the_same_stage_on_two_teachers_is_two_costs() -> None:
    costs = BlockCosts()
    costs.record("teacher_rl", "small", 1.0)
    costs.record("teacher_rl", "large", 9.0)
    assert (costs.seconds("teacher_rl", "small"), costs.seconds("teacher_rl", "large")) == (1.0, 9.0)


def test_a_route_is_charged_in_full_whatever_is_in_the_store(route: Route) -> None:
    costs = BlockCosts({("teacher_rl", "large"): 100.0, ("student_rl", "student"): 10.0})
    costs.record("warmup", "student", 1.0)
    costs.record("opd", "student", 2.0)
    assert costs.route_seconds(route) == 3 * 100 + 2 * 1 + 2 * 2 + 3 * 10
    assert costs.marginal_seconds(route, store(route, {})) == costs.route_seconds(route)
    assert costs.marginal_seconds(route, store(route, {"O1": EVALUABLE, "S0": RESUMABLE})) == 20
    assert costs.marginal_seconds(route, store(route, {"S2": EVALUABLE})) == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_seconds_that_cannot_be_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="opd on student"):
        BlockCosts().record("opd", "student", seconds)
    with pytest.raises(ValueError, match="opd on student"):
        BlockCosts({("opd", "student"): seconds})


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
