"""`tuition measure`: short blocks for real, and nothing of a study's touched."""

import json
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.costs.block_costs import all_work
from tuition.app.costs.measure_run import LOCK, remove_left_behind, rollouts_of, short_chains, shortened
from tuition.app.studies.search_plan import PlanRequest, plan_search
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.cost import work_of
from tuition.planner.route import compile_route
from tuition.runners.labels import Ledger
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import RLSettings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tiny_scenario_file()
    file["stages"] = {name: {**settings, "steps": 8} for name, settings in file["stages"].items()}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(file))
    return path


def test_the_short_routes_hold_every_kind_of_work_once(path: Path) -> None:
    scenario = Scenario.load(str(path))
    routes = [compile_route(allocation, scenario.recipe, 0) for allocation in short_chains(scenario)]
    works = [work_of(block) for route in routes for block in route.blocks]
    assert sorted(works) == sorted(all_work(scenario))


def test_a_short_block_has_few_steps_and_draws_completions_twice(path: Path) -> None:
    short = shortened(Scenario.load(str(path)), 3)
    assert {settings.steps for settings in short.file.stages.present.values()} == {3}
    assert rollouts_of(RLSettings(steps=8), 3) == 3
    assert rollouts_of(RLSettings(steps=8, updates_per_rollout=4), 3) == 2


def test_what_a_killed_measurement_left_is_removed_and_what_another_uses_is_not(tmp_path: Path) -> None:
    left, used = tmp_path / ".measuring-left", tmp_path / ".measuring-used"
    for folder in (left, used):
        folder.mkdir()
        (folder / LOCK).touch()
    with FileLock(used / LOCK):
        remove_left_behind(tmp_path)
        assert list(tmp_path.iterdir()) == [used]
    remove_left_behind(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_measured_costs_reach_the_plan_and_nothing_else_is_touched(path: Path, tuition: Command) -> None:
    before = plan_search(PlanRequest(str(path), path.parent / "results", 3))
    assert "measured" not in before.basis and before.commands[0].startswith("tuition measure")
    command = ["measure", "--scenario", str(path), "--steps", "3", "--json", "--quiet"]
    document = json.loads(tuition(*command).stdout)
    scenario, folder = Scenario.load(str(path)), ResultsFolder(path.parent / "results")
    measured = {cost["name"]: cost for cost in document["costs"] if cost["source"] == "measured"}
    assert len(measured) + len(document["failures"]) * 2 >= len(all_work(scenario)) + 1
    assert measured["student_rl of student, a block"]["basis"] == "measured on 3 of 8 steps"
    assert not list(folder.store.glob("??/*")) and not folder.studies.exists()
    assert not list(folder.path.glob(".measuring-*")), "no weights are kept"
    account = f"measure:{scenario.sha256[:12]}"
    assert Ledger(folder.ledger).owned(account) == document["labels_revealed"] == 2 * scenario.file.labels_per_block
    plan = plan_search(PlanRequest(str(path), folder.path, 3))
    assert plan.basis.keys() <= {"measured", "estimated"} and plan.basis["measured"] > 0
    assert not any(command.startswith("tuition measure") for command in plan.commands)
