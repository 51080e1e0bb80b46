"""The label pool and its ledger: the only way to an answer, and it writes down who saw it first.

The ledger is one SQLite file beside the store. An entry is keyed by (study, seed, route, stage, id), so booking again
after a restart changes nothing. It is committed before the answers are handed out: a label may be booked and not yet
used, never used and not booked.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tuition.benchmarks.problems import Problem


def account_of_test(study: str) -> str:
    """Where the ledger books what a study's test reveals and spends: a search's budget is its own."""
    return f"{study}:test"


class LedgerError(RuntimeError):
    """A ledger that cannot be read or written; one line with the path and the fix."""


class LabelError(ValueError):
    """A label that must not be spent; one line with the id and the reason."""


@dataclass(frozen=True)
class LabelCounts:
    """The three counts, always named apart."""

    labels_trained: int
    """Distinct training labels of one route, at most N."""
    labels_validation: int
    """Problems of the validation suite, whose answers every search needs as well."""
    labels_owned: int
    """Distinct labels that the whole study touched, validation included: at most N + V."""


class Ledger:
    """What was spent, by whom. Safe for several processes; survives a kill at any moment."""

    def __init__(self, path: Path):
        self.path = path
        self._spent: dict[str, tuple[int, float]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS spent (study TEXT, seed INTEGER, route TEXT, stage TEXT, id TEXT, "
                "PRIMARY KEY (study, seed, route, stage, id)) WITHOUT ROWID"
            )
            db.execute("CREATE TABLE IF NOT EXISTS trained (study TEXT, key TEXT, gpu_seconds REAL)")

    def _connect(self) -> "_Transaction":
        return _Transaction(self.path)

    def book(self, study: str, seed: int, route: str, stage: str, ids: Iterable[str], limit: int) -> None:
        """Book ids to one stage of one route, all or none.

        Raises LabelError when another stage of the route holds one of them already, or when the route would hold
        more than `limit`.
        """
        wanted = set(ids)
        with self._connect() as db:
            held = db.execute(
                "SELECT stage, id FROM spent WHERE study = ? AND seed = ? AND route = ?", (study, seed, route)
            ).fetchall()
            for other, label in held:
                if label in wanted and other != stage:
                    raise LabelError(
                        f"label {label!r} is already spent on {other}; the same route cannot also spend it on {stage}"
                    )
            total = len(wanted | {label for _, label in held})
            if total > limit:
                raise LabelError(f"the route would spend {total} labels, but the scenario has {limit}")
            db.executemany(
                "INSERT OR IGNORE INTO spent VALUES (?, ?, ?, ?, ?)",
                [(study, seed, route, stage, label) for label in sorted(wanted)],
            )

    def record_training(self, study: str, key: str, gpu_seconds: float) -> None:
        """Write down that a study has trained a block (or drawn rollouts), each time that it does."""
        with self._connect() as db:
            db.execute("INSERT INTO trained VALUES (?, ?, ?)", (study, key, gpu_seconds))

    def trainings(self, study: str) -> list[tuple[str, float]]:
        """(key, GPU-seconds) of all that a study has trained; a key that was trained twice stands there twice."""
        with self._connect() as db:
            return list(db.execute("SELECT key, gpu_seconds FROM trained WHERE study = ?", (study,)).fetchall())

    def spent(self, study: str) -> float:
        """GPU-seconds of all that a study has trained. Each call reads what was written since the one before."""
        last, seconds = self._spent.get(study, (0, 0.0))
        query = (
            "SELECT COALESCE(MAX(rowid), ?), COALESCE(SUM(gpu_seconds), 0) FROM trained WHERE rowid > ? AND study = ?"
        )
        with self._connect() as db:
            last, added = db.execute(query, (last, last, study)).fetchone()
        self._spent[study] = (int(last), seconds + float(added))
        return self._spent[study][1]

    def price(self, key: str) -> float | None:
        """What a block cost when it was last trained by any study; None when nobody here trained it."""
        with self._connect() as db:
            row = db.execute("SELECT gpu_seconds FROM trained WHERE key = ? ORDER BY rowid DESC", (key,)).fetchone()
        return None if row is None else float(row[0])

    def trained(self, study: str, seed: int, route: str) -> int:
        """Distinct labels booked to one route."""
        query = "SELECT COUNT(DISTINCT id) FROM spent WHERE study = ? AND seed = ? AND route = ?"
        return self._count(query, (study, seed, route))

    def owned(self, study: str, at_most: int = -1) -> int:
        """Distinct labels booked by a whole study, its test included.

        With `at_most`, which is all that there are, the count ends when it has found them: routes that buy every label
        are common, and the rows of a long study are many.
        """
        query = "SELECT COUNT(*) FROM (SELECT DISTINCT id FROM spent WHERE study IN (?, ?) LIMIT ?)"
        return self._count(query, (study, account_of_test(study), at_most))

    def _count(self, query: str, arguments: Sequence[object]) -> int:
        with self._connect() as db:
            return int(db.execute(query, arguments).fetchone()[0])


class _Transaction:
    """One immediate transaction: committed on success, rolled back on error, closed always."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self.connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error
        try:
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            self.connection.close()
            raise self._unusable(error) from error
        return self.connection

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        with closing(self.connection):
            try:
                if self.connection.in_transaction:  # SQLite itself rolls back on a full disk and on a damaged file
                    self.connection.execute("COMMIT" if error is None else "ROLLBACK")
            except sqlite3.DatabaseError as failure:
                raise self._unusable(failure) from failure
            if isinstance(error, sqlite3.DatabaseError):
                raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.DatabaseError) -> LedgerError:
        if isinstance(error, sqlite3.OperationalError):  # locked, read-only, full: the file itself may be sound
            fix = "make it writable or free disk space; if it is not a ledger, move it aside to count from zero"
        else:
            fix = "restore it, or move it aside to count from zero; blocks and scores are kept"
        return LedgerError(f"the label ledger {self.path} cannot be used ({error}): {fix}")


class LabelPool:
    """The N problems whose answers may be bought, and the evaluation problems whose answers may not."""

    def __init__(self, labels: Sequence[Problem], forbidden: Iterable[Problem], ledger: Ledger):
        self._labels = {label.id: label for label in labels}
        forbidden = list(forbidden)
        self._forbidden_texts = {problem.problem for problem in forbidden}
        self._forbidden_ids = {problem.id for problem in forbidden} - self._labels.keys()
        self._ledger = ledger

    def __len__(self) -> int:
        return len(self._labels)

    def problems(self, ids: Iterable[str]) -> list[str]:
        """The texts of label problems, without their answers; costs nothing."""
        return [self._known(i).problem for i in ids]

    def reveal(self, ids: Sequence[str], *, study: str, seed: int, route: str, stage: str) -> Mapping[str, str]:
        """Book the labels to a stage of a route, then return their answers by id.

        Raises LabelError for an unknown id, for a problem of the validation or test suite, for an id in two shares of
        one route, and for more labels than the pool holds.
        """
        answers = {i: self._known(i).answer for i in ids}
        self._ledger.book(study, seed, route, stage, ids, len(self))
        return answers

    def _known(self, label: str) -> Problem:
        problem = self._labels.get(label)
        if label in self._forbidden_ids or (problem is not None and problem.problem in self._forbidden_texts):
            raise LabelError(f"{label!r} belongs to the validation or test suite and must not be trained on")
        if problem is None:
            raise LabelError(f"no label {label!r} in the pool of {len(self)}")
        return problem
