"""A budget from the command line: in R or hours, refused where a cost is unknown, and kept by a real search."""

import json
from pathlib import Path

import optuna
import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.costs.route_prices import RoutePrices
from tuition.app.costs.search_budget import check_budget, parse_multiple_of_r
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.route import compile_route
from tuition.planner.scores.observations import observations, untrained
from tuition.planner.storage import StudyError
from tuition.runners.labels import Ledger, account_of_test
from tuition.runners.scenarios.scenario import Scenario


def write(folder: Path, **changes: object) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file(**changes)))
    return path


def test_a_budget_is_a_multiple_of_r_or_hours() -> None:
    assert [parse_multiple_of_r(text) for text in ("1R", "0.5R", ".25R", "12R")] == [1, 0.5, 0.25, 12]
    for text in ("1", "R", "-1R", "0R", "1r", "one R", "1e3R"):
        with pytest.raises(StudyError, match="write it in R"):
            check_budget(text, None)
    with pytest.raises(StudyError, match="--budget 1R and --gpu-hours 3 are both budgets"):
        check_budget("1R", 3.0)
    for hours in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(StudyError, match="give a number above 0"):
            check_budget(None, hours)


def test_r_is_the_dearest_of_all_routes_with_its_score(tmp_path: Path) -> None:
    scenario = Scenario.load(str(write(tmp_path)))
    prices = RoutePrices(scenario, ResultsFolder(tmp_path / "results"))
    every = [prices.full(compile_route(a, scenario.recipe, 0)).at_least for a in scenario.space.allocations()]
    assert prices.dearest().total.seconds == max(every) > min(every)
    assert not prices.unknown and prices.by_model().keys() == {"student", *scenario.space.teachers}


def test_unknown_costs_are_refused_in_one_line_and_the_plan_says_so(tmp_path: Path, tuition: Command) -> None:
    path = write(tmp_path, hardware={"device": "cuda", "dtype": "bfloat16"})
    plan = json.loads(tuition("plan", "-s", str(path), "--budget", "1R", "--json").stdout)
    assert any("tuition measure --scenario" in warning for warning in plan["warnings"])
    assert plan["budget_gpu_seconds"] is None and plan["trials"] == 12


def test_the_plan_of_a_budget_has_as_many_trials_as_it_pays_for(tmp_path: Path, tuition: Command) -> None:
    path = write(tmp_path)
    less, more = (
        json.loads(tuition("plan", "-s", str(path), "--budget", text, "--json").stdout) for text in ("1R", "3R")
    )
    assert less["budget_gpu_seconds"] == pytest.approx(less["dearest_route_gpu_seconds"], abs=0.1)
    assert less["trials"] <= more["trials"] and less["search"]["to_train"] < more["search"]["to_train"]
    assert more["search"]["gpu_seconds"] <= more["budget_gpu_seconds"]
    assert "--budget 3R" in " ".join(more["commands"]) and "--trials" not in " ".join(more["commands"])
    assert "Budget of the search, its test apart" in tuition("plan", "-s", str(path), "--budget", "1R").stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_keeps_its_budget_and_books_its_test_apart(
    tmp_path: Path, tuition: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuition.planner.searching.trial_loop.MAX_IDLE_TRIALS", 12)
    path = write(tmp_path, labels={"micro": "labels", "count": 12})
    command = ("search", "-s", str(path), "--sampler", "random", "--quiet", "--json", "--budget", "0.6R")
    report = json.loads(tuition(*command).stdout)
    assert any(words in report["stopped"] for words in ("GPU-s that are left", "is spent", "fits the money left"))
    refused = [trial for trial in report["trials"] if "refused" in trial]
    assert all(trial["state"] == "pruned" and "it would cost" in trial["refused"] for trial in refused)
    ledger = Ledger(tmp_path / "results" / "ledger.sqlite")
    assert report["gpu_seconds"] == pytest.approx(ledger.spent(report["study"]), abs=0.1)
    spent_on_test = ledger.spent(account_of_test(report["study"]))
    assert spent_on_test > 0 and report["test_gpu_seconds"] == pytest.approx(spent_on_test, abs=0.1)
    assert tuition(*command[:-2], "--min-gain", "1").stderr.strip().endswith("does not say what a proposal promises")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_our_own_sampler_scores_base_models_first_and_passed_checkpoints_on_the_way(
    tmp_path: Path, tuition: Command
) -> None:
    path = write(tmp_path, labels={"micro": "labels", "count": 12})
    command = ("search", "-s", str(path), "--sampler", "structural", "--quiet", "--test-seeds", "0", "--json")
    report = json.loads(tuition(*command, "--budget", "1R").stdout)
    own = [trial for trial in report["trials"] if "on_the_way_of" not in trial]
    assert own and len(report["trials"]) > len(own), "what it passed is told"
    database = f"sqlite:///{tmp_path / 'results' / 'studies' / report['study'] / 'study.db'}"
    study = optuna.load_study(study_name=report["study"], storage=database)
    assert untrained(study).keys() == {"student", "medium"}
    complete = [trial for trial in own if trial["state"] == "complete"]
    asked = {checkpoint for trial in complete for checkpoint in trial.get("score_on_the_way", ())}
    assert asked <= {str(one.checkpoint) for one in observations(study)}, "what a trial promised to score is scored"
    again = json.loads(tuition(*command, "--trials", str(len(own)), "--min-gain", "1e12").stdout)
    assert again["blocks"]["executed_by_this_call"] == 0 and len(again["trials"]) == len(report["trials"])
