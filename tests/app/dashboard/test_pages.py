"""Each page over a small results folder: what it says, what its URL restores, what damage and hostile text do to it."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from optuna.trial import TrialState, create_trial

from tests.app.dashboard.conftest import HALF, STUDY, Open, make_study, text
from tuition.app.dashboard import charts
from tuition.app.dashboard.data.samples import completions, details
from tuition.app.dashboard.data.study_frames import read_study, study_names
from tuition.app.dashboard.main import PAGES
from tuition.app.dashboard.prepare import prepare
from tuition.app.studies.study_report import TuningReport, write_report
from tuition.app.tuning.tuning_verdicts import judged, tried
from tuition.benchmarks.artefacts import FileError
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.study import open_study
from tuition.runners.scenarios.scenario_file import BUILT_IN


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_shown(page: str, made: Path, show: Open) -> None:
    test = show(page, made)
    assert not test.exception
    assert [title.value for title in test.title] == [PAGES[page][0]]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_explains_an_empty_folder(page: str, tmp_path: Path, show: Open) -> None:
    said = text(show(page, tmp_path))
    assert "No study yet" in said or page == "leaderboards"


@pytest.fixture(scope="module", params=[0, 1])
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of so many trials, of which nothing is known yet."""
    results = tmp_path_factory.mktemp("begun")
    folder = results / "studies" / "begun"
    folder.mkdir(parents=True)
    study = open_study("begun", f"sqlite:///{folder / 'study.db'}", "sha", 0)
    for _ in range(request.param):
        study.add_trial(create_trial(state=TrialState.RUNNING))
    return results


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_shown_while_a_search_begins(page: str, begun: Path, show: Open) -> None:
    assert PAGES[page][0] in text(show(page, begun))


@pytest.fixture(scope="module")
def tuned(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tuning; what was searched before is gone."""
    results = Path(shutil.copytree(made, tmp_path_factory.mktemp("tuned") / "results"))
    folder = ResultsFolder(results).study("made-tune")
    folder.tries("sha").mkdir(parents=True)
    assert study_names(results) == [STUDY, "made-tune"], "also while it runs, before it has a report"
    tries = [tried(1, rate, [(1, 0), (0, 1)], 1, [1.0]) for rate in (1e-3, 2e-3)]
    stages = (judged("opd", "base", tries, 0, 1),)
    common = {"study": "made-tune", "scenario": "made", "scenario_sha256": "sha", "command": None}
    write_report(TuningReport(**common, suite="toy@1", samples=1, seeds=(0, 1), stages=stages), folder.report)
    assert study_names(results) == [STUDY, "made-tune"]
    shutil.rmtree(ResultsFolder(results).study(STUDY).path)
    return results


@pytest.mark.parametrize("page", PAGES)
def test_a_tuning_is_shown_and_is_never_the_study_that_opens(page: str, tuned: Path, show: Open) -> None:
    said = text(show(page, tuned))
    if page == "decision":
        assert "tuned settings of stages" in said and "`opd` keep: the current settings have the highest mean" in said


def test_the_decision_is_in_words(made: Path, show: Open) -> None:
    said = text(show("decision", made))
    assert "Recommended: 16 labels to the teacher, 0 to the student" in said
    assert "over direct GRPO with the same 16 labels" in said and "points [" in said
    assert "One training run" in said and "1 trial failed" in said


def test_what_to_run_next_is_a_command_with_its_price(made: Path, show: Open) -> None:
    test = show("decision", made)
    assert "tuition search --scenario made --trials 5 --test-seeds 3" in [code.value for code in test.code]
    assert "GPU-seconds" in text(test)


def test_an_untested_study_says_that_validation_is_optimistic(tmp_path: Path, show: Open) -> None:
    said = text(show("decision", make_study(tmp_path / "results", tested=False)))
    assert "Not tested" in said and "optimistic" in said


def test_filters_stand_in_the_url(made: Path, show: Open) -> None:
    test = show("allocations", made, find="student_rl=8", sort="trial")
    assert "1 of 5 trials" in text(test)
    test.text_input[0].set_value("teacher=large").run()
    assert test.query_params["find"] == "teacher=large" and test.query_params["sort"] == "trial"
    assert "3 of 5 trials" in text(test)


def test_pruned_trials_are_hidden_until_asked_for(made: Path, show: Open) -> None:
    assert "4 of 5 trials" in text(show("allocations", made))
    assert "5 of 5 trials" in text(show("allocations", made, pruned="1"))


def test_compare_takes_its_choice_from_the_url(made: Path, show: Open) -> None:
    test = show("compare", made, **{"with": "#1~#2", "ref": "#2"})
    assert test.multiselect[0].value == ["#1", "#2"]
    assert "Paired differences" in text(test) and "made-validation@1" in str(test.selectbox[0].value)


def test_a_url_that_asks_for_what_is_not_there_is_passed_over(made: Path, show: Open) -> None:
    hostile = "../../../etc/passwd"
    test = show("compare", made, **{"with": f"{hostile}~#0~#1", "ref": hostile, "suite": hostile, "problem": hostile})
    assert test.multiselect[0].value == ["#0", "#1"] and hostile not in text(test)
    test = show("run", made, run=hostile, part=hostile, nr="99")
    assert hostile not in text(test) and not test.exception


def test_trials_and_tested_rows_have_no_suite_in_common(made: Path, show: Open) -> None:
    assert "no suite and protocol in common" in text(show("compare", made, **{"with": "direct~#1"}))


@pytest.mark.parametrize("part", ["Levels", "Subjects", "Problems"])
def test_compare_breaks_down(part: str, made: Path, show: Open) -> None:
    assert "Scores" in text(show("compare", made, part=part, **{"with": "#0~#2"}))


def test_a_run_shows_its_chain_and_its_labels(made: Path, show: Open) -> None:
    said = text(show("run", made, run="#1"))
    assert ("10 blocks" in said and "8 labels for `teacher_rl`, 8 labels for `student_rl`" in said) or (
        "8 labels for `student_rl`, 8 labels for `teacher_rl`" in said
    )


def test_a_run_shows_samples_log_and_command(made: Path, show: Open) -> None:
    assert "40 samples" in text(show("run", made, run="#0", part="Samples", verdict="wrong"))
    codes = [code.value for code in show("run", made, run="#0", part="Log and versions").code]
    assert "a line of the log" in codes
    assert show("run", made, run="#1", part="Log and versions").code[0].value == (
        f"tuition run '{HALF}' --scenario made --seed 0"
    )
    assert not show("run", made, run="#0", part="Curves").exception


def test_pages_read_the_scenario_that_the_study_keeps(own: Path, show: Open) -> None:
    kept = ResultsFolder(own).study(STUDY).scenario
    shutil.copy(BUILT_IN / "micro.yaml", kept)
    assert show("run", own, run="#1", part="Log and versions").code[0].value == (
        f"tuition run '{HALF}' --scenario {kept} --seed 0"
    )
    study = read_study(own, STUDY)
    assert study.scenario is not None and study.labels_per_block == study.scenario.labels_per_block == 6
    assert show("allocations", own).selectbox(key="teacher").options == ["all", "none", "big"]
    kept.write_text("name: [")
    said = text(show("run", own, run="#1"))
    assert "scenario.yaml" in said and str(own) not in said
    kept.unlink()
    kept.symlink_to(BUILT_IN / "micro.yaml")
    assert "is a link" in text(show("decision", own))


def test_the_tree_says_what_reuse_saved(made: Path, show: Open) -> None:
    assert "Reuse saved" in text(show("tree", made))


def test_a_shipped_leaderboard_is_recomputed_and_cited(made: Path, show: Open) -> None:
    board = {"board": "shipped: micro@1"}
    assert "Measured" in text(show("leaderboards", made, **board))
    assert "Verified now" in text(show("leaderboards", made, part="Entry", **board))
    assert "@misc{" in show("leaderboards", made, part="Cite and export", **board).code[1].value


def test_what_the_first_visitor_asks_for_is_drawn_before(
    own: Path, show: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    st.cache_resource.clear()  # other tests drew the same charts
    prepare(own)
    drawn: list[str] = []
    render = charts.render
    monkeypatch.setattr(charts, "render", lambda draw, *a, **k: (drawn.append(draw.__name__), render(draw, *a, **k))[1])
    assert not show("allocations", own).exception
    assert drawn == []
    show("allocations", own, find="teacher_rl")
    assert sorted(drawn) == ["cost", "simplex"]


def test_there_is_nothing_to_prepare_in_a_new_folder(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_planners_are_shown_by_what_they_lose(made: Path, show: Open) -> None:
    said = text(show("leaderboards", made, board="shipped: micro@1", part="Planners", planners="shipped: micro@1"))
    assert "judge seeds" in said and "tuition race" in said


def test_damaged_planners_are_named(own: Path, show: Open) -> None:
    (own / "planners" / "mine").mkdir(parents=True)
    (own / "planners" / "mine" / "tpe.parquet").write_text("no table")
    said = text(show("leaderboards", own, board="shipped: micro@1", part="Planners", planners="mine"))
    assert "mine" in said and "tpe.parquet is not a planner's race" in said


def test_live_names_failures(made: Path, show: Open) -> None:
    said = text(show("live", made))
    assert "5 of 8 trials finished" in said and "BlockError: full" in said and "Nothing is being trained" in said


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def test_a_damaged_report_is_named_and_the_trials_are_shown(own: Path, show: Open) -> None:
    (own / "studies" / STUDY / "report.json").write_text('{"study": ')
    said = text(show("decision", own))
    assert "report.json" in said and "Recommended" in said


def test_a_damaged_database_is_named_and_the_tested_rows_are_shown(own: Path, show: Open) -> None:
    (own / "studies" / STUDY / "study.db").write_bytes(b"no database" * 100)
    said = text(show("leaderboards", own))
    assert "study.db" in said and "made-test@1" in said


def test_a_damaged_leaderboard_is_named(own: Path, show: Open) -> None:
    report = own / "studies" / STUDY / "report.json"
    report.write_text(report.read_text().replace('"rank_correction": "holm"', '"rank_correction": "none"'))
    said = text(show("decision", own))
    assert "leaderboard.json" in said and "Recommended" in said


@pytest.mark.parametrize("name", ["record.json", "samples.parquet"])
def test_damaged_scores_are_named_and_the_rest_is_compared(name: str, own: Path, show: Open) -> None:
    for path in sorted(own.glob(f"scores/*/*/{name}"))[:1]:
        path.write_bytes(b"torn")
    for names in ("#0~#1~#2", "upstream = search #0~half = search #1~direct~half-replay"):
        test = show("compare", own, **{"with": names})
        assert not test.exception
    every = text(show("compare", own, **{"with": "#0~#1~#2"})) + text(
        show("compare", own, **{"with": "upstream = search #0~half = search #1~direct~half-replay"})
    )
    assert "could not be used" in every or "no suite and protocol in common" in every


def test_samples_that_are_not_those_of_their_record_are_not_shown(own: Path) -> None:
    path = next(own.glob("scores/*/*/samples.parquet"))
    key = path.parent.name
    assert len(details(own, key)) == 40
    frame = pd.read_parquet(path)
    frame.assign(correct=True).to_parquet(path)
    for read in (lambda: details(own, key), lambda: completions(own, key, frame["problem_id"][0])):
        with pytest.raises(FileError, match=r"samples\.parquet: does not match its checksum"):
            read()


def test_damaged_blocks_are_named(own: Path, show: Open) -> None:
    next(iter(sorted(own.glob("store/*/*/record.json")))).write_text("{}")
    assert "record.json" in text(show("tree", own))


HOSTILE = (
    "<script>alert(1)</script> ![x](http://evil.example/x.png) [click](javascript:alert(1)) $\\href{javascript:x}{y}$ "
    "`code` <img src=x onerror=alert(1)> www.evil.example :red[big] $x$ $$\\rule{99em}{99em}$$"
)


def test_what_was_asked_stands_beside_the_answers(own: Path, show: Open) -> None:
    where = {"compare": {"with": "#0~#2"}, "run": {"run": "#0", "part": "Samples"}}
    for page, parameters in where.items():
        said = text(show(page, own, **parameters))
        assert re.search(r"\*\*Problem\*\*, with the answer `\d+`", said) and re.search(r"What is \$(\d+)\+\1\$", said)
    for path in (own / "statements").iterdir():
        path.write_text("{}")
    assert "holds no problems of this suite" in text(show("compare", own, **where["compare"]))
    shutil.rmtree(own / "statements")
    assert "was not stored with this score" in text(show("run", own, **where["run"]))


def test_hostile_completions_are_text(tmp_path: Path, show: Open) -> None:
    results = make_study(tmp_path / "results", completion=HOSTILE, tested=False)
    for page, parameters in {"compare": {"with": "#0~#2"}, "run": {"run": "#0", "part": "Samples"}}.items():
        test = show(page, results, **parameters)
        said = text(test)
        assert not re.search(r"(?<!\\)(<|!\[|\]\(|\$\\href|:red|`code)", said)
        assert "http://" not in said and "$$" not in said and "$x$" in said
        assert all(not element.allow_html for element in test.markdown)
        assert HOSTILE in [code.value for code in show(page, results, raw="1", **parameters).code]


def test_a_link_out_of_the_folder_is_not_followed(own: Path, tmp_path: Path, show: Open) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    log = own / "studies" / STUDY / "logs" / "trial-0000.log"
    log.unlink()
    log.symlink_to(secret)
    test = show("run", own, run="#0", part="Log and versions")
    assert all("the secret" not in code.value for code in test.code)
    (own / "studies" / "elsewhere").symlink_to(tmp_path)
    assert not show("decision", own).exception
