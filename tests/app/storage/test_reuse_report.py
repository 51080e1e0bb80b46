"""`tuition store why` on blocks that were published without any training."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.conftest import Command
from tests.app.studies.made_report import search_report
from tests.runners.conftest import small_scenario_file
from tests.runners.made_records import store_untrained
from tuition.app.studies.study_report import write_report
from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.labels import Ledger
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore

BRIDGE = "teacher=medium warmup=1 opd=1"
WHY = ("store", "why", BRIDGE, "--scenario", "scenario.yaml")


def write(path: Path, file: dict[str, Any]) -> Scenario:
    path.write_text(yaml.safe_dump(file))
    return Scenario.load(str(path))


@pytest.fixture
def file() -> dict[str, Any]:
    return small_scenario_file()


@pytest.fixture
def route(tmp_path: Path, file: dict[str, Any]) -> Route:
    """A route that is stored."""
    scenario = write(tmp_path / "scenario.yaml", file)
    route = compile_route(Allocation.parse(BRIDGE), scenario.recipe, 0)
    store_untrained(BlockStore(tmp_path / "results" / "store"), route, scenario)
    return route


def test_a_stored_route_is_reused(route: Route, tuition: Command) -> None:
    document = json.loads(tuition(*WHY, "--json").stdout)
    assert document["blocks_to_train"] == 0
    assert [(block["block"], block["key"], block["status"], block["reasons"]) for block in document["blocks"]] == [
        ("warmup[0]", route.blocks[0].key, "stored", []), ("opd[0]", route.final, "stored", []),
    ]  # fmt: skip


def test_the_field_that_differs_is_shown_with_both_values(
    route: Route, file: dict[str, Any], tmp_path: Path, tuition: Command
) -> None:
    file["stages"]["opd"]["steps"] = 3
    write(tmp_path / "scenario.yaml", file)
    shown = tuition(*WHY).stdout
    assert "1 of 2 blocks are reused, 1 to train." in shown
    assert f"      stages.opd.steps: 3, was 2\n      compared with {route.final[:12]}\n" in shown


def test_scores_of_the_last_checkpoint_are_told(route: Route, tmp_path: Path, tuition: Command) -> None:
    scores = json.loads(tuition(*WHY, "--json").stdout)["scores"]
    assert [(score["suite"], score["stored"], score["reasons"]) for score in scores] == [
        (kind, False, ["these weights have not been scored on it"]) for kind in ("validation", "test")
    ]
    assert "score on test: not stored: these weights have not been scored on it" in tuition(*WHY).stdout
    BlockStore(tmp_path / "results" / "store").evict(route.final)
    assert json.loads(tuition(*WHY, "--json").stdout)["scores"] == []


def test_nothing_is_written(route: Route, tmp_path: Path, tuition: Command) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert tuition(*WHY).returncode == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_block_that_the_ledger_knows_was_evicted(route: Route, tmp_path: Path, tuition: Command) -> None:
    Ledger(tmp_path / "results" / "ledger.sqlite").record_training("study", route.final, 1.0)
    BlockStore(tmp_path / "results" / "store").evict(route.final)
    document = json.loads(tuition(*WHY, "--json").stdout)
    assert document["blocks"][1]["reasons"] == ["it was trained here and has since been evicted or removed"]


def test_a_study_brings_its_scenario_and_its_seed(
    route: Route, file: dict[str, Any], tmp_path: Path, tuition: Command
) -> None:
    study = tmp_path / "results" / "studies" / "s"
    study.mkdir(parents=True)
    file["stages"]["opd"]["steps"] = 3
    write(study / "scenario.yaml", file)
    write_report(search_report(study="s", seed=7), study / "report.json")
    arguments = ("store", "why", BRIDGE, "--study", "s", "--json")
    document = json.loads(tuition(*arguments).stdout)
    assert document["seed"] == 7 and document["blocks"][0]["reasons"] == ["seed: 7, was 0"]
    document = json.loads(tuition(*arguments, "--seed", "0").stdout)
    assert document["blocks"][1]["reasons"] == ["stages.opd.steps: 3, was 2"]
    document = json.loads(tuition(*arguments, "--seed", "0", "--scenario", "scenario.yaml").stdout)
    assert document["blocks_to_train"] == 0


def test_a_study_without_a_scenario_asks_for_one(route: Route, tmp_path: Path, tuition: Command) -> None:
    (tmp_path / "results" / "studies" / "old").mkdir(parents=True)
    refused = tuition("store", "why", BRIDGE, "--study", "old")
    assert refused.returncode == 2 and "give it as --scenario" in refused.stderr
    unknown = tuition("store", "why", BRIDGE, "--study", "other")
    assert unknown.returncode == 2 and "no study 'other'" in unknown.stderr
    assert json.loads(tuition(*WHY, "--study", "old", "--json").stdout)["blocks_to_train"] == 0


def test_no_store_is_one_line(tmp_path: Path, tuition: Command) -> None:
    result = tuition("store", "why", "half")
    assert result.returncode == 2 and "no store in" in result.stderr and list(tmp_path.iterdir()) == []


def test_what_is_no_allocation_is_one_line(route: Route, tuition: Command) -> None:
    result = tuition("store", "why", "teacher=huge opd=1", "--scenario", "scenario.yaml")
    assert result.returncode == 2 and "unknown teacher 'huge'" in result.stderr
