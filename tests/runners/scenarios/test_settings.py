"""Settings and trainers have what the table of stages asks for."""

from pathlib import Path
from typing import get_args

import pytest

from tuition.planner.route import Block
from tuition.planner.stages import BRIDGE, STAGE, STAGES, Objective, Stage
from tuition.runners.scenarios.settings import (
    AnySettings,
    RejectionSettings,
    RLSettings,
    StageSettings,
    TeacherServer,
    TransferSettings,
)
from tuition.runners.training.teacher_server import DIVERGENCES
from tuition.runners.training.work_order import ModelFiles, WorkOrder


def settings_of(stage: Stage) -> AnySettings:
    return StageSettings.model_validate({stage.name: {}}).of(stage.name)


def test_every_stage_has_settings_in_the_tables_order() -> None:
    assert list(StageSettings.model_fields) == list(STAGE)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_settings_are_of_the_kind_that_the_stage_needs(stage: Stage) -> None:
    kind = RLSettings if stage.is_rl else TransferSettings if stage.is_transfer else RejectionSettings
    assert type(settings_of(stage)) is kind


def test_a_change_is_of_one_stage() -> None:
    settings, name = StageSettings.model_validate({stage.name: {} for stage in STAGES}), STAGES[0].name
    changed = settings.changed(name, steps=99)
    assert changed.of(name).steps == 99
    assert settings.model_dump(exclude={name}) == changed.model_dump(exclude={name})


def test_every_objective_has_a_trainer() -> None:
    from tuition.runners.training.execution import TRAINERS

    assert set(TRAINERS) == set(get_args(Objective)) == {stage.objective for stage in STAGES}


def test_every_objective_of_the_bridge_is_said_in_words() -> None:
    assert set(DIVERGENCES) == {(stage.objective, served) for stage in BRIDGE for served in (False, True)}


def test_only_a_forward_kl_compares_several_of_the_teachers_tokens() -> None:
    server = TeacherServer(top_k=7)
    assert (server.compared_tokens("forward_kl"), server.compared_tokens("reverse_kl")) == (7, 1)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_an_order_is_read_as_it_was_written(stage: Stage) -> None:
    """Another process trains by what it reads: the settings keep their type."""
    block = Block("key", stage.name, 0, "student", "parent", "parent", None, (), (), 0, 0)
    order = WorkOrder(
        block=block,
        settings=settings_of(stage),
        model=ModelFiles(Path("checkpoint"), Path("base"), "float32"),
        device="cpu",
        dtype="float32",
        engine="vllm",
    )
    read = WorkOrder.model_validate_json(order.model_dump_json())
    assert read == order and type(read.settings) is type(order.settings)
    assert read.rollout_engine == ("vllm" if stage.generates else "transformers")


def test_keys_cover_what_a_teachers_server_computes_and_not_where_it_runs() -> None:
    loss = {"teacher_server_loss": "over the step's tokens"}
    assert TeacherServer(top_k=7, devices="1").key_fields("forward_kl") == {"teacher_top_k": 7, **loss}
    split = TeacherServer(top_k=7, tensor_parallel=2).key_fields("reverse_kl")
    assert split == {"teacher_top_k": 1, "teacher_tensor_parallel": 2, **loss}
