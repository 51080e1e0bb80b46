"""Where everything lies in a results folder: the one place that joins its paths.

    results/
        store/            blocks by key; store/rollouts, store/locks, store/leases
        scores/           scores by key
        statements/       what was asked in each scored suite
        studies/<study>/  what one study keeps for itself (`StudyFolder`)
        recorded/         recordings of scenarios
        logs/             logs of single runs, and of blocks that other processes train
        tracking/         trackers' files
        ledger.sqlite     labels that were spent, and what was trained

Nothing is made or read here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


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
        """The scenario's file, as it was when the study began."""
        return self.path / "scenario.yaml"

    @property
    def logs(self) -> Path:
        """Logs, one a run."""
        return self.path / "logs"

    def trial_log(self, number: int) -> Path:
        """The log of a trial."""
        return self.logs / f"trial-{number:04d}.log"

    @property
    def test_log(self) -> Path:
        """The log of the test."""
        return self.logs / "test.log"

    @property
    def workers(self) -> Path:
        """Locks of the workers that are alive."""
        return self.path / "workers"

    @property
    def opening_lock(self) -> Path:
        """Held for milliseconds, while a command opens the study and queues its baselines."""
        return self.path / "opening.lock"


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
    def scores(self) -> Path:
        """Scores by key."""
        return self.path / "scores"

    @property
    def statements(self) -> Path:
        """What was asked in each scored suite."""
        return self.path / "statements"

    @property
    def ledger(self) -> Path:
        """Labels that were spent, and what was trained."""
        return self.path / "ledger.sqlite"

    @property
    def logs(self) -> Path:
        """Logs that belong to no study."""
        return self.path / "logs"

    @property
    def tracking(self) -> Path:
        """Trackers' files."""
        return self.path / "tracking"

    @property
    def recorded(self) -> Path:
        """Recordings of scenarios."""
        return self.path / "recorded"

    @property
    def studies(self) -> Path:
        """Studies by name."""
        return self.path / "studies"

    def study(self, name: str) -> StudyFolder:
        """The folder of a study, whether it is there or not."""
        return StudyFolder(self.studies / name)

    def study_folders(self) -> Iterator[StudyFolder]:
        """The studies that are there, by name."""
        return (StudyFolder(path) for path in sorted(self.studies.glob("*/")))
