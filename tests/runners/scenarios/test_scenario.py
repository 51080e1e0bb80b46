import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuition.benchmarks.suites.dapo_math import AFTER, BEFORE
from tuition.planner.allocation import Allocation, AllocationError
from tuition.planner.drift import describe_drift
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN, ScenarioFile, built_in_scenarios
from tuition.runners.scenarios.sources import HubError, ScenarioError

Load = Callable[[dict[str, Any]], Scenario]


BENCHES = ["micro", "micro-b", "micro-c"]
REAL = [
    "llama-70b-to-8b",
    "qwen3-14b-to-1.7b",
    "qwen3-4b-to-0.6b-lora",
    "qwen3-4b-to-0.6b-proxy",
    "qwen3-8b-to-1.7b",
    "qwen3-8b-to-1.7b-week",
]


def test_the_built_in_scenarios_are_the_bench_and_those_of_real_models() -> None:
    assert built_in_scenarios() == sorted([*BENCHES, "smol", *REAL])


@pytest.mark.parametrize("name", BENCHES)
def test_the_bench_loads(name: str) -> None:
    assert Scenario.load(name).recipe.num_label_blocks >= 2


@pytest.mark.parametrize("name", REAL)
def test_the_scenarios_of_real_models_read_and_say_what_the_hub_lacks(name: str) -> None:
    file, _ = ScenarioFile.read(name)
    assert file.labels.count == 8 * file.labels_per_block and file.hub_data and len(file.hub_models) == 2
    assert file.chat_template and file.template and file.prompt_suffix
    with pytest.raises(HubError, match=r"DAPO-Math-17k-dedup cannot be fetched .* go online once") as caught:
        Scenario.load(name)
    assert "\n" not in str(caught.value)


@pytest.fixture
def dapo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that has rows of DAPO-Math-17k's number and shape."""
    rows = [
        {"prompt": [{"role": "user", "content": f"{BEFORE} {{}}\n\nHow many are {i}?\n\n{AFTER}"}],
         "reward_model": {"ground_truth": str(i)}}
        for i in range(17_397)
    ]  # fmt: skip
    repeated = {"prompt": [{"role": "user", "content": "How many  are 0?"}], "reward_model": {"ground_truth": "1"}}
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: [*rows, repeated])


def test_labels_and_a_suite_of_one_data_set_of_the_hub(scenario_file: dict[str, Any], load: Load, dapo: None) -> None:
    scenario_file["labels"] = {"suite": "dapo-math-17k", "count": 16}
    scenario_file["validation"] = {"problems": {"suite": "dapo-math-17k", "skip": 16, "count": 8}, "samples": 2}
    scenario = load(scenario_file)
    texts = {problem.problem for problem in (*scenario.labels, *scenario.validation)}
    assert len(texts) == 24 and all(re.fullmatch(r"How many are \d+\?", text) for text in texts)
    assert all(problem.answer in problem.problem for problem in scenario.labels)
    scenario_file["validation"]["problems"]["skip"] = 17_390
    with pytest.raises(ScenarioError, match=r"fewer than count=8 of dapo-math-17k's 17397 problems"):
        load(scenario_file)


def test_one_file_is_labels_and_suites_at_once(scenario_file: dict[str, Any], load: Load, tmp_path: Path) -> None:
    rows = [{"id": i, "problem": f"What is {i} squared?", "answer": str(i * i)} for i in range(40)]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    mine = {"jsonl": "mine.jsonl", "shuffle": True, "without": ["3", "5"]}
    scenario_file["labels"] = {**mine, "count": 16}
    scenario_file["validation"]["problems"] = {**mine, "skip": 16, "count": 11}
    scenario_file["test"]["problems"] = {**mine, "skip": 27}
    first = load(scenario_file)
    ids = [p.id for p in (*first.labels, *first.validation, *first.test)]
    assert sorted(ids, key=int) == [str(i) for i in range(40) if i not in (3, 5)] != ids
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, reversed(rows))))
    assert load(scenario_file).labels == first.labels
    scenario_file["labels"]["without"] = ["41"]
    with pytest.raises(ScenarioError, match=r"`without` names '41', which is not in mine\.jsonl"):
        load(scenario_file)


@pytest.mark.parametrize("name", BENCHES)
def test_base_checkpoints_are_small_enough_to_ship(name: str) -> None:
    assert sum(f.stat().st_size for f in (BUILT_IN / name).rglob("*")) < 4_000_000


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
        ("labels_per_block", 5, r"16 labels are not a multiple of labels_per_block=5"),
        ("stages.student_rl.prompts_per_step", 8, r"prompts_per_step=8 exceeds labels_per_block=4"),
        ("stages.opd.prompts_per_step", 32, r"prompts_per_step=32 exceeds the 16 prompts"),
        ("stages.opd.micro_batch", 3, r"not a multiple of micro_batch=3"),
        ("stages.opd.learning_rate", -1, r"stages.opd.learning_rate = '-1'"),
        ("labels", {"micro": "test", "count": 16}, r"8 problems of the labels pool are in the test suite"),
        ("prompts", {"micro": "validation", "count": 16}, r"problems of the prompts pool are in the validation suite"),
        ("student", {"path": "nowhere"}, r"missing checkpoint .*nowhere.*tuition micro build"),
        ("student", {"path": "a", "hub": "b"}, r"exactly one of `path` and `hub`"),
        ("labels", {"jsonl": "absent.jsonl"}, r"no problem file .*absent.jsonl"),
        ("labels", {"suite": "math5000"}, r"`suite: math5000` is unknown: choose from math500, .*dapo-math-17k"),
        ("labels.shuffle", True, r"`shuffle` and `skip` need `jsonl` or `suite`"),
        ("labels.revision", "abc", r"`revision` needs `suite`"),
        ("search.teacher", "huge", r"search.teacher='huge' is unknown: choose from medium"),
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


@pytest.mark.parametrize(
    ("key", "value", "drift"),
    [
        ("stages.opd.steps", 3, "stages.opd.steps: 3, was 2"),
        ("stages.student_rl.kl_coef", 0.5, "stages.student_rl.kl_coef: 0.5, was 0.0"),
        ("labels.count", 12, "labels.count: 12, was 16"),
        ("labels_per_block", 8, "labels_per_block: 8, was 4"),
        ("prompts.count", 20, "prompts.count: 20, was "),
        ("validation.problems.count", 4, "validation.count: 4, was "),
        ("test.samples", 3, "test.samples: 3, was "),
        ("prompt_suffix", " Think.", 'prompt_suffix: " Think.", was ""'),
        ("template", {"enable_thinking": False}, "template.enable_thinking: false, was not set"),
        ("decoding.temperature", 0.5, "decoding.temperature: 0.5, was 1.0"),
        ("search.max_opd", 3, "search.max_opd: 3, was "),
        ("hardware", {"generation_batch": 64}, "hardware.generation_batch: 64, was 256"),
        ("student", {"path": str(BUILT_IN / "micro" / "teacher")}, "student: "),
    ],
)
def test_every_part_of_the_identity_has_a_name(
    scenario_file: dict[str, Any], load: Load, key: str, value: Any, drift: str
) -> None:
    before = load(scenario_file)
    after = load(_set(yaml.safe_load(yaml.safe_dump(scenario_file)), key, value))
    found = describe_drift(after.fields, before.fields)
    assert before.sha256 != after.sha256 and any(line.startswith(drift) for line in found), found
    assert {line.split(":")[0].split(".")[0] for line in found} == {key.split(".")[0]}


def test_a_scenario_that_is_kept_elsewhere_is_the_same(
    scenario_file: dict[str, Any], load: Load, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    rows = [{"id": i, "problem": f"What is {i} squared?", "answer": str(i * i)} for i in range(8)]
    (tmp_path / "own" / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shutil.copytree(BUILT_IN / "micro" / "student", tmp_path / "own" / "student")
    scenario = load({**scenario_file, "labels": {"jsonl": "own/labels.jsonl"}, "student": {"path": "own/student"}})
    kept = tmp_path / "results" / "studies" / "s" / "scenario.yaml"
    scenario.keep(kept, "mine.yaml\n- not YAML")
    again = Scenario.load(str(kept))
    assert (again.sha256, again.name, again.fields) == (scenario.sha256, scenario.name, scenario.fields)
    assert again.labels == scenario.labels and kept.read_text().startswith("# Scenario of this study, read from 'mine.")


@pytest.mark.parametrize("name", built_in_scenarios())
def test_a_built_in_scenario_is_read_again_as_it_was(name: str, tmp_path: Path) -> None:
    file, folder = ScenarioFile.read(name)
    (tmp_path / "kept.yaml").write_text(file.text(folder))
    again, _ = ScenarioFile.read(str(tmp_path / "kept.yaml"))
    assert again.text(tmp_path) == file.text(folder)
    assert again.stages == file.stages and again.hardware == file.hardware and again.search == file.search


def test_variables_of_the_chat_template_are_content(scenario_file: dict[str, Any], load: Load) -> None:
    before, after = load(scenario_file), load({**scenario_file, "template": {"enable_thinking": False}})
    assert before.sha256 != after.sha256
    assert all(before.recipe.stages[stage] != after.recipe.stages[stage] for stage in before.recipe.stages)


def test_a_stage_that_a_scenario_does_not_have_changes_no_other(scenario_file: dict[str, Any], load: Load) -> None:
    whole = load(scenario_file)
    stages = whole.file.stages.model_copy(update={"transfer_sft": None})
    without = Scenario(whole.file.model_copy(update={"stages": stages}), whole.folder)
    assert without.recipe.stages == {k: v for k, v in whole.recipe.stages.items() if k != "transfer_sft"}
    allocation = Allocation(teacher="medium", transfer_sft=1)
    compile_route(allocation, whole.recipe, 0)
    with pytest.raises(AllocationError, match=r"no settings for stage 'transfer_sft'"):
        compile_route(allocation, without.recipe, 0)


def test_a_setting_changes_the_recipe_of_its_stage_only(scenario_file: dict[str, Any], load: Load) -> None:
    before = load(scenario_file).recipe
    after = load(_set(scenario_file, "stages.opd.steps", 3)).recipe
    assert {stage for stage in before.stages if before.stages[stage] != after.stages[stage]} == {"opd"}


def test_the_scenario_in_the_readme_is_one() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    content = yaml.safe_load(readme.split("```yaml\n")[1].split("```")[0])
    assert ScenarioFile.model_validate(content).name == "mine"


def test_the_bench_with_two_teachers_has_a_large_space_and_cheap_routes() -> None:
    scenario = Scenario.load("micro-c")
    search, seconds = scenario.file.search, scenario.file.prior_seconds
    assert len(scenario.space.allocations()) == 1240
    dearest = scenario.num_label_blocks * seconds["teacher_rl"]
    assert dearest + search.max_warmup * seconds["warmup"] + search.max_opd * seconds["opd"] <= 30
