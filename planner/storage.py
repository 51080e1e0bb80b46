"""The database of a study: opened so that several processes may work on one study, and refused when it is damaged.

What: Optuna's `RDBStorage` with heartbeats. On SQLite every transaction takes the write lock when it begins. Optuna
reads a trial's state, then writes it, and asks the database to lock the row in between (`SELECT ... FOR UPDATE`);
SQLite has no such lock and ignores it, so that two processes could both take one waiting trial, and the slower one
then failed with "Cannot tell a COMPLETE trial" (measured: 3 processes, 100 waiting trials, 11 to 14 taken twice).

Simplified: readers of a SQLite study wait for each other as well; a transaction takes about a millisecond.
"""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from tuition.planner.error_lines import named_line

HEARTBEAT_SECONDS = 60
GRACE_SECONDS = 180
WAIT_SECONDS = 60.0
"""For a SQLite file that others have locked, or a server that is being started again. Our choice: Python's own 5 s are
too few for many workers on a slow disk."""

logger = logging.getLogger(__name__)

DATABASE_ERRORS = (StorageInternalError, SQLAlchemyError)
"""A database that is full, locked, read-only, lost or not reachable."""


class StudyError(ValueError):
    """A study that cannot be opened or go on; the message is one line with the value and the fix."""


def read_url(storage_url: str) -> sqlalchemy.URL:
    """The parts of a database URL; StudyError for one that cannot be read, without it: it may hold a password."""
    try:
        return make_url(storage_url)
    except (ArgumentError, ValueError):
        raise StudyError("the storage URL cannot be read; write one such as sqlite:///study.db") from None


def open_storage(storage_url: str) -> RDBStorage:
    """A storage that keeps heartbeats of running trials.

    Raises:
        StudyError: for a URL that cannot be read, a database that cannot be opened, a damaged file.
    """
    url = read_url(storage_url)
    shown_url = url.difference_update_query(["password", "sslpassword"]).render_as_string(hide_password=True)
    is_sqlite = url.get_backend_name() == "sqlite"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat is experimental in Optuna 5
            storage = RDBStorage(
                storage_url,
                # A connection that a restarted server has closed is opened anew.
                engine_kwargs={"connect_args": {"timeout": WAIT_SECONDS}} if is_sqlite else {"pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )
            if is_sqlite:
                _check_file(storage.engine, shown_url)
                _lock_whole_transactions(storage.engine)
            else:
                _wait_for_server(storage.engine)
            return storage
    except ImportError as error:
        raise StudyError(
            f"cannot open the study storage {shown_url} ({error}): install its driver, for PostgreSQL by "
            "`pip install 'tuition[postgres]'`"
        ) from error
    except (StorageInternalError, SQLAlchemyError) as error:
        raise StudyError(
            f"cannot open the study storage {shown_url}: {database_line(error)}; check the URL, or move a damaged file "
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


def _wait_for_server(engine: sqlalchemy.Engine) -> None:
    """Let later connections wait for a server that is being started again; the first ones told that it is there."""

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: Any, options: Any) -> Any:
        until, said = time.monotonic() + WAIT_SECONDS, False
        while True:
            try:
                return dialect.connect(*arguments, **options)
            except dialect.loaded_dbapi.OperationalError as error:
                if time.monotonic() >= until:
                    raise
                if not said:
                    logger.warning("the study's database does not answer (%s): waiting for it", named_line(error))
                said = True
                time.sleep(1.0)


def database_line(error: BaseException) -> str:
    """A database's error on one line, without the statement that it failed on."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, DBAPIError) and inner.orig is not None:
            return named_line(inner.orig)
        inner = inner.__cause__
    return named_line(error)
