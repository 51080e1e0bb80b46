"""What a search does right now, from its database, its locks and the ends of its event logs. The search is not asked.

Simplified: locks of another host are not visible here; its work counts as running while its events are recent.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

import pandas as pd

from tuition.app.dashboard.data.files import records, stamp
from tuition.app.dashboard.data.study_frames import StudyFrames
from tuition.app.processes.liveness import is_alive, is_here
from tuition.benchmarks.results_folder import events_beside, writers_beside
from tuition.runners.events import BlockStarted, LoggedEvent, RunDone, Scoring, StepDone, read_events

QUIET_SECONDS = 60.0  # our choice: what comes after a trial has begun by then
SILENT_SECONDS = 900.0  # our choice: a step of a large model may take minutes
TAIL_BYTES = 256 << 10  # some 500 steps
STEPS_AVERAGED = 20
MOST = 1e15  # what is more is damage
FINISHED = ("complete", "fail", "pruned")


@dataclass(frozen=True)
class Training:
    """A block that is being trained, the `position`-th of the `total` that its route has to train.

    Seconds a step is the median of its last steps, tokens a second is of the same.
    """

    block: str
    model: str
    position: int
    total: int
    step: int = 0
    steps: int = 0
    seconds_per_step: float | None = None
    tokens_per_second: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Of this block."""
        return None if self.seconds_per_step is None else self.seconds_per_step * (self.steps - self.step)


Doing = Training | Scoring | None
"""What a process does, as far as its events tell."""


@dataclass(frozen=True)
class Running:
    """A trial that is running by the database; `alive` is False where its process is gone."""

    number: int
    allocation: str
    seconds: float | None
    alive: bool
    doing: Doing


@dataclass(frozen=True)
class Progress:
    """Trials by state, the number wanted (None if unknown), and the estimated seconds left."""

    counts: dict[str, int]
    wanted: int | None
    seconds_left: float | None

    @property
    def finished(self) -> int:
        """Trials that are over."""
        return sum(self.counts.get(state, 0) for state in FINISHED)


def progress(study: StudyFrames, now: float | None = None) -> Progress:
    """The progress of the search; the time left is estimated from the trials that trained something."""
    counts = {str(state): int(count) for state, count in study.proposed["state"].value_counts().items()}
    wanted = study.attributes.get("trials_wanted")
    wanted = wanted if isinstance(wanted, int) else None
    done = study.proposed[(study.proposed["state"] == "complete") & study.proposed["repeat_of"].isna()]
    each = (done["finished"] - done["started"]).dt.total_seconds().dropna()
    finished = sum(counts.get(state, 0) for state in FINISHED)
    left = None
    running = counts.get("running", 0)
    if wanted is not None and len(each) and running:
        left = float(each.mean()) * max(0, wanted - finished) / running
    return Progress(counts, wanted, left)


def running(study: StudyFrames, now: float | None = None) -> list[Running]:
    """Trials that are running, with what their events say."""
    present = pd.Timestamp(now if now is not None else time.time(), unit="s")
    found = []
    for trial in records(study.trials[study.trials["state"] == "running"]):
        started = trial["started"]
        # The database holds local times without a zone.
        local = pd.Timestamp.fromtimestamp(present.timestamp())
        seconds = None if pd.isna(started) else max(0.0, (local - started).total_seconds())
        worker = trial["worker"]
        alive = worker is None or is_alive(study.folder.workers, Path(worker).name)
        number = int(trial["number"])
        events = last_events(events_beside(study.folder.trial_log(number)))
        doing = follow(events)[events[-1].writer] if events else None
        found.append(Running(number, trial["allocation"] or "", seconds, alive, doing))
    return found


def testing(study: StudyFrames, name: str, now: float | None = None) -> list[Doing]:
    """What each process that writes to a study's log ("test", "baselines", ...) does; [] if there is none."""
    log = study.folder.log(name)
    events = last_events(events_beside(log))
    doing, last = follow(events), {line.writer: line.time for line in events}
    present = now if now is not None else time.time()
    return [doing[writer] for writer, then in last.items() if _writes(log, writer, present - then)]


def _writes(log: Path, writer: str, seconds: float) -> bool:
    """Whether a process that wrote to a log so long ago still does."""
    locked = is_alive(writers_beside(log), Path(writer).name)
    return locked and (is_here(writer) or seconds < SILENT_SECONDS)


def last_events(path: Path) -> list[LoggedEvent]:
    """The last events of a log: so many that the start of each writer's block is among them."""
    size, back = stamp(path)[1], TAIL_BYTES
    while True:
        events, _ = read_events(path, max(0, size - back))
        started = {line.event.key for line in events if isinstance(line.event, BlockStarted)}
        steps = {line.writer: line.event.key for line in events if isinstance(line.event, StepDone)}
        if back >= size or started.issuperset(steps.values()):
            return events
        back *= 8


def follow(events: Sequence[LoggedEvent]) -> dict[str, Doing]:
    """What each writer does after these events."""
    doing: dict[str, Doing] = {}
    steps: dict[str, list[StepDone]] = {}
    for line in events:
        event = line.event
        before: Doing = doing.setdefault(line.writer, None)
        match event:
            case BlockStarted():
                name = f"{event.stage}[{event.index}]"
                doing[line.writer] = Training(name, event.model, event.position, event.total)
                steps[line.writer] = []
            case StepDone() if isinstance(before, Training):
                steps[line.writer].append(event)
                doing[line.writer] = replace(before, step=event.step, steps=event.steps)
            case Scoring():
                doing[line.writer] = event
            case RunDone():
                doing[line.writer] = None
    return {
        writer: _with_speed(now, steps[writer][-STEPS_AVERAGED:]) if isinstance(now, Training) else now
        for writer, now in doing.items()
    }


def _with_speed(training: Training, steps: Sequence[StepDone]) -> Training:
    known = [step.curves for step in steps if 0 <= step.curves.get("seconds", -1) < MOST]
    if not known:
        return replace(training, seconds_per_step=None, tokens_per_second=None)
    seconds = [curves["seconds"] for curves in known]
    # Tokens are counted in the steps that draw completions, which also take longer than those that only train on them.
    counted = [at for at, curves in enumerate(known) if 0 <= curves.get("tokens_seen", -1) < MOST]
    average = median if len(counted) == len(known) else fmean
    rate = None
    if len(counted) > 1 and (spent := sum(seconds[counted[0] + 1 : counted[-1] + 1])) > 0:
        rate = (known[counted[-1]]["tokens_seen"] - known[counted[0]]["tokens_seen"]) / spent
    return replace(training, seconds_per_step=average(seconds), tokens_per_second=rate)


def seconds_since_a_trial(study: StudyFrames, now: float | None = None) -> float | None:
    """Since the last trial ended, while what follows it may not have begun yet.

    None where that is long ago, and of a study that is done: its report is younger than its last trial.
    """
    ended = study.trials["finished"].max()
    if pd.isna(ended):
        return None
    last = ended.to_pydatetime().timestamp()  # the database holds local times without a zone
    report = study.folder.report
    if report.exists() and report.stat().st_mtime > last:
        return None
    since = max(0.0, (now if now is not None else time.time()) - last)
    return since if since < QUIET_SECONDS else None
