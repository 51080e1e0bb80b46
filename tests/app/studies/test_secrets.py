"""The password of a study's database is nowhere in what a search writes or prints."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.storages import RDBStorage

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.studies.study_report import read_report, write_report
from tuition.benchmarks.results_folder import ResultsFolder

PASSWORD = "hunter2secret"
URL = f"postgresql://me:{PASSWORD}@host/studies"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite file in place of the server that the URL names."""

    def opened(url: str, **_: Any) -> RDBStorage:
        assert url == URL
        return RDBStorage(f"sqlite:///{tmp_path}/server.db")

    monkeypatch.setattr("tuition.planner.storage.RDBStorage", opened)


def holding(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


@pytest.mark.slow
def test_no_file_and_no_line_of_a_search_holds_the_password(server: None, tmp_path: Path, tuition: Command) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_scenario_file()))
    searched = tuition(
        *("search", "-s", "tiny.yaml", "--trials", "1", "--test-seeds", "1", "--sampler", "random", "--storage", URL)
    )
    assert searched.returncode == 0, searched.stderr
    assert holding(tmp_path) == [] and PASSWORD not in searched.stdout + searched.stderr
    study = ResultsFolder(tmp_path / "results").study("tiny-seed0")
    report = read_report(study.report)
    assert report.test is not None and "postgresql://me@host/studies" in str(report.command) and report.test.command
    # A report of an earlier version, which kept it, is shown without it.
    write_report(report.model_copy(update={"command": f"tuition search --storage {URL}"}), study.report)
    assert holding(tmp_path) == [study.report]
    assert read_report(study.report).command == "tuition search --storage postgresql://me@host/studies"


def test_a_plan_prints_the_search_with_its_study_and_its_database_but_not_the_password(tuition: Command) -> None:
    given = ("--study", "mine", "--storage", URL, "--sampler", "qmc", "--first", "none", "--trials", "2")
    for command in (["plan"], ["search", "--dry-run"]):
        planned = tuition(*command, *given)
        assert planned.returncode == 0, planned.stderr
        assert "--study mine --storage postgresql://me@host/studies --sampler qmc --first none" in planned.stdout
        assert PASSWORD not in planned.stdout + planned.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--study", "../up"), "'../up'"),
        (("--storage", "study.db"), "the storage URL cannot be read"),
        (("--sampler", "grid"), "--sampler 'grid': choose from"),
        (("--first", "all"), "--first 'all': choose from"),
    ],
)
def test_a_plan_refuses_what_its_search_refuses(given: tuple[str, str], said: str, tuition: Command) -> None:
    refused = tuition("search", "--dry-run", *given)
    assert refused.returncode == 2 and said in refused.stderr
