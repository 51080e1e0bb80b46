"""`report.json`: one reader for what this and earlier versions wrote, one writer."""

import json
import math
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.app.studies.made_report import SHARED, evaluation, search_report
from tuition.app.studies.study_report import (
    FORMAT,
    BaselinesReport,
    Pair,
    SearchReport,
    ShuffledComparison,
    ShuffledReport,
    StudyReport,
    TrialReport,
    TriedSettings,
    TunedStage,
    TuningReport,
    read_report,
    write_report,
)
from tuition.benchmarks.artefacts import FileError, write_json
from tuition.benchmarks.statistics.intervals import Difference, Interval
from tuition.benchmarks.statistics.multiplicity import SignFlip

EARLIER = Path(__file__).parents[2] / "earlier" / "results-e466b8e.tar.xz"
DIFFERENCE = Difference(0.1, -0.2, math.nan, 4, 1, True, 0.5)
PAIR = Pair(
    a="half",
    b="direct",
    difference=DIFFERENCE,
    p_value_holm=1.0,
    sign_flip=SignFlip(0.5, "problems", 4, True, 0.125),
    these_problems=None,
)
REPORTS = [
    search_report(
        trials=(TrialReport(number=0, state="fail", score=None, error="full", log="a.log"),),
        test=evaluation(
            {"half": [{"blocks": ("a", "b")}]},
            pairwise=(PAIR,),
            intervals={"half": Interval(0.1, -0.2, math.nan, 4, 1, True, 0.5)},
        ),
    ),
    BaselinesReport(**SHARED, leaderboard={"rows": []}, test=evaluation({})),
    ShuffledReport(
        **SHARED,
        suite="toy@1",
        seeds=(1000,),
        blocked_minus_shuffled={"student": ShuffledComparison(blocked=0.5, shuffled=0.4, difference=DIFFERENCE)},
    ),
    TuningReport(
        **SHARED,
        suite="toy@1",
        samples=2,
        seeds=(0, 1),
        stages=(
            TunedStage(
                stage="opd",
                route="teacher=big opd=1",
                tries=(
                    TriedSettings(
                        steps=1, learning_rate=0.1, correct=((1, 2), None), mean=None, se_seeds=None, gpu_seconds_full=1
                    ),
                ),
                current=0,
                best=None,
                verdict="undecided",
                difference=DIFFERENCE,
                p_value_holm=0.5,
            ),
        ),
    ),
]


def kind(report: StudyReport) -> str:
    return report.kind


def earlier(study: str) -> dict[str, Any]:
    """A report as e466b8e wrote it."""
    with tarfile.open(EARLIER) as archive:
        file = archive.extractfile(f"./results/studies/{study}/report.json")
        assert file is not None
        return dict(json.load(file))


def of_then(document: Any) -> Any:
    """Without what differences of then did not say."""
    if isinstance(document, dict):
        return {name: of_then(value) for name, value in document.items() if name != "few_problems"}
    return [of_then(value) for value in document] if isinstance(document, list) else document


def written(document: object, folder: Path) -> Path:
    path = folder / "report.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("report", REPORTS, ids=kind)
def test_what_is_written_is_read_again(report: StudyReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(report, path)
    again = read_report(path)
    assert type(again) is type(report) and again.document() == report.document()
    stated = json.loads(path.read_text())
    assert (stated["format"], stated["kind"]) == (FORMAT, report.kind)


def test_a_pair_is_one_flat_object_and_a_number_that_is_none_is_null() -> None:
    (pair,) = REPORTS[0].document()["test"]["pairwise"]
    assert (pair["a"], pair["mean"], pair["high"], pair["sign_flip"]["over"]) == ("half", 0.1, None, "problems")
    assert math.isnan(Pair.model_validate(pair).difference.high)


@pytest.mark.parametrize("study", ["old", "begun"])
def test_a_search_of_format_1_is_read_and_nothing_of_it_is_lost(study: str, tmp_path: Path) -> None:
    before = earlier(study)
    report = read_report(written(before, tmp_path))
    assert isinstance(report, SearchReport)
    assert of_then(report.document()) == {"format": FORMAT, "kind": "search", **before}


def test_baselines_of_format_1_are_read_and_named_by_their_test(tmp_path: Path) -> None:
    before = earlier("old-baselines")
    report = read_report(written(before, tmp_path))
    assert isinstance(report, BaselinesReport) and report.test is not None
    assert (report.study, report.scenario) == ("old-baselines", "earlier")
    assert (report.command, report.scenario_sha256) == (report.test.command, report.test.scenario.sha256)
    assert of_then(report.document()).items() >= before.items()


def test_a_shuffled_comparison_of_format_1_is_read(tmp_path: Path) -> None:
    before = {name: REPORTS[2].document()[name] for name in ("scenario", "suite", "seeds", "blocked_minus_shuffled")}
    report = read_report(written(before, tmp_path))
    assert isinstance(report, ShuffledReport) and report.command is None and report.study == "made-shuffled"
    assert report.document().items() >= before.items()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "is not a report of a study"),
        ([], "is not a report of a study"),
        ("text", "is not a report of a study"),
        (None, "is not a report of a study"),
        ({"trials": 3}, "study is missing"),
        ({"format": FORMAT + 1, "kind": "search"}, "newer version .* update Tuition"),
        ({"format": FORMAT, "kind": ["search"]}, "kind is .'search'"),
        ({"format": FORMAT}, "kind is missing"),
        ({"format": math.inf, "kind": "search"}, "format is inf"),
    ],
)
def test_what_is_no_report_is_one_line(document: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=message) as caught:
        read_report(written(document, tmp_path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_cannot_be_read_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_report(tmp_path / "report.json")
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "report.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(FileError, match="cannot be read"):
        read_report(tmp_path / "report.json")


@pytest.mark.parametrize("report", REPORTS, ids=kind)
def test_any_value_of_another_type_is_named_or_read(report: StudyReport, tmp_path: Path) -> None:
    """Whatever is damaged, the reader gives a report or one line."""
    document = report.document()
    for name in document:
        for value in (None, "x", [], {}, -1):
            path = tmp_path / "report.json"
            write_json({**document, name: value}, path)
            try:
                found = read_report(path).ranked()
            except FileError as error:
                assert str(error) and len(str(error).splitlines()) == 1
            else:
                assert found is None or found[0] is not None
