"""Where everything lies in a results folder: the one place that joins its paths.

    results/
        store/            blocks by key, and what `tuition.runners.store.block_store` keeps beside them;
        store/rollouts, store/leases scores/           scores by key
        measured/         short blocks that were trained to measure their cost
        statements/       what was asked in each scored suite
        studies/<study>/  what one study keeps for itself (`StudyFolder`)
        recorded/         tables of recorded scenarios, and each recording's own files (`RecordingFolder`)
        planners/         races of planners
        boards/           leaderboards of one's own; so does leaderboards/
        logs/             logs of single runs, and of blocks that other processes train
        tracking/         trackers' files
        ledger.sqlite     labels that were spent, and what was trained

Beside a log lie its events (`events_beside`), and the locks of the processes that write to it (`writers_beside`).
Nothing is made or read here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class StudyNameError(ValueError):
    """A name that could not be a study's folder; one line with what it may hold."""


def checked_study_name(name: str) -> str:
    """The name itself; StudyNameError for one that could not be a folder's."""
    if not STUDY_NAME.fullmatch(name):
        raise StudyNameError(
            f"study name {name!r}: use up to 64 letters, digits, '.', '_' and '-', starting with a letter or digit"
        )
    return name


def events_beside(log: Path) -> Path:
    """The events of what a log tells to people."""
    return log.with_suffix(".events.jsonl")


def writers_beside(log: Path) -> Path:
    """Locks of the processes that write to a log now."""
    return log.parent / "writers"


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study."""

    path: Path

    @property
    def name(self) -> str:
        """The study's name."""
        return self.path.name

    @property
    def database(self) -> Path:
        """Optuna's SQLite file; not there for studies in a database by URL."""
        return self.path / "study.db"

    @property
    def search(self) -> Path:
        """On which training seed a search is; there from when it begins."""
        return self.path / "search.json"

    @property
    def report(self) -> Path:
        """The study as one document."""
        return self.path / "report.json"

    @property
    def leaderboard(self) -> Path:
        """The tested rows alone."""
        return self.path / "leaderboard.json"

    @property
    def figure(self) -> Path:
        """The leaderboard as a picture."""
        return self.path / "leaderboard.png"

    @property
    def scenario(self) -> Path:
        """The scenario's file, with absolute paths; not there for studies of earlier versions."""
        return self.path / "scenario.yaml"

    @property
    def direct_compute(self) -> Path:
        """How `direct-compute` was matched."""
        return self.path / "direct-compute.json"

    def tries(self, scenario_sha256: str) -> Path:
        """The tries of a tuning of this scenario, one file each."""
        return self.all_tries / scenario_sha256[:12]

    @property
    def all_tries(self) -> Path:
        """The tries of a tuning; not there for other studies."""
        return self.path / "tries"

    def log(self, name: str) -> Path:
        """A log by name: "test", "baselines", "shuffled", "tuning"."""
        return self.path / "logs" / f"{name}.log"

    def trial_log(self, number: int) -> Path:
        """The log of a trial."""
        return self.log(f"trial-{number:04d}")

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files by which a change of the study is noticed."""
        return self.database, self.path / "study.db-wal", self.report, self.leaderboard, self.scenario

    @property
    def workers(self) -> Path:
        """Locks of the workers that are alive."""
        return self.path / "workers"

    @property
    def opening_lock(self) -> Path:
        """Held for milliseconds, while a command opens the study and queues its baselines."""
        return self.path / "opening.lock"


@dataclass(frozen=True)
class RecordingFolder:
    """The files of one scenario's recording, until a table holds its rows and after."""

    path: Path

    def row(self, seed: int, allocation_id: str) -> Path:
        """The row of one run."""
        return self.path / str(seed) / f"{allocation_id}.json"

    def rows(self) -> list[Path]:
        """The rows that are there."""
        return sorted(self.path.glob("*/*.json"))

    @property
    def log(self) -> Path:
        """The recording's log."""
        return self.path / "recording.log"

    @property
    def lock(self) -> Path:
        """Held while the scenario is recorded."""
        return self.path / "recording.lock"


@dataclass(frozen=True)
class ResultsFolder:
    """The files of a results folder."""

    path: Path

    @property
    def store(self) -> Path:
        """Blocks by key."""
        return self.path / "store"

    @property
    def rollouts(self) -> Path:
        """Cached rollouts by key."""
        return self.store / "rollouts"

    @property
    def leases(self) -> Path:
        """What routes that are being run stand on."""
        return self.store / "leases"

    @property
    def scores(self) -> Path:
        """Scores by key."""
        return self.path / "scores"

    @property
    def measured(self) -> Path:
        """Short blocks that were trained to measure their cost, one file each."""
        return self.path / "measured"

    @property
    def statements(self) -> Path:
        """What was asked in each scored suite."""
        return self.path / "statements"

    @property
    def ledger(self) -> Path:
        """Labels that were spent, and what was trained."""
        return self.path / "ledger.sqlite"

    def log(self, name: str) -> Path:
        """A log that belongs to no study, by name."""
        return self.path / "logs" / f"{name}.log"

    @property
    def tracking(self) -> Path:
        """Trackers' files."""
        return self.path / "tracking"

    def recorded_table(self, scenario: str) -> Path:
        """The table of a recorded scenario, by the scenario's name."""
        return self.path / "recorded" / f"{scenario}.parquet"

    def recording(self, scenario_sha256: str) -> RecordingFolder:
        """The folder of a scenario's recording, whether it is there or not."""
        return RecordingFolder(self.path / "recorded" / scenario_sha256[:12])

    @property
    def planners(self) -> Path:
        """Races of planners, a folder each."""
        return self.path / "planners"

    @property
    def boards(self) -> tuple[Path, ...]:
        """Folders that hold leaderboards."""
        return self.path / "boards", self.path / "leaderboards"

    @property
    def studies(self) -> Path:
        """Studies by name."""
        return self.path / "studies"

    def study(self, name: str) -> StudyFolder:
        """The folder of a study, whether it is there or not."""
        return StudyFolder(self.studies / name)

    def named_study(self, name: str) -> StudyFolder:
        """The folder of a study that somebody names; StudyNameError for what could not be a name."""
        return self.study(checked_study_name(name))

    def study_folders(self) -> Iterator[StudyFolder]:
        """The studies that are there, by name."""
        return (StudyFolder(path) for path in sorted(self.studies.glob("*/")))
