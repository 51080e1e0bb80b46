"""`tuition plan` says how often labels and prompts are trained on, and what to change where labels never are."""

import json

import pytest

from tests.app.conftest import Command
from tuition.app.costs.planned_passes import StagePasses, plan_passes, show_passes
from tuition.runners.scenarios.outline import load_to_plan
from tuition.runners.scenarios.scenario import Scenario

LORA = "qwen3-4b-to-0.6b-lora"


def drawing(new_labels_first: float, steps: int = 64) -> Scenario:
    """The scenario, in which a block buys 256 labels and draws 4 a step."""
    scenario = load_to_plan(LORA)
    stages = scenario.file.stages
    for stage in ("teacher_rl", "student_rl"):
        stages = stages.changed(stage, new_labels_first=new_labels_first, steps=steps)
    return scenario.with_stages(stages)


@pytest.fixture(scope="module")
def rows() -> tuple[StagePasses, ...]:
    return plan_passes(drawing(0.0), 0)


def test_typical_routes_have_one_row_for_each_stage_that_differs(rows: tuple[StagePasses, ...]) -> None:
    found = [(row.route, row.stage, row.blocks, row.items, row.of) for row in rows]
    assert found == [
        ("direct", "student_rl", 8, 2048, "labels"),
        ("teacher-upstream", "teacher_rl", 8, 2048, "labels"),
        ("teacher-upstream", "warmup", 1, 4096, "prompts"),
        ("teacher-upstream", "opd", 2, 4096, "prompts"),
        ("half", "teacher_rl", 4, 1024, "labels"),
        ("half", "student_rl", 4, 1024, "labels"),
    ]
    for row in rows:
        assert row.never + row.once + row.twice + row.more == pytest.approx(1)
        assert len(row.passes) == (row.blocks if row.of == "labels" else 1)


def test_labels_that_are_never_trained_on_are_named_with_the_fix(
    rows: tuple[StagePasses, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    direct = rows[0]
    assert direct.never == pytest.approx(0.44, abs=0.01)
    note = (
        "student_rl never trains on 44% of the 2,048 labels that it buys: set stages.student_rl.new_labels_first: 1, "
        "so that each block draws the 256 that it buys"
    )
    assert direct.note == note and all(row.note is None for row in rows if row.of == "prompts")
    show_passes(rows)
    shown = capsys.readouterr().out
    assert shown.count("never trains on") == 2 and f"Note: {note}." in shown  # one for each stage that buys


def test_where_a_block_draws_fewer_than_it_buys_it_needs_steps() -> None:
    direct = plan_passes(drawing(1.0, steps=32), 0)[0]
    assert direct.never == pytest.approx(0.5)
    assert direct.note is not None and "raise stages.student_rl.steps (32 now; 64 are enough)" in direct.note


def test_a_scenario_that_trains_on_all_labels_has_no_note() -> None:
    for name in ("qwen3-8b-to-1.7b", LORA):
        assert {row.note for row in plan_passes(load_to_plan(name), 0)} == {None}


def test_the_plan_has_them(tuition: Command) -> None:
    rows = plan_passes(load_to_plan(LORA), 0)
    result = tuition("plan", "--scenario", LORA, "--trials", "1", "--test-seeds", "0", "--json")
    assert result.returncode == 0, result.stderr
    passes = json.loads(result.stdout)["passes"]
    assert [(row["stage"], row["never"], row["passes"]) for row in passes] == [
        (row.stage, row.never, list(row.passes)) for row in rows
    ]
