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

ALLOCATION, ROUTE_KEY, REPEAT_OF, GPU_SECONDS = "allocation", "route_key", "repeat_of", "gpu_seconds"
"""User attributes of a trial, and so are the next."""
SCORE_ON_THE_WAY = "score_on_the_way"
"""Checkpoints that were asked for."""
ON_THE_WAY = "on_the_way"
"""Their scores."""
ON_THE_WAY_OF = "on_the_way_of"
"""Of an allocation that another trial passed and that is told as a trial of its own: that trial's number."""
REFUSED = "refused"
"""Why a proposal was not begun: it did not fit the money left."""
OUTSIDE = "told_from_outside"
"""Of a score that the study was told: the SHA-256 of the file that it came in. There is no checkpoint of it."""
LABELS_OUTSIDE = "labels_outside"
"""Of the same: labels that it was trained on, as its sender declares."""
LEADING = 2


class Trials:
    """A view of a study, as of its last `refresh`. Other processes may add and finish trials meanwhile.

    Allocations that were scored on the way to another are trials of the study, but no proposals: no count of trials
    counts them, while their routes are evaluated and may lead. Nor does one count proposals refused for their price, or
    scores that the study was told from outside.

    Attributes:
        total: trials of any state, those of allocations scored on the way among them.
        num_finished: trials that are over: complete, pruned and failed ones, without those of which a copy was queued
            after an interruption, as earlier versions did.
        num_running: trials that some process is at.
        leading: the best complete trials with distinct routes, best first, the earlier one where values are equal; at
            most `LEADING`.
        scored: the texts of all checkpoints that have a score.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.total = self.num_finished = self.num_running = 0
        self.leading: list[FrozenTrial] = []
        self.scored: set[str] = set()
        self._open: dict[int, FrozenTrial] = {}
        self._finished: set[int] = set()
        self._queued_again: set[int] = set()
        self._drawless: list[int] = []
        self._passing: list[FrozenTrial] = []
        self._spent = 0.0
        self._by_route: dict[str, FrozenTrial] = {}

    def refresh(self) -> Trials:
        """Read what has changed; returns itself."""
        trials = self.study.get_trials(deepcopy=False)  # their numbers are 0, 1, 2, ...
        added = trials[self.total :]
        for trial in added:
            if history := retry_history(trial):
                self._queue_again(history)
            if history or {ON_THE_WAY_OF, OUTSIDE} & trial.user_attrs.keys():
                insort(self._drawless, trial.number)
        changed = [trials[number] for number in self._open] + added
        self.total = len(trials)
        self._open = {trial.number: trial for trial in changed if not trial.state.is_finished()}
        self.num_running = len(self.running)
        for trial in changed:
            if trial.state.is_finished():
                self._finish(trial)
        return self

    def _queue_again(self, numbers: list[int]) -> None:
        for number in set(numbers) - self._queued_again:
            self._queued_again.add(number)
            self.num_finished -= number in self._finished

    def _finish(self, trial: FrozenTrial) -> None:
        attributes = trial.user_attrs
        if not {ON_THE_WAY_OF, REFUSED, OUTSIDE} & attributes.keys():
            self._finished.add(trial.number)
            self.num_finished += trial.number not in self._queued_again
        self._spent += gpu_seconds(trial)
        key = attributes.get(ROUTE_KEY)
        if trial.state is not TrialState.COMPLETE or key is None:
            return
        self.scored |= {attributes.get(ALLOCATION, ""), *attributes.get(ON_THE_WAY, ())}
        if ON_THE_WAY in attributes:
            self._passing.append(trial)
        if REPEAT_OF in attributes:
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

    def take_passing(self) -> list[FrozenTrial]:
        """The complete trials with scores on the way that were not taken before."""
        taken, self._passing = self._passing, []
        return taken

    @property
    def running(self) -> list[FrozenTrial]:
        """The running trials."""
        return [trial for trial in self._open.values() if trial.state is TrialState.RUNNING]

    def running_routes(self) -> set[str]:
        """Keys of the routes that running trials are at."""
        return {trial.user_attrs[ROUTE_KEY] for trial in self.running if ROUTE_KEY in trial.user_attrs}

    def num_drawless_before(self, number: int) -> int:
        """How many trials of lower numbers the sampler did not draw: they copy an interrupted one, or were told."""
        return bisect_left(self._drawless, number)


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
    """Of a copy of interrupted trials, as earlier versions queued them, their numbers; empty for an ordinary trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RetryHeartbeatStaleTrialCallback.retry_history(trial)
