"""Scores on the way: who asks for them, and how allocations among them become trials of the study.

A trial keeps the scores of all checkpoints that its route passed in its own record, which is the one truth about them.
Allocations among them that the space holds are told to the study as finished trials as well, marked `ON_THE_WAY_OF`, so
that any of Optuna's samplers learns from them. They are told after the trial, under a lock and at most once: what a
killed process left untold the next one tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route
from tuition.planner.scores.outcome import ScoreOnTheWay, read_checkpoint, scores_from_json
from tuition.planner.scores.protocols import AsksOnTheWay
from tuition.planner.space import SearchSpace
from tuition.planner.trials import (
    ALLOCATION,
    GPU_SECONDS,
    ON_THE_WAY,
    ON_THE_WAY_OF,
    ROUTE_KEY,
    SCORE_ON_THE_WAY,
    Trials,
)


def asked_on_the_way(
    trial: optuna.Trial, allocation: Allocation, rule: Callable[[Allocation], Sequence[Checkpoint]] | None
) -> tuple[Checkpoint, ...]:
    """What is to be scored on the way, by a fixed rule or else by the sampler; written down in the trial.

    A trial that is queued again after an interruption keeps what was asked for at first, whatever was learnt since.

    Raises:
        ValueError: for a checkpoint that is not on the way.
    """
    study = trial.study
    if (before := trial.user_attrs.get(SCORE_ON_THE_WAY)) is not None:
        return tuple(map(read_checkpoint, before))
    if rule is not None:
        asked = rule(allocation)
    elif isinstance(study.sampler, AsksOnTheWay):
        asked = study.sampler.on_the_way(study, study.get_trials(deepcopy=False)[trial.number], allocation)
    else:
        return ()
    passed = allocation.checkpoints()[:-1]
    if strangers := [str(checkpoint) for checkpoint in asked if checkpoint not in passed]:
        raise ValueError(f"{strangers[0]!r} is not on the way to '{allocation}': choose of its `checkpoints`")
    ordered = tuple(checkpoint for checkpoint in passed if checkpoint in asked)
    trial.set_user_attr(SCORE_ON_THE_WAY, [str(checkpoint) for checkpoint in ordered])
    return ordered


class Passed:
    """Tells the allocations that trials have passed, each once, whoever passed it.

    Args:
        trials: the view of the study.
        space: what may be proposed; what it does not hold is not told.
        compile: allocation to route.
        lock: held while it tells; shared by all processes that work on the study.
    """

    def __init__(
        self,
        trials: Trials,
        space: SearchSpace,
        compile: Callable[[Allocation], Route],
        lock: AbstractContextManager[object],
    ) -> None:
        self._trials, self._space, self._compile, self._lock = trials, space, compile, lock
        self._untold: list[tuple[int, Allocation, ScoreOnTheWay]] = []

    def tell(self) -> None:
        """Tell what is not told yet. An allocation that a running trial is at waits for that trial's end."""
        trials = self._trials.refresh()
        for trial in trials.take_passing():
            scores = scores_from_json(trial.user_attrs[ON_THE_WAY])
            held = ((one, score) for one, score in scores.items() if isinstance(one, Allocation) and self._holds(one))
            self._untold += [(trial.number, one, score) for one, score in held]
        if not self._untold:
            return
        with self._lock:
            trials.refresh()
            running = trials.running_routes()
            waiting = []
            for number, allocation, score in self._untold:
                key = self._compile(allocation).key
                if key in running:
                    waiting.append((number, allocation, score))
                elif trials.evaluated(key) is None:
                    trials.study.add_trial(self._trial_of(number, allocation, key, score))
                    trials.refresh()
            self._untold = waiting

    def _holds(self, allocation: Allocation) -> bool:
        return self._space.holds(allocation)

    def _trial_of(self, number: int, allocation: Allocation, key: str, score: ScoreOnTheWay) -> FrozenTrial:
        identity = {ALLOCATION: str(allocation), "allocation_id": allocation.id, ROUTE_KEY: key, ON_THE_WAY_OF: number}
        measured = {
            "se_problems": score.se_problems,
            "se_samples": score.se_samples,
            "weights_sha256": score.weights_sha256,
            GPU_SECONDS: 0.0,  # the trial that passed it was charged
        }
        return create_trial(
            state=TrialState.COMPLETE,
            value=score.value,
            params=self._space.params_of(allocation),
            distributions=self._space.distributions(),
            user_attrs={**score.attributes, **measured, **identity},
        )
