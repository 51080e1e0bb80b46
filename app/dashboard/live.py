"""What a search does right now, from its database, its locks and the ends of its logs. Nothing is asked of the search.

A block's progress is what its log says last: "training block KEY: STAGE[I] of MODEL", then "step I/N {…}".
"""

import ast
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from app.dashboard.files import last_lines, records
from app.dashboard.studies import Study
from app.liveness import is_alive

BLOCK = re.compile(r"training block (?P<key>[0-9a-f]{12}): (?P<name>\w+\[\d+\]) of (?P<model>\S+)")
STEP = re.compile(r"step (?P<step>\d+)/(?P<steps>\d+) (?P<curves>\{.*\})$")
QUIET_SECONDS = 60.0  # our choice: a log that is silent for longer is not being written
FINISHED = ("complete", "fail", "pruned")


@dataclass(frozen=True)
class Training:
    """The block that a log speaks of last. Seconds a step is the median of its last steps; tokens a second likewise."""

    block: str
    model: str
    step: int
    steps: int
    seconds_per_step: float | None
    tokens_per_second: float | None
    blocks_begun: int

    @property
    def seconds_left(self) -> float | None:
        """Of this block."""
        return None if self.seconds_per_step is None else self.seconds_per_step * (self.steps - self.step)


@dataclass(frozen=True)
class Running:
    """A trial that is running by the database; `alive` is False where its process is gone."""

    number: int
    allocation: str
    seconds: float | None
    alive: bool
    training: Training | None


@dataclass(frozen=True)
class Progress:
    """Trials by state, the wanted number of them (None where nobody said), and when it will be done."""

    counts: dict[str, int]
    wanted: int | None
    seconds_left: float | None

    @property
    def finished(self) -> int:
        """Trials that are over."""
        return sum(self.counts.get(state, 0) for state in FINISHED)


def progress(study: Study, now: float | None = None) -> Progress:
    """How far the search is; the time that is left is foreseen from the trials that trained something."""
    counts = {str(state): int(count) for state, count in study.trials["state"].value_counts().items()}
    wanted = study.attributes.get("trials_wanted")
    wanted = wanted if isinstance(wanted, int) else None
    done = study.trials[(study.trials["state"] == "complete") & study.trials["repeat_of"].isna()]
    each = (done["finished"] - done["started"]).dt.total_seconds().dropna()
    finished = sum(counts.get(state, 0) for state in FINISHED)
    left = None
    running = counts.get("running", 0)
    if wanted is not None and len(each) and running:
        left = float(each.mean()) * max(0, wanted - finished) / running
    return Progress(counts, wanted, left)


def running(study: Study, now: float | None = None) -> list[Running]:
    """Trials that are running, with what their logs say."""
    present = pd.Timestamp(now if now is not None else time.time(), unit="s")
    found = []
    for trial in records(study.trials[study.trials["state"] == "running"]):
        started = trial["started"]
        # The database holds local times without a zone.
        local = pd.Timestamp.fromtimestamp(present.timestamp())
        seconds = None if pd.isna(started) else max(0.0, (local - started).total_seconds())
        worker = trial["worker"]
        alive = worker is None or is_alive(study.folder.workers, Path(worker).name)
        training = read_log(last_lines(study.folder.trial_log(int(trial["number"])), 400))
        found.append(Running(int(trial["number"]), trial["allocation"] or "", seconds, alive, training))
    return found


def read_log(lines: Sequence[str]) -> Training | None:
    """The block that a log speaks of last; None where it names none."""
    block, begun = None, 0
    steps: list[tuple[int, int, dict[str, Any]]] = []
    for line in lines:
        if found := BLOCK.search(line):
            block, begun, steps = found, begun + 1, []
        elif found := STEP.search(line):
            steps.append((int(found["step"]), int(found["steps"]), _curves(found["curves"])))
    if block is None:
        return None
    last = steps[-1] if steps else (0, 0, {})
    seconds = [float(curves["seconds"]) for _, _, curves in steps[-20:] if "seconds" in curves]
    tokens = [float(curves["tokens_seen"]) for _, _, curves in steps[-20:] if "tokens_seen" in curves]
    each = median(seconds) if seconds else None
    rate = None
    if len(tokens) > 1 and len(seconds) == len(tokens) and sum(seconds[1:]) > 0:
        rate = (tokens[-1] - tokens[0]) / sum(seconds[1:])
    return Training(block["name"], block["model"], last[0], last[1], each, rate, begun)


def _curves(text: str) -> dict[str, Any]:
    try:
        curves = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return {k: v for k, v in curves.items() if isinstance(v, (int, float))} if isinstance(curves, dict) else {}


def is_testing(study: Study, now: float | None = None) -> bool:
    """Whether the test's log was written to just now."""
    try:
        changed = study.folder.log("test").stat().st_mtime
    except OSError:
        return False
    return (now if now is not None else time.time()) - changed < QUIET_SECONDS


def seconds_since_a_trial(study: Study, now: float | None = None) -> float | None:
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
