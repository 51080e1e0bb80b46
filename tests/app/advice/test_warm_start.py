"""`--warm-start`: what it takes from another search or a table, what a study keeps of it, and what it refuses."""

from pathlib import Path
from statistics import fmean

import optuna
import pytest
import yaml

from tests.app.advice.made_study import NAME, made_study, score
from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.advice.opened_study import open_study
from tuition.app.advice.recommendation import recommend
from tuition.app.advice.warm_start import find_warm_start, refuse_warm_seeds, settle_warm_start
from tuition.app.studies.study_report import SearchReport, read_report
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.tables.recorded_table import read_table
from tuition.benchmarks.tables.shipped import find_table
from tuition.benchmarks.tables.warm_scores import table_warm_start
from tuition.planner.allocation import Allocation
from tuition.planner.planning.sampler import STRUCTURAL, warm_start_of
from tuition.planner.planning.warm_start import WarmStart
from tuition.planner.storage import StudyError
from tuition.planner.study import open_study as open_new

SHA256 = "a" * 64


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    """A results folder with a search of made scores, and one that has not begun."""
    results = ResultsFolder(made_study(tmp_path_factory.mktemp("proxies"), trials=4))
    results.study("empty").path.mkdir(parents=True)
    open_new("empty", f"sqlite:///{results.study('empty').database}", SHA256, 0)
    return results


def new_study(folder: Path, name: str = "new") -> optuna.Study:
    return open_new(name, f"sqlite:///{folder}/{name}.db", SHA256, 0)


def test_a_search_gives_the_scores_of_its_trials_from_its_own_or_another_results_folder(
    proxies: ResultsFolder, tmp_path: Path
) -> None:
    here = find_warm_start(NAME, proxies, None)
    there = find_warm_start(str(proxies.study(NAME).path), ResultsFolder(tmp_path), STRUCTURAL)
    elsewhere = ResultsFolder(tmp_path / "by-url")
    elsewhere.study(NAME).path.mkdir(parents=True)
    by_url = find_warm_start(NAME, elsewhere, None, f"sqlite:///{proxies.study(NAME).database}")
    assert here == there == by_url and here.words == f"search {NAME}: {len(here.scores)} validation scores"
    for text, value, error in here.scores:
        assert value == pytest.approx(score(Allocation.parse(text))) and error == 0.01


def test_a_table_gives_validation_scores_of_its_draw_seeds_alone(tmp_path: Path) -> None:
    table = read_table(find_table("micro-b@2"))
    warm = find_warm_start("micro-b@2", ResultsFolder(tmp_path), None)
    draws = table.seeds("draw")
    assert f"draw seeds {', '.join(map(str, draws))}" in warm.source
    direct = table.allocations[0]
    means = [table.correct_PK(direct, seed, "validation").mean() for seed in draws]
    known = {text: value for text, value, _ in warm.scores}
    assert known[str(direct)] == pytest.approx(fmean(means), abs=1e-5)
    with pytest.raises(ValueError, match="draw seeds"):
        table_warm_start(table, "micro-b@2", table.seeds("judge")[:1])


def test_a_test_on_a_seed_of_the_scores_is_refused(proxies: ResultsFolder, tmp_path: Path) -> None:
    warm = find_warm_start(NAME, proxies, None)
    (seed,) = warm.seeds
    refuse_warm_seeds(warm, [seed + 1])
    refuse_warm_seeds(None, [seed])
    with pytest.raises(StudyError, match=f"was trained with seed {seed}, on which this search would test"):
        refuse_warm_seeds(warm, [seed, seed + 1])
    table = read_table(find_table("micro-b@2"))
    assert find_warm_start("micro-b@2", proxies, None).seeds == table.seeds("draw")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scores", (("student_rl=1", float("inf"), 0.01),)),
        ("scores", (("student_rl=1", 50.0, 0.01),)),
        ("scores", (("student_rl=1", 0.5, float("nan")),)),
        ("untrained", (("nobody", 0.5, 0.01),)),
    ],
)
def test_scores_that_are_none_are_refused_before_a_study_keeps_them(
    proxies: ResultsFolder, field: str, value: object
) -> None:
    sane = find_warm_start(NAME, proxies, None).model_dump()
    with pytest.raises(ValueError):
        WarmStart.model_validate({**sane, field: value})


def test_a_study_keeps_what_it_began_with(proxies: ResultsFolder, tmp_path: Path) -> None:
    study, asked = new_study(tmp_path), find_warm_start(NAME, proxies, None)
    assert settle_warm_start(study, STRUCTURAL, None, []) is None
    assert settle_warm_start(study, STRUCTURAL, asked, []) == asked
    again = new_study(tmp_path)  # resumed: from the database alone
    assert settle_warm_start(again, STRUCTURAL, None, []) == asked == warm_start_of(again)
    assert settle_warm_start(again, STRUCTURAL, asked, []) == asked, "the same command again"


def test_a_study_that_began_otherwise_refuses_a_warm_start(proxies: ResultsFolder, tmp_path: Path) -> None:
    asked = find_warm_start(NAME, proxies, None)
    study = new_study(tmp_path)
    settle_warm_start(study, STRUCTURAL, asked, [])
    other = asked.model_copy(update={"scores": asked.scores[:-1]})
    with pytest.raises(StudyError, match=r"began with other scores .* omit --warm-start"):
        settle_warm_start(study, STRUCTURAL, other, [])
    with pytest.raises(StudyError, match="--sampler tpe"):
        settle_warm_start(new_study(tmp_path, "by-tpe"), "tpe", asked, [])
    cold = optuna.load_study(study_name=NAME, storage=f"sqlite:///{proxies.study(NAME).database}")
    with pytest.raises(StudyError, match="began without one"):
        settle_warm_start(cold, STRUCTURAL, asked, [])


@pytest.mark.parametrize(
    ("name", "sampler", "said"),
    [
        ("empty", None, "search 'empty' has no score yet"),
        ("nowhere", None, "neither a search in .*searches: empty, made"),
        ("nowhere@7", None, "shipped: .*micro-b@2"),
        (NAME, "tpe", "--sampler tpe believes nothing beforehand"),
    ],
)
def test_what_cannot_be_begun_with_is_refused_in_one_line(
    proxies: ResultsFolder, name: str, sampler: str | None, said: str
) -> None:
    with pytest.raises(StudyError, match=said) as refused:
        find_warm_start(name, proxies, sampler)
    assert "\n" not in str(refused.value)


def test_a_plan_says_what_the_search_begins_with_and_refuses_what_it_refuses(tuition: Command) -> None:
    shown = tuition("plan", "--warm-start", "micro-b@2", "--trials", "2")
    assert shown.returncode == 0, shown.stderr
    assert "A new study begins with table micro-b@2, draw seeds" in shown.stdout
    assert "--warm-start micro-b@2" in shown.stdout
    refused = tuition("plan", "--warm-start", "nothing", "--trials", "2")
    assert refused.returncode == 2 and "neither a search in" in refused.stderr


@pytest.mark.slow
def test_a_search_begins_with_a_table_and_goes_on_with_what_it_kept(tmp_path: Path, tuition: Command) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_scenario_file()))
    command = ("search", "-s", "tiny.yaml", "--test-seeds", "0")
    first = tuition(*command, "--trials", "1", "--warm-start", "micro-b@2")
    assert first.returncode == 0, first.stderr
    assert "Began with table micro-b@2" in first.stdout
    study = ResultsFolder(tmp_path / "results").study("tiny-seed0")
    report = read_report(study.report)
    assert isinstance(report, SearchReport) and report.warm_start is not None
    refused = tuition(*command, "--trials", "2", "--warm-start", "micro@2")
    assert refused.returncode == 2 and "began with other scores" in refused.stderr
    opened = open_study("tiny-seed0", tmp_path / "results", None, None)
    assert opened.view.planner.warm is not None
    assert any("the study began with table micro-b@2" in note for note in recommend(opened, 0.1).notes)
