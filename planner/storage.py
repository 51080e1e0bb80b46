"""The database of a study: opened so that several processes may work on one study, and refused when it is damaged;
and what becomes of trials whose process is gone.

What: Optuna's `RDBStorage` with heartbeats. On SQLite every transaction takes the write lock when it begins. Optuna
reads a trial's state, then writes it, and asks the database to lock the row in between (`SELECT ... FOR UPDATE`);
SQLite has no such lock and ignores it, so that two processes could both take one waiting trial, and the slower one
then failed with "Cannot tell a COMPLETE trial" (measured: 3 processes, 100 waiting trials, 11 to 14 taken twice).

Simplified: readers of a SQLite study wait for each other as well; a transaction takes about a millisecond.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tuition.planner.error_lines import named_line

HEARTBEAT_SECONDS = 60
GRACE_SECONDS = 180
MAX_STALE_RETRIES = 3  # our choice: a trial that kills its process must not be retried forever
SQLITE_WAIT_SECONDS = 60.0  # our choice; Python's own 5 s are too few for many workers on a slow disk
WORKER = "worker"  # user attribute of a trial


class StudyError(ValueError):
    """A study that cannot be opened or go on; the message is one line with the value and the fix."""


def open_storage(storage_url: str) -> RDBStorage:
    """A storage that notices trials whose process died, and queues them again.

    Raises:
        StudyError: for a URL that cannot be read, a database that cannot be opened, a damaged file.
    """
    try:
        url = make_url(storage_url)
    except ArgumentError:  # not shown: it may hold a password
        raise StudyError("the storage URL cannot be read; write one such as sqlite:///study.db") from None
    shown_url = url.render_as_string(hide_password=True)
    is_sqlite = url.get_backend_name() == "sqlite"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat is experimental in Optuna 5
            storage = RDBStorage(
                storage_url,
                engine_kwargs={"connect_args": {"timeout": SQLITE_WAIT_SECONDS}} if is_sqlite else None,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MAX_STALE_RETRIES),
            )
            if is_sqlite:
                _check_file(storage.engine, shown_url)
                _lock_whole_transactions(storage.engine)
            return storage
    except (SQLAlchemyError, ImportError) as error:
        raise StudyError(
            f"cannot open the study storage {shown_url}: {named_line(error)}; check the URL, or move a damaged file "
            "aside and rerun the same command: it starts a new search and reuses every stored block"
        ) from error


def _check_file(engine: sqlalchemy.Engine, shown_url: str) -> None:
    """StudyError for a damaged SQLite file: damage inside of it would show up in the middle of a search."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise StudyError(
            f"the study storage {shown_url} is damaged ({' '.join(str(found).split())}): restore it, or move it aside "
            "and rerun the same command: it starts a new search and reuses every stored block"
        )


def _lock_whole_transactions(engine: sqlalchemy.Engine) -> None:
    """Begin every transaction with SQLite's write lock: what is read in it is still true when it writes."""

    # Python's driver would otherwise begin a transaction itself, at the first write (SQLAlchemy manual, SQLite,
    # "Serializable isolation").
    @sqlalchemy.event.listens_for(engine, "connect")
    def leave_transactions_to_us(dbapi_connection: Any, _: Any) -> None:
        dbapi_connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin_with_write_lock(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made before do not know of this


def release_dead_trials(study: optuna.Study, is_alive: Callable[[str], bool]) -> int:
    """Fail and queue again the running trials of workers that are gone; returns their number.

    The heartbeat does the same after its grace period, and for workers of other hosts; this does it at once where the
    caller can tell that a worker is dead. A trial that names no worker is left to the heartbeat.
    """
    released = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = trial.user_attrs.get(WORKER)
        if worker is None or is_alive(str(worker)):
            continue
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):
            continue  # another process released it between our two looks
        queue_again(study, trial.number)
        released += 1
    return released


def queue_again(study: optuna.Study, number: int) -> None:
    """Queue a copy of an interrupted trial, as the heartbeat does for a trial whose process died."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # A copy, because the callback writes into the trial that it is given.
        RetryHeartbeatStaleTrialCallback()(study, copy.deepcopy(study.get_trials(deepcopy=False)[number]))
