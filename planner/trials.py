"""What is known of a study's trials, kept up to date by reading only those that are new or were not finished.

A search asks after every trial how many are finished, what was spent, and whether a route was evaluated before. Going
through all trials for each answer would make a trial of a long study dear; a finished trial never changes, so it is
read once.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, insort

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

ROUTE_KEY, REPEAT_OF, GPU_SECONDS = "route_key", "repeat_of", "gpu_seconds"  # user attributes of a trial
LEADING = 2


class Trials:
    """A view of a study, as of its last `refresh`. Other processes may add and finish trials meanwhile.

    Attributes:
        total: trials of any state.
        num_ended: trials that are over: complete, pruned and failed ones.
        num_finished: the same without those that were queued again after an interruption.
        num_running: trials that some process is at.
        leading: the best complete trials with distinct routes, best first, the earlier one where values are equal; at
            most `LEADING`.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.total = self.num_ended = self.num_finished = self.num_running = 0
        self.leading: list[FrozenTrial] = []
        self._open: dict[int, FrozenTrial] = {}
        self._finished: set[int] = set()
        self._queued_again: set[int] = set()
        self._retries: list[int] = []
        self._spent = 0.0
        self._by_route: dict[str, FrozenTrial] = {}

    def refresh(self) -> Trials:
        """Read what has changed; returns itself."""
        trials = self.study.get_trials(deepcopy=False)  # their numbers are 0, 1, 2, ...
        added = trials[self.total :]
        for trial in added:
            if history := retry_history(trial):
                insort(self._retries, trial.number)
                self._queue_again(history)
        changed = [trials[number] for number in self._open] + added
        self.total = len(trials)
        self._open = {trial.number: trial for trial in changed if not trial.state.is_finished()}
        self.num_running = sum(trial.state is TrialState.RUNNING for trial in self._open.values())
        for trial in changed:
            if trial.state.is_finished():
                self._finish(trial)
        return self

    def _queue_again(self, numbers: list[int]) -> None:
        for number in set(numbers) - self._queued_again:
            self._queued_again.add(number)
            self.num_finished -= number in self._finished

    def _finish(self, trial: FrozenTrial) -> None:
        self._finished.add(trial.number)
        self.num_ended += 1
        self.num_finished += trial.number not in self._queued_again
        self._spent += gpu_seconds(trial)
        key = trial.user_attrs.get(ROUTE_KEY)
        if trial.state is not TrialState.COMPLETE or key is None or REPEAT_OF in trial.user_attrs:
            return
        first = self._by_route.get(key)
        if first is None or trial.number < first.number:
            self._by_route[key] = trial
        self.leading = best_of_routes([*self.leading, trial])[:LEADING]

    @property
    def spent_gpu_seconds(self) -> float:
        """The sum over the records of all trials."""
        return self._spent + sum(map(gpu_seconds, self._open.values()))

    def evaluated(self, route_key: str) -> FrozenTrial | None:
        """The first complete trial that evaluated this route, if one has."""
        return self._by_route.get(route_key)

    def num_retries_before(self, number: int) -> int:
        """How many trials of lower numbers repeat an interrupted one."""
        return bisect_left(self._retries, number)


def best_of_routes(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The best trial of each route, best first; the earlier trial where values are equal. All are complete."""
    best: dict[str, FrozenTrial] = {}
    for trial in sorted(trials, key=lambda trial: (-value_of(trial), trial.number)):
        best.setdefault(trial.user_attrs[ROUTE_KEY], trial)
    return list(best.values())


def value_of(trial: FrozenTrial) -> float:
    """The value of a complete trial."""
    assert trial.value is not None, f"trial {trial.number} is complete without a value"
    return trial.value


def gpu_seconds(trial: FrozenTrial) -> float:
    """What a trial's evaluation has spent, by its record."""
    return float(trial.user_attrs.get(GPU_SECONDS, 0.0))


def retry_history(trial: FrozenTrial) -> list[int]:
    """Numbers of the trials that this one is queued again for, the first one first; empty for an ordinary trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RetryHeartbeatStaleTrialCallback.retry_history(trial)
