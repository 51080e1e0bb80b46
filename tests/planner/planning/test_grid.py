"""The grid numbers what the space can reach, and prices it as the exact costs do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuition.planner.allocation import Allocation, TeacherCheckpoint
from tuition.planner.cost import CheckpointState, Work, missing_blocks, work_of
from tuition.planner.planning.grid import Grid
from tuition.planner.route import Label, Recipe, compile_checkpoint
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STAGES

SMALL = SearchSpace(teachers=("big", "peer"), num_label_blocks=3, max_warmup=2, max_opd=2)
FULL = SearchSpace(
    teachers=("big",),
    num_label_blocks=3,
    max_warmup=2,
    max_opd=2,
    max_replay=2,
    prepare=("rl", "sft"),
    transfer=("bridge", "sft"),
)
COSTS = {
    Work("student_rl", "student"): 2.0,
    **{Work("teacher_rl", teacher): 8.0 for teacher in ("big", "peer")},
    **{Work("teacher_sft", teacher): 5.0 for teacher in ("big", "peer")},
    **{Work("warmup", "student", teacher): 1.0 for teacher in ("big", "peer")},
    **{Work("opd", "student", teacher): 3.0 for teacher in ("big", "peer")},
    **{Work("transfer_sft", "student", teacher): 1.5 for teacher in ("big", "peer")},
}
RECIPE = Recipe(
    student="student",
    teachers={"big": "teacher big", "peer": "teacher peer"},
    labels=tuple(Label(f"id{i}", f"problem {i}", f"label {i}") for i in range(4)),
    labels_per_block=1,
    prompts_sha256="prompts",
    stages={stage.name: {"revision": 1} for stage in STAGES},
    environment={},
)


@pytest.mark.parametrize("space", [SMALL, FULL])
def test_it_allows_what_the_space_holds_and_reaches_what_routes_pass(space: SearchSpace) -> None:
    grid = Grid(space)
    allowed = {grid.checkpoint(int(node)) for node in np.flatnonzero(grid.allowed)}
    assert allowed == set(space.allocations())
    for allocation in space.allocations():
        node = grid.index(allocation)
        assert [grid.checkpoint(one) for one in grid.chain(node)] == allocation.checkpoints()


def test_what_no_route_of_the_space_passes_has_no_node() -> None:
    grid = Grid(SMALL)
    for text in (
        "student_rl=4",
        "teacher=big teacher_rl=2 warmup=3",
        "teacher=other warmup=1",
        "student_rl=1 replay=1",
    ):
        assert grid.index(Allocation.parse(text)) == -1
    assert grid.index(TeacherCheckpoint(teacher="big", stage="teacher_sft", blocks=1)) == -1


def test_a_raw_teacher_is_no_checkpoint_of_a_run() -> None:
    grid = Grid(SMALL)
    assert grid.checkpoint(grid.base_model("student")) == Allocation()
    with pytest.raises(ValueError, match="raw teacher"):
        grid.checkpoint(grid.base_model("peer"))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_costs_are_those_of_the_missing_blocks(data: st.DataObject) -> None:
    """Whatever was trained before, as the store would hold it."""
    grid = Grid(FULL)
    allocations = FULL.allocations()
    state = np.zeros(len(grid), np.int64)
    held: dict[str, CheckpointState] = {}
    for _ in range(data.draw(st.integers(0, 4))):
        trained = data.draw(st.sampled_from(allocations))
        grid.train(grid.missing(grid.index(trained), state), state)
        for block in missing_blocks(compile_checkpoint(trained, RECIPE, 0), lambda key: held.get(key, ABSENT)):
            held[block.key] = CheckpointState.resumable
            if block.continues_stage:
                held[block.parent] = CheckpointState.evaluable
    costs = grid.missing_costs(grid.block_costs(COSTS), state)
    for allocation in data.draw(st.lists(st.sampled_from(allocations), min_size=1, max_size=20)):
        route, node = compile_checkpoint(allocation, RECIPE, 0), grid.index(allocation)
        missing = missing_blocks(route, lambda key: held.get(key, ABSENT))
        assert costs[node] == pytest.approx(sum(COSTS[work_of(block)] for block in missing))
        assert len(grid.missing(node, state)) == len(missing)


ABSENT = CheckpointState.absent


def test_shared_blocks_are_those_of_equal_keys() -> None:
    grid = Grid(FULL)
    allocations = FULL.allocations()[::7]
    keys = [{block.key for block in compile_checkpoint(one, RECIPE, 0).blocks} for one in allocations]
    nodes = np.array([grid.index(one) for one in allocations])
    expected = [[len(a & b) for b in keys] for a in keys]
    np.testing.assert_array_equal(grid.shared_blocks(nodes, nodes), expected)


def test_a_hundred_thousand_allocations_are_numbered_at_once() -> None:
    space = SearchSpace(teachers=("a", "b", "c", "d"), num_label_blocks=16, max_warmup=9, max_opd=16)
    grid = Grid(space)
    assert grid.allowed.sum() > 100_000
    node = int(np.flatnonzero(grid.allowed)[77_777])
    assert grid.index(grid.checkpoint(node)) == node
