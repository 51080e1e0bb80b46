"""Looks at the test suite: counted, shown, and no search on a seed that another study was tested on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Command
from tests.app.studies.made_report import evaluation, search_report
from tests.benchmarks.boards.test_ranked_rows import META, board, text
from tuition.app.studies.search_report import kept_test
from tuition.app.studies.seed_guards import note_search, refuse_searched_seeds, refuse_test_seed
from tuition.app.studies.study_report import (
    SearchReport,
    TrialReport,
    looks_before,
    read_report,
    with_look,
    write_report,
)
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.storage import StudyError


def made(*scores: str, seed: int = 1000) -> Any:
    return evaluation({name: [{"score": name, "seed": seed}] for name in scores})


def test_the_same_runs_again_are_no_other_look_and_other_runs_are() -> None:
    first = with_look((), made("a", "b"))
    assert [(look.seeds, look.rows) for look in first] == [((1000,), ("a", "b"))]
    assert with_look(first, made("b", "a")) == first
    second = with_look(first, made("a", "c"))
    assert [look.rows for look in second] == [("a", "b"), ("a", "c")]
    # Going back to the first is no third look, and the last is the one that is shown.
    assert [look.rows for look in with_look(second, made("a", "b"))] == [("a", "c"), ("a", "b")]


def test_a_report_keeps_the_looks_and_one_of_before_has_the_one_that_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert looks_before(path) == ()
    looks = with_look(with_look((), made("a")), made("b"))
    write_report(search_report(test=made("b"), tests=looks), path)
    assert looks_before(path) == looks
    write_report(search_report(test=made("b")), path)
    assert [look.rows for look in read_report(path).looks] == [("b",)]


def test_a_search_that_goes_on_keeps_its_test_until_there_is_another(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert kept_test(path) == {}
    proposed = tuple(TrialReport(number=number, state="complete", score=None) for number in range(3))
    write_report(search_report(), path)
    assert kept_test(path) == {}
    tested = search_report(test=made("a"), leaderboard={"rows": []}, test_gpu_seconds=7.0, trials=proposed)
    write_report(tested, path)
    # As a search does before it tests, or without a test: more trials, and the test that it had.
    longer = search_report(trials=(*proposed, *proposed)).model_copy(update=kept_test(path))
    write_report(longer, path)
    again = read_report(path)
    assert isinstance(again, SearchReport)
    assert (again.test, again.leaderboard, again.test_gpu_seconds) == (made("a"), {"rows": []}, 7.0)
    assert again.tests == tested.looks and (again.tested_trials, len(again.proposals)) == (3, 6)
    assert kept_test(path)["tested_trials"] == 3


def test_a_table_says_which_test_of_the_study_it_is() -> None:
    assert "Test 3 of this study on the same problems" in text(board(), meta=replace(META, looks=3))
    assert "of this study on the same problems" not in text(board())


def test_a_search_refuses_a_seed_that_another_study_was_tested_on(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    other, mine = folder.study("other"), folder.study("mine")
    other.path.mkdir(parents=True)
    write_report(search_report(test=made("a", seed=2000)), other.report)
    with pytest.raises(StudyError, match="--seed 2000: study 'other' was tested on this training seed"):
        refuse_test_seed(2000, "made", mine, folder)
    refuse_test_seed(0, "made", mine, folder)
    refuse_test_seed(2000, "elsewhere", mine, folder)
    # One that was begun before goes on.
    mine.path.mkdir()
    mine.database.touch()
    refuse_test_seed(2000, "made", mine, folder)


@pytest.mark.parametrize("command", [["plan"], ["search", "--dry-run"]])
def test_a_plan_refuses_the_seed_that_its_search_refuses(command: list[str], tmp_path: Path, tuition: Command) -> None:
    other = ResultsFolder(tmp_path / "results").study("other")
    other.path.mkdir(parents=True)
    report = search_report(test=made("a", seed=1000)).model_copy(update={"scenario": "micro"})
    write_report(report, other.report)
    refused = tuition(*command, "--seed", "1000")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: --seed 1000: study 'other' was tested on this training seed; choose another one\n"
    )
    assert tuition(*command, "--seed", "1000", "--study", "other").returncode == 0, "it was begun before"


def test_a_test_refuses_a_seed_that_a_search_is_on(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    begun, finished, mine = folder.study("begun"), folder.study("finished"), folder.study("mine")
    for study in (begun, finished, mine):
        study.path.mkdir(parents=True)
    note_search(begun, "made", 1000)
    write_report(search_report(seed=2000), finished.report)  # an earlier version's
    for seed, name in ((1000, "begun"), (2000, "finished")):
        with pytest.raises(StudyError, match=f"seed {seed}, on which study '{name}' has searched: choose"):
            refuse_searched_seeds((3000, seed), "made", mine, folder, "choose")
        refuse_searched_seeds((3000, seed), "elsewhere", mine, folder, "choose")
    refuse_searched_seeds((3000,), "made", mine, folder, "choose")
    # What was tested so before is shown again.
    write_report(search_report(test=made("a", seed=1000)), mine.report)
    refuse_searched_seeds((1000,), "made", mine, folder, "choose")
    begun.search.write_text("{")
    with pytest.raises(StudyError, match=r"search\.json cannot be read"):
        refuse_searched_seeds((3000,), "made", mine, folder, "choose")


@pytest.mark.parametrize("command", [["plan"], ["search", "--dry-run"], ["baselines", "--dry-run"], ["baselines"]])
def test_plans_and_baselines_refuse_what_a_search_has_seen(
    command: list[str], tmp_path: Path, tuition: Command
) -> None:
    searched = ResultsFolder(tmp_path / "results").study("searched")
    searched.path.mkdir(parents=True)
    note_search(searched, "micro", 1000)
    refused = tuition(*command)
    assert refused.returncode == 2 and refused.stderr.startswith(
        "error: the test would train on seed 1000, on which study 'searched' has searched: "
    )
    assert sorted(path.name for path in (tmp_path / "results" / "studies").iterdir()) == ["searched"]
