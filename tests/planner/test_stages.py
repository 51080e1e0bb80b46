"""The table of stages: what the rest of the code takes for granted of its rows."""

from __future__ import annotations

import pytest

from tuition.planner.allocation import Allocation
from tuition.planner.route import Recipe, compile_route
from tuition.planner.stages import BRIDGE, STAGE, STAGES, STUDENT_RL, TEACHER_STAGES, TRANSFER_STAGES, Stage, listed


def test_an_allocation_has_one_count_for_each_stage_in_the_tables_order() -> None:
    fields = list(Allocation.model_fields)
    assert [name for name in fields if name in STAGE] == [stage.name for stage in STAGES]
    assert [name for name in fields if name not in STAGE] == ["teacher", "replay", "prompts"]


def test_names_and_titles_are_distinct() -> None:
    assert len(STAGE) == len({stage.title for stage in STAGES}) == len(STAGES)


def test_a_route_trains_the_teacher_then_transfers_then_trains_the_student() -> None:
    assert (*TEACHER_STAGES, *TRANSFER_STAGES, STUDENT_RL) == STAGES


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_draws_from_labels_or_carries_over_from_a_teacher(stage: Stage) -> None:
    assert stage.buys_labels != stage.is_transfer
    assert stage.is_transfer or not (stage.is_dense or stage.writer == "teacher"), "only a transfer has a teacher"
    assert stage.model == "student" or stage.buys_labels
    assert stage.trained_model("large") == ("large" if stage in TEACHER_STAGES else "student")
    assert stage.revision >= 1


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_blocks_are_what_the_table_says(stage: Stage, recipe: Recipe) -> None:
    """One block of the stage in a route of its own, with what it cannot do without."""
    counts = {STUDENT_RL.name: 1, stage.name: 1}
    if stage.model == "teacher":
        counts[BRIDGE[-1].name] = 1
    teacher = "large" if stage != STUDENT_RL else None
    route = compile_route(Allocation(teacher=teacher, **counts), recipe, 0)
    (block,) = [block for block in route.blocks if block.stage == stage.name]
    assert block.model == stage.trained_model("large")
    assert bool(block.new_labels) == stage.buys_labels
    assert (block.teacher is not None) == stage.is_transfer


def test_names_are_listed_as_a_sentence_has_them() -> None:
    assert listed([STAGE["warmup"], STAGE["opd"]]) == "warmup and opd"
    assert listed(STAGES[:3], "or") == "teacher_rl, teacher_sft or warmup"
    assert listed([STUDENT_RL]) == "student_rl"
