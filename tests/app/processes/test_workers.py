"""Workers on real blocks: the same scores as one worker, a killed worker costs only its block, stops are clean."""

import json
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.runners import forked_command
from tests.runners.conftest import small_scenario_file
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.search_run import SearchRequest, run_search
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder, events_beside
from tuition.planner.study import StudyLimits
from tuition.runners.events import BlockDone, BlockStarted, LoggedEvent, Scoring, StepDone, read_events

# One group: the undisturbed search is made once.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("workers")]


def search(folder: Path, trials: int, num_test_seeds: int, workers: int = 1, max_store: int | None = None) -> Any:
    """Search in this process, which has imported torch already, with workers of its own; the report."""
    (folder / "small.yaml").write_text(yaml.safe_dump(small_scenario_file()))
    configuration = RunConfiguration(str(folder / "small.yaml"), folder / "results", False, workers, max_store)
    limits = StudyLimits(trials=trials)
    request = SearchRequest(configuration, None, 0, limits, "random", None, num_test_seeds)
    return json.loads(json.dumps(run_search(request).report.document()))


def command(folder: Path, trials: int, *more: str) -> BaseProcess:
    """The same, without a test, as a command that was started: to be killed."""
    (folder / "small.yaml").write_text(yaml.safe_dump(small_scenario_file()))
    arguments = ["search", "--scenario", str(folder / "small.yaml"), "--results", str(folder / "results")]
    arguments += ["--trials", str(trials), "--test-seeds", "0", "--sampler", "random", *more]
    return forked_command.start(arguments, folder / "output")


def scores(report: dict[str, Any]) -> dict[str, float]:
    return {t["allocation"]: t["score"]["mean"] for t in report["trials"] if t["state"] == "complete"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of one worker that nobody disturbed."""
    report: dict[str, Any] = search(tmp_path_factory.mktemp("alone"), 6, num_test_seeds=1)
    return report


def same_scores(report: dict[str, Any], alone: dict[str, Any], least: int = 4) -> bool:
    """Whether every allocation that a search shares with the undisturbed one has its score; at least so many do."""
    shared = scores(report).keys() & scores(alone).keys()
    assert len(shared) >= least, shared
    return {name: scores(report)[name] for name in shared} == {name: scores(alone)[name] for name in shared}


def test_two_workers_give_the_scores_of_one_and_train_no_block_twice(tmp_path: Path, alone: dict[str, Any]) -> None:
    two = search(tmp_path, 6, num_test_seeds=1, workers=2)
    assert two["blocks"]["executed"] == two["blocks"]["distinct"]
    assert two["test"]["blocks"]["executed"] == two["test"]["blocks"]["distinct"]
    assert same_scores(two, alone)
    rows = [{row["name"]: row["score"]["mean"] for row in r["leaderboard"]["rows"]} for r in (alone, two)]
    baselines = {"direct", "raw-bridge", "half-replay"} & rows[0].keys() & rows[1].keys()
    assert baselines and {n: rows[0][n] for n in baselines} == {n: rows[1][n] for n in baselines}
    events_tell_all(ResultsFolder(tmp_path / "results").study("small-seed0"), two)


def events_tell_all(study: StudyFolder, report: dict[str, Any]) -> None:
    """Trials and the test, each in its own log: every block with its steps, every score."""

    def read(log: Path) -> list[LoggedEvent]:
        return read_events(events_beside(log))[0]

    def trained(lines: list[LoggedEvent]) -> set[str]:
        done = [line.event for line in lines if isinstance(line.event, BlockDone)]
        assert all(event.gpu_seconds > 0 for event in done if not event.reused)
        return {event.key for event in done if not event.reused}

    searched = [line for trial in report["trials"] for line in read(study.trial_log(trial["number"]))]
    tested = read(study.log("test"))
    for lines, account in ((searched, report), (tested, report["test"])):
        assert len(trained(lines)) == account["blocks"]["executed"]
        stepped = {(line.event.key, line.event.steps) for line in lines if isinstance(line.event, StepDone)}
        assert {key for key, _ in stepped} == trained(lines)
        for key, steps in stepped:
            told = [e.event.step for e in lines if isinstance(e.event, StepDone) and e.event.key == key]
            assert told == list(range(1, steps + 1))
        assert any(isinstance(line.event, Scoring) for line in lines)
    workers = {line.writer for line in tested if isinstance(line.event, BlockStarted)}
    assert len(workers) == 2 and len({line.writer for line in tested}) > 2, "and the process that started them"
    assert study.log("test").read_text().count("training block") == len(trained(tested))


def test_three_workers_with_a_store_too_small_for_all_blocks_give_the_scores_of_one(
    tmp_path: Path, alone: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    report = search(tmp_path, 6, num_test_seeds=0, workers=3, max_store=9_000_000)
    assert "exceeded --max-store 9.0 MB; evicted" in capfd.readouterr().err
    assert same_scores(report, alone)


def test_two_commands_started_at_once_share_one_study_and_train_no_block_twice(
    tmp_path: Path, alone: dict[str, Any]
) -> None:
    other = command(tmp_path, 6)
    search(tmp_path, 6, num_test_seeds=0)
    other.join()
    assert other.exitcode == 0, (tmp_path / "output").read_text()
    report = search(tmp_path, 6, num_test_seeds=0)
    assert report["blocks"]["executed_by_this_call"] == 0
    assert report["blocks"]["executed"] == report["blocks"]["distinct"]
    assert same_scores(report, alone)


def test_killed_and_stopped_searches_go_on_to_the_undisturbed_scores(tmp_path: Path, alone: dict[str, Any]) -> None:
    store = tmp_path / "results" / "store"

    def disturb(number: signal.Signals, blocks: int, workers: int) -> int | None:
        """Send a signal once so many blocks are stored, and return the exit code."""
        process = command(tmp_path, 5, "--workers", str(workers))
        while len(list(store.glob("??/*"))) < blocks and process.is_alive():
            time.sleep(0.05)
        assert process.pid is not None
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, number)
        process.join(timeout=120)
        _, orphans = psutil.wait_procs(children, timeout=20)
        assert not orphans, orphans
        return process.exitcode

    assert disturb(signal.SIGKILL, 2, workers=2) == -signal.SIGKILL
    assert disturb(signal.SIGINT, 4, workers=1) == 1
    assert disturb(signal.SIGTERM, 6, workers=2) == 1
    finished = search(tmp_path, 5, num_test_seeds=0)
    assert same_scores(finished, alone, least=3)
    assert finished["labels"]["labels_owned"] <= 16 + 8
    assert len([t for t in finished["trials"] if t["state"] == "complete"]) >= 4
    assert not [t for t in finished["trials"] if t["state"] == "running"]
