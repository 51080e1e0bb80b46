"""`--as-deployed`: finalists and baselines as ordinary runs, planned, trained and said."""

import json
from pathlib import Path

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.dashboard.advice import choices
from tuition.app.dashboard.data.study_frames import read_study
from tuition.app.studies.study_report import read_report
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    stated = {"prior_seconds": {**dict.fromkeys(tiny_scenario_file()["stages"], 60), "score": 10}}
    path.write_text(yaml.safe_dump(tiny_scenario_file(**stated)))
    return path


def test_a_plan_has_no_row_twice_and_the_cost_of_the_blocks(path: Path, tuition: Command) -> None:
    arguments = ["baselines", "--scenario", str(path), "--dry-run", "--json"]
    blocked, deployed = (json.loads(tuition(*arguments, *more).stdout) for more in ([], ["--as-deployed"]))
    rows = [{row["name"].split()[0]: row for row in plan["rows"]} for plan in (blocked, deployed)]
    assert rows[0].keys() - rows[1].keys() == {"direct-shuffled", "upstream-shuffled"}
    assert blocked["study"] == "tiny-baselines" and deployed["study"] == "tiny-baselines-as-deployed"
    for name, row in rows[1].items():
        assert row["gpu_seconds_full"] == rows[0][name]["gpu_seconds_full"]
    assert rows[1]["direct"]["blocks_to_train"] == 1 and rows[1]["half"]["blocks_to_train"] >= 2


@pytest.mark.slow
def test_the_test_of_a_search_trains_ordinary_runs(path: Path, tuition: Command) -> None:
    results = path.parent / "results"
    arguments = ["search", "--scenario", str(path), "--trials", "3", "--results", str(results), "--as-deployed"]
    shown = tuition(*arguments)
    assert shown.returncode == 0, shown.stderr
    assert "shuffled, no blocks" in shown.stdout
    report = read_report(ResultsFolder(results).study("tiny-seed0").report)
    ranked, _ = report.ranked() or ([], None)  # type: ignore[union-attr]
    shuffled = {row.row.name: row.row.shuffled for row in ranked}
    trained = {name for name, flag in shuffled.items() if flag}
    assert "direct" in {name.split()[0] for name in trained} and "untrained-student" not in trained
    assert not shuffled["raw-bridge"], "it trains on no label"
    assert report.test is not None
    scenario = Scenario.load(str(path))
    for row in ranked:
        if row.row.name in trained:
            route = compile_route(Allocation.parse(row.row.allocation), scenario.recipe, 1000, ordinary=True)
            (run,) = report.test.runs[row.row.name]
            assert run.blocks == tuple(block.key for block in route.blocks)
    # The page that advises finds the tested rows, though none is of blocks.
    (best, *_) = choices(read_study(results, "tiny-seed0"))
    assert best.row is not None and best.row.row.shuffled == ("_rl=" in str(best.allocation))
