"""The warm-up: once per stage, from its first step on."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch
from transformers.optimization import get_constant_schedule_with_warmup

from tuition.planner.route import Route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.stages.harness import warmup_factor


@pytest.mark.parametrize(("steps", "factors"), [(0, [1, 1, 1]), (1, [1, 1, 1]), (4, [0.25, 0.5, 0.75, 1, 1])])
def test_the_rate_rises_from_the_first_step_on(steps: int, factors: list[float]) -> None:
    assert [warmup_factor(step, steps) for step in range(len(factors))] == factors


def test_without_a_warm_up_the_state_and_rates_are_those_of_the_schedule_of_before() -> None:
    """Optimizer and scheduler of stored blocks are continued."""
    weight = torch.nn.Parameter(torch.zeros(1))
    ours, theirs = (torch.optim.AdamW([weight], lr=1e-3) for _ in range(2))
    schedules = (
        torch.optim.lr_scheduler.LambdaLR(ours, lambda step: warmup_factor(step, 0)),
        get_constant_schedule_with_warmup(theirs, 0),
    )
    for _ in range(3):
        states = [schedule.state_dict() for schedule in schedules]
        assert all({**state, "lr_lambdas": None} == {**states[1], "lr_lambdas": None} for state in states)
        for schedule in schedules:
            schedule.optimizer.step()
            schedule.step()


@pytest.mark.slow
def test_every_stage_warms_up_once(runner: RouteRunner, route: Callable[..., Route]) -> None:
    compiled = route("teacher=medium teacher_sft=1 warmup=1 opd=1 student_rl=2")
    runner.run(compiled, "warm-up")
    rates: dict[str, list[float]] = {}
    for block in compiled.blocks:
        table = pd.read_parquet(runner.store.path(block.key) / "train.parquet")
        rates.setdefault(block.stage, []).extend(table["learning_rate"] / 1e-3)
    third = [1 / 3, 2 / 3]
    expected = {"teacher_sft": [0.2, 0.4], "warmup": third, "opd": third, "student_rl": [*third, 1, 1]}
    assert {stage: pytest.approx(expected[stage]) for stage in rates} == rates


def test_keys_change_where_there_is_a_warm_up_and_nowhere_else(
    scenario_file: dict[str, Any], load: Callable[..., Scenario]
) -> None:
    scenario_file["stages"]["opd"]["lr_warmup_steps"] = 0
    stages = load(scenario_file).recipe.stages
    assert "lr_warmup_first_rate" not in stages["opd"]
    assert stages["student_rl"]["lr_warmup_first_rate"] == "above zero"
