"""How trials are taken up and told, and what becomes of those whose process is gone.

A trial that was begun and not finished is put back: it waits again, under its number, with its proposal. So a kill
changes neither what is proposed nor how it is named or counted.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.storage import DATABASE_ERRORS, HEARTBEAT_SECONDS, database_line

WORKER = "worker"  # user attribute of a trial

logger = logging.getLogger(__name__)


def release_dead_trials(study: optuna.Study, own: str | None, is_alive: Callable[[str], bool] | None) -> int:
    """Put back the running trials whose process is gone; returns how many.

    To be called where this process is at no trial, under the lock under which trials are taken up: a running trial that
    names no worker is then one whose process died just before it could.

    Args:
        study: the study.
        own: the name of this process.
        is_alive: whether the worker of a name is alive; None: nobody can say, and heartbeats alone tell. They do so
            for workers of other hosts, and for a worker that was suspended for long.
    """
    storage = study._storage
    stale: set[int] = set(storage._get_stale_trial_ids(study._study_id)) if _has_heartbeat(storage) else set()
    released = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = trial.user_attrs.get(WORKER)
        dead = is_alive is not None and (worker is None or worker == own or not is_alive(str(worker)))
        if dead or trial._trial_id in stale:
            released += _wait_again(study, trial)
    return released


def take_up(study: optuna.Study, worker: str | None) -> optuna.Trial:
    """The next trial: one that waits, in the order of their numbers, or else a new one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Heartbeat of storage")  # it is given one, by `heartbeat`
        trial = study.ask()
    if worker is not None:
        trial.set_user_attr(WORKER, worker)
    return trial


def put_back(study: optuna.Study, trial: optuna.Trial, worker: str | None) -> None:
    """Let a trial that was begun wait again, with its number and its proposal, unless another process has it now."""
    if _is_ours(study, trial, worker):
        _wait_again(study, study._storage.get_trial(trial._trial_id))


def tell(
    study: optuna.Study, trial: optuna.Trial, worker: str | None, state: TrialState, value: float | None = None
) -> bool:
    """Finish a trial. False where it is no longer this process's, which was suspended until it was taken for dead."""
    if not _is_ours(study, trial, worker):
        return False
    try:
        study.tell(trial, value, state)
    except (ValueError, UpdateFinishedTrialError):  # between our two looks
        return False
    return True


@contextmanager
def heartbeat(study: optuna.Study, trial: optuna.Trial) -> Iterator[None]:
    """Meanwhile say again and again that the trial's process is alive, where the storage takes note of it.

    Optuna's own thread would end with a traceback where the database does not answer once.
    """
    storage, ended = study._storage, threading.Event()
    if not _has_heartbeat(storage):
        yield
        return

    def beat() -> None:
        while True:
            try:
                storage.record_heartbeat(trial._trial_id)
            except DATABASE_ERRORS as error:
                logger.warning("no heartbeat of trial %d: %s", trial.number, database_line(error))
            if ended.wait(HEARTBEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _has_heartbeat(storage: Any) -> TypeGuard[BaseHeartbeat]:
    return isinstance(storage, BaseHeartbeat) and storage.get_heartbeat_interval() is not None


def _is_ours(study: optuna.Study, trial: optuna.Trial, worker: str | None) -> bool:
    now = study._storage.get_trial(trial._trial_id)
    return now.state is TrialState.RUNNING and now.user_attrs.get(WORKER) == worker


def _wait_again(study: optuna.Study, trial: FrozenTrial) -> bool:
    # Optuna would fail it and queue a copy: with another number, behind all others, and counted twice.
    try:
        return study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
    except UpdateFinishedTrialError:
        return False
