"""Live: what events say of running trials and of the test, whose writers are alive, and folders without events."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from tests.app.dashboard.conftest import STUDY, Open
from tests.app.dashboard.test_pages import text
from tuition.app.dashboard.data import live_progress
from tuition.app.dashboard.data.live_progress import Training
from tuition.app.dashboard.data.study_frames import StudyFrames, read_study
from tuition.app.processes.channel import Channel, logged
from tuition.app.processes.liveness import process_name
from tuition.benchmarks.results_folder import ResultsFolder, events_beside
from tuition.runners.events import (
    BlockDone,
    BlockStarted,
    Event,
    EventLog,
    LoggedEvent,
    PhaseBegan,
    RunDone,
    Scoring,
    StepDone,
)

KEY = "b321" * 16
STARTED = BlockStarted(key=KEY, stage="student_rl", index=1, model="student", position=2, total=3, labels_new=4)
SCORING = Scoring(suite="made-validation@1", done=8, total=32)
ELSEWHERE = "another-host-1-ab"


def step(number: int, steps: int = 30) -> StepDone:
    return StepDone(key=KEY, step=number, steps=steps, curves={"seconds": 0.5, "tokens_seen": 100.0 * number})


def lines(*events: Event, writer: str = "me") -> list[LoggedEvent]:
    return [LoggedEvent(time=1.0, writer=writer, event=event) for event in events]


class Mute(Channel):
    def pass_on(self, event: Event) -> None:
        """Nobody looks."""


def test_events_say_how_far_a_block_is() -> None:
    doing = live_progress.follow(lines(STARTED, step(1), step(2), step(3)))["me"]
    assert isinstance(doing, Training)
    assert (doing.block, doing.position, doing.step, doing.steps) == ("student_rl[1]", 2, 3, 30)
    assert (doing.seconds_per_step, doing.seconds_left, doing.tokens_per_second) == (0.5, 13.5, 200.0)
    assert live_progress.follow(lines(STARTED))["me"] == Training("student_rl[1]", "student", 2, 3)


def test_the_speed_of_a_block_that_draws_in_some_steps_only() -> None:
    """Two updates a rollout batch: tokens are counted, and time is spent on drawing, in every other step."""
    events = [
        StepDone(key=KEY, step=number, steps=30, curves={"seconds": 3.0, "tokens_seen": 100.0 * number})
        if number % 2
        else StepDone(key=KEY, step=number, steps=30, curves={"seconds": 1.0})
        for number in range(1, 7)
    ]
    doing = live_progress.follow(lines(STARTED, *events))["me"]
    assert isinstance(doing, Training)
    assert (doing.seconds_per_step, doing.seconds_left, doing.tokens_per_second) == (2.0, 48.0, 50.0)


def test_after_a_block_there_is_scoring_and_after_a_run_nothing() -> None:
    done = [STARTED, step(30), BlockDone(key=KEY, gpu_seconds=1.0, reused=False)]
    assert live_progress.follow(lines(*done, SCORING)) == {"me": SCORING}
    assert live_progress.follow(lines(*done, SCORING, RunDone(name="", result="", done=1, total=2))) == {"me": None}
    assert live_progress.follow(lines(BlockDone(key=KEY, gpu_seconds=0.0, reused=True))) == {"me": None}
    assert live_progress.follow([]) == {}


def test_every_writer_has_its_own_block() -> None:
    found = live_progress.follow([*lines(STARTED), *lines(SCORING, writer="other"), *lines(step(3))])
    assert isinstance(found["me"], Training) and found["me"].step == 3 and found["other"] == SCORING


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e300])
def test_curves_that_make_no_sense_are_left_out(value: float) -> None:
    odd = StepDone(key=KEY, step=1, steps=2, curves={"seconds": value, "tokens_seen": value})
    doing = live_progress.follow(lines(STARTED, odd))["me"]
    assert isinstance(doing, Training) and doing.seconds_left is None and doing.tokens_per_second is None


def test_the_start_of_a_block_is_found_however_many_steps_follow(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log", "me")
    for event in (STARTED, *(step(number, 5000) for number in range(1, 4001))):
        log.write(event)
    doing = live_progress.follow(live_progress.last_events(tmp_path / "log"))["me"]
    assert isinstance(doing, Training) and (doing.block, doing.step) == ("student_rl[1]", 4000)
    log.write(STARTED)
    assert len(live_progress.last_events(tmp_path / "log")) < 3000, "not all of it is read where the end says enough"


@pytest.fixture
def study(made: Path, tmp_path: Path) -> StudyFrames:
    """A copy with a trial that is running."""
    results = Path(shutil.copytree(made, tmp_path / "results"))
    folder = ResultsFolder(results).study(STUDY)
    opened = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{folder.database}")
    opened.ask()
    return read_study(results, STUDY)


@pytest.fixture
def testing(study: StudyFrames) -> Iterator[Mute]:
    """A process that tests the study."""
    channel = Mute()
    with logged(study.folder.log("test"), channel):
        yield channel


def test_a_running_block_is_shown(study: StudyFrames, show: Open) -> None:
    log = EventLog(events_beside(study.folder.trial_log(5)), "me")
    for event in (STARTED, step(1), step(12)):
        log.write(event)
    said = text(show("live", study.folder.path.parent.parent))
    assert "Trial #5" in said and "Block 2 of 3: `student_rl[1]` of `student`" in said
    assert "0.5 s/step" in said and "about 9 s left for this block, estimated from its last steps" in said
    log.write(SCORING)
    assert "Scoring `made-validation@1`" in text(show("live", study.folder.path.parent.parent))


def test_a_study_without_events_shows_what_its_database_says(study: StudyFrames, show: Open) -> None:
    study.folder.trial_log(5).write_text(
        "2026 INFO tuition.runners.training.block_trainer: training block b321047a50a3: opd[0] of student\n"
    )
    page = show("live", study.folder.path.parent.parent)
    assert not page.exception
    assert "Trial #5" in text(page) and "No block has started yet" in text(page) and "opd[0]" not in text(page)
    assert live_progress.running(study)[0].doing is None and live_progress.testing(study, "test") == []


def test_the_test_is_seen_while_its_processes_live(study: StudyFrames, testing: Mute, show: Open) -> None:
    assert live_progress.testing(study, "test") == [], "it has told nothing"
    testing.hear(PhaseBegan(title="test", done=0, total=2))
    assert live_progress.testing(study, "test") == [None]
    testing.hear(STARTED)
    said = text(show("live", study.folder.path.parent.parent))
    assert "Test" in said and "Block 2 of 3" in said and "Nothing is being trained" not in said
    assert live_progress.testing(study, "baselines") == []


def test_a_test_that_has_ended_or_was_killed_is_not_going_on(study: StudyFrames) -> None:
    channel = Mute()
    with logged(study.folder.log("test"), channel):
        channel.hear(STARTED)
    assert live_progress.testing(study, "test") == [] and channel.log is None
    killed = process_name()  # of this host, and holds no lock
    EventLog(events_beside(study.folder.log("test")), killed).write(STARTED)
    assert live_progress.testing(study, "test") == []


def test_of_another_host_young_events_tell(study: StudyFrames) -> None:
    log = EventLog(events_beside(study.folder.log("test")), ELSEWHERE)
    log.write(STARTED)
    now = time.time()
    assert len(live_progress.testing(study, "test", now)) == 1
    assert live_progress.testing(study, "test", now + 2 * live_progress.SILENT_SECONDS) == []


def test_between_two_trials_it_is_said_how_long_ago_the_last_one_ended(made: Path, tmp_path: Path) -> None:
    results = Path(shutil.copytree(made, tmp_path / "results"))
    study = read_study(results, STUDY)
    ended = study.trials["finished"].max().to_pydatetime().timestamp()
    assert live_progress.seconds_since_a_trial(study, ended + 10) is None, "its report was written"
    study.folder.report.unlink()
    assert live_progress.seconds_since_a_trial(study, ended + 10) == pytest.approx(10)
    assert live_progress.seconds_since_a_trial(study, ended + 100) is None
    assert live_progress.seconds_since_a_trial(replace(study, trials=study.trials[:0]), ended) is None
