import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from runners.scenario import BUILT_IN, Scenario, ScenarioError, ScenarioFile, built_in_scenarios

Load = Callable[[dict[str, Any]], Scenario]


@pytest.mark.parametrize("name", built_in_scenarios())
def test_built_in_scenarios_load(name: str) -> None:
    assert Scenario.load(name).recipe.num_label_blocks >= 2


def test_base_checkpoints_are_small_enough_to_ship() -> None:
    assert sum(f.stat().st_size for f in (BUILT_IN / "micro").rglob("*")) < 8_000_000


def _set(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split(".")
    place = content
    for name in parents:
        place = place[name]
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stages.teacher_rl.learning_rat", 1e-4, r"unknown key 'stages.teacher_rl.learning_rat'"),
        ("colour", "blue", r"unknown key 'colour'"),
        ("labels_per_block", 16, r"16 labels make fewer than 2 blocks of labels_per_block=16"),
        ("validation.problems.count", 1, r"the validation suite has 1 problems"),
        ("prior_seconds", {"opd": 0}, r"prior_seconds.opd = '0'"),
        ("labels_per_block", 5, r"16 labels are no multiple of labels_per_block=5"),
        ("stages.student_rl.prompts_per_step", 8, r"prompts_per_step=8 exceeds labels_per_block=4"),
        ("stages.opd.prompts_per_step", 32, r"prompts_per_step=32 exceeds the 16 prompts"),
        ("stages.opd.micro_batch", 3, r"no multiple of micro_batch=3"),
        ("stages.opd.learning_rate", -1, r"stages.opd.learning_rate = '-1'"),
        ("labels", {"micro": "test", "count": 16}, r"8 problems of the labels pool are in the test suite"),
        ("prompts", {"micro": "validation", "count": 16}, r"problems of the prompts pool are in the validation suite"),
        ("student", {"path": "nowhere"}, r"missing checkpoint .*nowhere.*tuition micro build"),
        ("student", {"path": "a", "hub": "b"}, r"exactly one of `path` and `hub`"),
        ("labels", {"jsonl": "absent.jsonl"}, r"no problem file .*absent.jsonl"),
        ("search.teacher", "huge", r"search.teacher='huge' is none of the teachers medium"),
        ("name", "../escape", r"name = '../escape'"),
    ],
)
def test_wrong_scenarios_are_refused_in_one_line(
    scenario_file: dict[str, Any], load: Load, path: str, value: Any, message: str
) -> None:
    with pytest.raises(ScenarioError, match=message) as caught:
        load(_set(scenario_file, path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b", "", "!!python/object/apply:os.system ['true']"])
def test_files_that_hold_no_scenario_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError):
        Scenario.load(str(path))


def test_a_users_own_problems_from_jsonl(scenario_file: dict[str, Any], load: Load, tmp_path: Path) -> None:
    rows = [{"id": i, "problem": f"What is {i} squared?", "answer": str(i * i), "source": "ignored"} for i in range(8)]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    scenario = load(_set(scenario_file, "labels", {"jsonl": "labels.jsonl"}))
    assert [p.answer for p in scenario.labels[:3]] == ["0", "1", "4"]


@pytest.mark.parametrize("line", ["{not json", '{"id": 1, "problem": "x"}', "[1]"])
def test_a_bad_row_is_named_by_its_line(scenario_file: dict[str, Any], load: Load, tmp_path: Path, line: str) -> None:
    good = json.dumps({"id": 0, "problem": "x", "answer": "1"})
    (tmp_path / "labels.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(ScenarioError, match=r"labels\.jsonl:2: not a problem"):
        load(_set(scenario_file, "labels", {"jsonl": "labels.jsonl"}))


def test_identity_covers_content_and_not_prose_or_paths(scenario_file: dict[str, Any], load: Load) -> None:
    first = load(scenario_file).sha256
    assert load({**scenario_file, "description": "other words"}).sha256 == first
    assert load(_set(yaml.safe_load(yaml.safe_dump(scenario_file)), "stages.opd.learning_rate", 2e-3)).sha256 != first
    assert load(_set(scenario_file, "labels.count", 12)).sha256 != first


def test_a_setting_changes_the_recipe_of_its_stage_only(scenario_file: dict[str, Any], load: Load) -> None:
    before = load(scenario_file).recipe
    after = load(_set(scenario_file, "stages.opd.steps", 3)).recipe
    assert {stage for stage in before.stages if before.stages[stage] != after.stages[stage]} == {"opd"}


def test_the_scenario_in_the_readme_is_one() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    content = yaml.safe_load(readme.split("```yaml\n")[1].split("```")[0])
    assert ScenarioFile.model_validate(content).name == "mine"
