"""Predicted memory of the machine: what one process holds, and what each does."""

import copy
from typing import Any

import pytest

from tuition.runners.scenarios.host_memory import FORKED, predict_host
from tuition.runners.scenarios.memory import CPU_PROCESS, predict_stage
from tuition.runners.scenarios.outline import load_to_plan
from tuition.runners.scenarios.scenario import Scenario


def changed(name: str, **hardware: Any) -> Scenario:
    scenario = copy.copy(load_to_plan(name))
    file = scenario.file
    scenario.file = file.model_copy(update={"hardware": file.hardware.model_copy(update=hardware)})
    return scenario


def total(scenario: Scenario, stage: str) -> int:
    predicted = predict_host(scenario, stage)
    assert predicted is not None
    return predicted.total


@pytest.mark.parametrize("processes", [2, 8])
def test_the_state_of_a_sharded_block_is_held_once_whatever_the_number_of_processes(processes: int) -> None:
    scenario = changed("qwen3-8b-to-1.7b", processes=processes)
    teacher = scenario.shape("8b")
    assert teacher is not None
    predicted = predict_host(scenario, "teacher_rl")
    assert predicted is not None and predicted.moment == "the block is written"
    assert predicted.parts["weights and optimizer"] == 3 * 4 * teacher.parameters
    assert predicted.total == 12 * teacher.parameters + (1 + processes) * CPU_PROCESS


def test_every_process_reads_a_model_that_is_not_sharded() -> None:
    scenario = changed("qwen3-8b-to-1.7b", sharding="none")
    teacher = scenario.shape("8b")
    assert teacher is not None and total(scenario, "teacher_rl") > 8 * 4 * teacher.parameters


def test_an_offloaded_teacher_stays_in_the_memory_of_every_process() -> None:
    offloaded = predict_host(changed("qwen3-8b-to-1.7b", offload_teacher=True), "opd")
    teacher = changed("qwen3-8b-to-1.7b").shape("8b")
    assert offloaded is not None and teacher is not None
    assert offloaded.parts["offloaded teacher"] == 8 * 2 * teacher.parameters


def test_on_a_cpu_the_libraries_count_once_and_the_rest_in_every_process() -> None:
    one, two = load_to_plan("micro"), changed("micro", processes=2)
    each = predict_stage(two, "student_rl")
    assert each is not None and each.parts["buckets of gradients"] == each.parts["weights"]
    alone = predict_stage(one, "student_rl")
    assert alone is not None and total(one, "student_rl") == alone.total
    assert total(two, "student_rl") == 2 * (each.total - CPU_PROCESS + FORKED) + CPU_PROCESS
