"""Settings that are hardly meant are named, with the fix; nothing is refused for them."""

from typing import Any

import pytest

from tests.runners.conftest import tiny_scenario_file
from tuition.runners.scenarios.scenario_file import ScenarioFile, built_in_scenarios
from tuition.runners.scenarios.setting_checks import unlikely_settings

NUM_BLOCKS = 8


def found(stage: str, search: dict[str, Any] | None = None, **settings: Any) -> list[str]:
    file = tiny_scenario_file()
    file["stages"][stage] |= settings
    file["search"] |= search or {}
    return list(unlikely_settings(ScenarioFile.model_validate(file), NUM_BLOCKS))


def test_what_ships_is_meant() -> None:
    for name in built_in_scenarios():
        assert not list(unlikely_settings(ScenarioFile.read(name)[0], NUM_BLOCKS)), name


@pytest.mark.parametrize(
    ("stage", "search", "most"),
    [
        ("student_rl", {}, 16),
        ("student_rl", {"max_replay": 2}, 20),
        ("teacher_sft", {}, 16),
        ("warmup", {"max_warmup": 3}, 6),
        ("opd", {"bridge_opd": 2}, 4),
        ("transfer_sft", {}, 4),
    ],
)
def test_a_warm_up_beyond_all_steps_of_a_stage(stage: str, search: dict[str, Any], most: int) -> None:
    assert found(stage, search, steps=2, lr_warmup_steps=most) == []
    (text,) = found(stage, search, steps=2, lr_warmup_steps=most + 1)
    assert text.startswith(f"stages.{stage}.lr_warmup_steps={most + 1} exceeds the {most} steps")
    assert text.endswith(f"learning_rate=0.001 is never reached; lower it to {most} or less")


def test_a_clip_of_1_or_more() -> None:
    assert found("teacher_rl", clip=0.99) == []
    (text,) = found("teacher_rl", clip=2)
    assert text.startswith("stages.teacher_rl.clip=2 is 1 or more") and "set it below 1" in text


def test_a_stage_that_no_route_has_is_passed_over() -> None:
    none = dict.fromkeys(("bridge_warmup", "max_warmup"), 0)
    assert found("warmup", none, lr_warmup_steps=100) == []
