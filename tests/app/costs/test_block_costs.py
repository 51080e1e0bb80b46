"""Where a predicted cost comes from: never from a block of another recipe without saying so."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.made_scores import two_by_two
from tests.runners.conftest import tiny_scenario_file
from tests.runners.made_records import made_record, store_untrained
from tuition.app.costs.block_costs import ScoreCosts, all_work
from tuition.app.costs.block_costs import block_costs as costs_of_measured
from tuition.app.processes.cost_words import basis_text, total_text
from tuition.app.studies.search_plan import PlanRequest, plan_search
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import Making, ScoredModel, ScoreStore
from tuition.planner.allocation import Allocation
from tuition.planner.cost import BlockCosts, Cost, Source, Work
from tuition.planner.cost_law import SPEEDS
from tuition.planner.route import compile_route
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.route_runner import score_task
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.workload import scenario_workload
from tuition.runners.store.block_store import BlockStore
from tuition.runners.store.short_blocks import ShortBlock, write_short_block

ROUTE = Allocation.parse("teacher=medium teacher_rl=1 warmup=1 opd=1 student_rl=1")
OPD, STUDENT_RL = Work("opd", "student", "medium"), Work("student_rl", "student")
Load = Callable[[dict[str, Any]], Scenario]


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "results")


@pytest.fixture
def load() -> Load:
    """Scenarios without files of their own."""
    from tuition.runners.scenarios.scenario_file import ScenarioFile

    return lambda content: Scenario(ScenarioFile.model_validate(content), Path("."))


def changed(**settings: Any) -> dict[str, Any]:
    """The scenario with other settings in every stage."""
    file = tiny_scenario_file()
    return {**file, "stages": {name: {**stage, **settings} for name, stage in file["stages"].items()}}


def put(scenario: Scenario, folder: ResultsFolder, **changes: Any) -> None:
    """The blocks of a route as if they had been trained on this host."""
    fields = {"host": platform.node(), "tokens": 600, "sequences": 16, **changes}
    store_untrained(BlockStore(folder.store), compile_route(ROUTE, scenario.recipe, 0), scenario, **fields)


def block_costs(scenario: Scenario, folder: ResultsFolder) -> BlockCosts:
    return costs_of_measured(scenario, MeasuredBlocks(scenario, folder))


def sources(scenario: Scenario, folder: ResultsFolder) -> dict[str, Source]:
    return {work.stage: cost.source for work, cost in block_costs(scenario, folder).costs.items()}


def test_a_block_of_the_same_recipe_is_measured(folder: ResultsFolder, load: Load) -> None:
    scenario = load(tiny_scenario_file(prior_seconds={"opd": 5, "transfer_sft": 7}))
    put(scenario, folder, gpu_seconds=3.0)
    costs = block_costs(scenario, folder).costs
    assert costs[OPD] == Cost(3.0, Source.measured, "measured (1 block)")
    assert costs[STUDENT_RL].source is Source.measured
    assert costs[Work("transfer_sft", "student", "medium")].source is not Source.measured


@pytest.mark.parametrize("settings", [{"learning_rate": 5e-3}, {"weight_decay": 0.5}, {"lr_warmup_steps": 1}])
def test_settings_that_change_no_work_keep_a_cost_measured(
    folder: ResultsFolder, load: Load, settings: dict[str, Any]
) -> None:
    put(load(tiny_scenario_file()), folder)
    assert sources(load(changed(**settings)), folder)["opd"] is Source.measured


@pytest.mark.parametrize("settings", [{"steps": 100}, {"max_completion_tokens": 48}, {"micro_batch": 4}])
def test_settings_that_change_the_work_make_it_an_estimate(
    folder: ResultsFolder, load: Load, settings: dict[str, Any]
) -> None:
    put(load(tiny_scenario_file()), folder)
    costs = block_costs(load(changed(**settings)), folder).costs
    assert costs[OPD].source is Source.estimated
    assert "estimated from opd of a model of" in costs[OPD].basis and "within a factor of" in costs[OPD].basis


def test_a_hundred_times_the_steps_are_no_longer_the_same_price(folder: ResultsFolder, load: Load) -> None:
    put(load(tiny_scenario_file()), folder, gpu_seconds=1.0)
    seconds = [block_costs(load(changed(steps=steps)), folder).costs[STUDENT_RL].seconds or 0 for steps in (1, 100)]
    assert seconds[0] == 1.0 and seconds[1] > 3


@pytest.mark.parametrize(
    "changes",
    [
        {"base": "e" * 64},
        {"accelerator": "cpu: another processor"},
        {"accelerator": "cpu x86_64", "host": "another host"},
        {"environment": {"device": "cpu", "dtype": "float32", "engine": "transformers", "processes": "2"}},
    ],
)
def test_blocks_of_another_model_or_device_are_not_measured(
    folder: ResultsFolder, load: Load, changes: dict[str, Any]
) -> None:
    put(load(tiny_scenario_file()), folder, **changes)
    assert Source.measured not in sources(load(tiny_scenario_file()), folder).values()


def test_blocks_of_another_model_are_scaled_by_its_size(folder: ResultsFolder, load: Load) -> None:
    file = tiny_scenario_file(prior_seconds={"student_rl": 5})
    # Another model in the student's place: its stored blocks carry its configuration.
    other = load({**file, "student": file["teachers"]["medium"]})
    put(other, folder, gpu_seconds=40.0)
    store = BlockStore(folder.store)
    for record in store.records():
        store.model(record.key).mkdir()
        shutil.copy(Path(file["teachers"]["medium"]["path"]) / "config.json", store.model(record.key))
    cost = block_costs(load(file), folder).costs[STUDENT_RL]
    assert cost.source is Source.estimated and "measured here (within a factor of" in cost.basis
    assert "estimated from student_rl of a model of 0.375 M parameters" in cost.basis
    assert cost.seconds is not None and 1 < cost.seconds < 40, "the student is smaller"


def test_a_measured_model_of_any_size_is_scaled_before_the_scenario_is_believed(
    folder: ResultsFolder, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(SPEEDS["cpu"], largest=1000.0)
    monkeypatch.setattr("tuition.app.costs.block_costs.SPEEDS", {"cpu": small})
    file = {**changed(steps=2), "prior_seconds": {"student_rl": 5}}
    assert block_costs(load(file), folder).costs[STUDENT_RL].source is Source.stated
    put(load(tiny_scenario_file()), folder)
    assert block_costs(load(file), folder).costs[STUDENT_RL].source is Source.estimated


def test_what_the_scenario_states_is_called_so(folder: ResultsFolder, load: Load) -> None:
    scenario = load(tiny_scenario_file(prior_seconds={"opd": 5}))
    assert block_costs(scenario, folder).costs[OPD] == Cost(5.0, Source.stated, "stated in the scenario")
    assert costs_of_measured(scenario, None).costs == {OPD: Cost(5.0, Source.stated, "stated in the scenario")}


def test_nothing_measured_and_nothing_stated_is_an_estimate_on_a_device_with_figures(
    folder: ResultsFolder, load: Load
) -> None:
    cost = block_costs(load(tiny_scenario_file()), folder).costs[OPD]
    assert cost.source is Source.estimated and "if completions are half as long as their limit" in cost.basis


def test_another_type_of_number_or_device_is_unknown(folder: ResultsFolder, load: Load) -> None:
    put(load(tiny_scenario_file()), folder)
    for hardware in ({"device": "cpu", "dtype": "bfloat16"}, {"device": "cuda", "engine": "transformers"}):
        scenario = load(tiny_scenario_file(hardware=hardware))
        assert set(sources(scenario, folder).values()) == {Source.unknown}
        assert ScoreCosts(scenario, MeasuredBlocks(scenario, folder)).of("validation").source is Source.unknown


@pytest.mark.slow
def test_a_scenario_for_gpus_is_never_priced_by_blocks_of_a_processor(folder: ResultsFolder, load: Load) -> None:
    put(load(tiny_scenario_file()), folder, gpu_seconds=0.5)
    plan = plan_search(PlanRequest("qwen3-8b-to-1.7b", folder.path, 1, num_test_seeds=0))
    assert plan.basis.keys() == {"stated"} and (plan.gpu_seconds or 0) > 1e6
    assert plan.commands[0].startswith("tuition measure --scenario qwen3-8b-to-1.7b")


def test_a_short_block_is_scaled_by_its_steps_until_a_real_one_is_there(folder: ResultsFolder, load: Load) -> None:
    scenario, short = load(changed(steps=30)), load(changed(steps=3))
    (block,) = compile_route(Allocation(student_rl=1), short.recipe, 0).blocks
    record = made_record(
        block.key, stage="student_rl", base=short.recipe.student, parent=block.parent, host=platform.node(),
        settings=dict(short.recipe.stages["student_rl"]), environment=dict(short.recipe.environment),
        accelerator=accelerator(), gpu_seconds=4.0,
    )  # fmt: skip
    write_short_block(folder.measured, ShortBlock(record=record, seconds_per_step=1.0, seconds_fixed=1.0))
    assert block_costs(scenario, folder).costs[STUDENT_RL] == Cost(31.0, Source.measured, "measured on 3 of 30 steps")
    put(scenario, folder, gpu_seconds=25.0)
    assert block_costs(scenario, folder).costs[STUDENT_RL] == Cost(25.0, Source.measured, "measured (1 block)")


def accelerator() -> str:
    from tuition.runners.training.meter import accelerator_name

    return accelerator_name("cpu")


def test_every_kind_of_work_has_a_cost_or_is_unknown(folder: ResultsFolder, load: Load) -> None:
    scenario = load(tiny_scenario_file())
    assert block_costs(scenario, folder).costs.keys() == set(all_work(scenario))


def test_a_filters_draws_are_work(load: Load) -> None:
    works = {}
    for samples in (None, 4, 400):
        file = changed(steps=3)
        file["stages"]["student_rl"]["filter"] = samples and {"samples": samples}
        found = scenario_workload(load(file), STUDENT_RL)
        assert found is not None
        works[samples] = found
    assert works[None].decoding_passes < works[4].decoding_passes <= works[400].decoding_passes
    assert works[None].flops < works[4].flops < works[400].flops / 10


def test_a_raw_teachers_score_is_priced_by_its_own_size(folder: ResultsFolder, load: Load) -> None:
    scores = {}
    for name, prior in (("estimated", {}), ("stated", {"score": 100.0})):
        scenario = load(tiny_scenario_file(prior_seconds=prior))
        costs = ScoreCosts(scenario, MeasuredBlocks(scenario, folder))
        student, teacher = costs.of("test"), costs.of("test", "medium")
        assert student.source is teacher.source is Source[name]
        assert teacher.basis == f"the student's, scaled by the models' sizes: {student.basis}"
        scores[name] = (teacher.seconds or 0) / (student.seconds or 1)
    assert scores["estimated"] == pytest.approx(scores["stated"]) and scores["estimated"] > 1.2
    (row,) = [row for row in plan_search(PlanRequest("micro", folder.path, 1)).costs if row.name.startswith("score of")]
    assert (row.name, row.count) == ("score of big on test", 1)


def test_a_measured_score_of_a_teacher_is_no_score_of_the_student(folder: ResultsFolder, load: Load) -> None:
    scenario = load(tiny_scenario_file(prior_seconds={"score": 100.0}))
    teacher = scenario.recipe.teachers["medium"]
    key = score_task(scenario, "test", 0, ScoredModel(label=""), teacher, "medium").key
    ScoreStore(folder.scores).save(key, two_by_two(4, 2), Making(host=platform.node(), gpu_seconds=3.0))
    costs = ScoreCosts(scenario, MeasuredBlocks(scenario, folder))
    assert costs.of("test", "medium") == Cost(3.0, Source.measured, "measured (1 score)")
    assert costs.of("validation", "medium").source is Source.estimated
    assert costs.of("test").source is Source.stated


def test_a_plan_reads_the_blocks_once(folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    records = BlockStore.records
    monkeypatch.setattr(BlockStore, "records", lambda store: read.append(store.folder) or records(store))
    folder.store.mkdir(parents=True)
    plan_search(PlanRequest("micro", folder.path, 1))
    assert read == [folder.store]


def test_words_say_what_is_known() -> None:
    assert total_text(None, 0) == "unknown" and total_text(None, 7200) == "unknown, and at least 2.0 h"
    assert total_text(30, 30) == "30 s"
    assert basis_text({"measured": 30.0}) == "measured"
    assert basis_text({"measured": 30.0, "stated": 7200.0}) == "30 s measured, 2.0 h stated in the scenario"
    assert basis_text({"stated": 7200.0, "unknown": ["opd of student"]}) == (
        "2.0 h stated in the scenario; unknown: opd of student"
    )
    assert basis_text({"unknown": ["opd of student", "score"]}) == "unknown: opd of student, score"
    assert basis_text({}) == "nothing is to be made"
