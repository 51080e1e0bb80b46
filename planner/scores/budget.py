"""The money of a search: what is left of it, and what is refused because it does not fit.

Device-seconds of training and of validation count. A trial is begun only if what is still missing of its route, its
scores included, fits what is left when all running trials have been paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route
from tuition.planner.scores.observations import untrained
from tuition.planner.scores.outcome import read_checkpoint
from tuition.planner.trials import ALLOCATION, REFUSED, ROUTE_KEY, SCORE_ON_THE_WAY, Trials

LEFT = "gpu_seconds_left"  # attribute of a study
MAX_REFUSALS = 30  # our choice: of so many proposals in a row none fits what is left
CLOCK_SECONDS = 1e-3  # records are rounded to it

Price = Callable[[Route, Sequence[Checkpoint]], float]
"""Device-seconds that a route would still cost, with the score of its end and of what is asked for on its way."""


def gpu_seconds_left(study: optuna.Study) -> float | None:
    """What a proposal may cost at most; None where the study has no budget."""
    left: float | None = study.user_attrs.get(LEFT)
    return left


class Budget:
    """The account of one call of `tuition.planner.study.search`.

    Args:
        trials: the view of the study.
        gpu_seconds: all that the study may spend.
        spent: what it has spent so far, failed trials included; None: the sum over the records of its trials.
        price: of a route; None: nothing is refused, and the search stops when its money is spent.
        compile: allocation to route.
    """

    def __init__(
        self,
        trials: Trials,
        gpu_seconds: float,
        spent: Callable[[], float] | None,
        price: Price | None,
        compile: Callable[[Allocation], Route],
    ) -> None:
        self._trials, self._gpu_seconds, self._spent = trials, gpu_seconds, spent
        self._price, self._compile = price, compile
        self.refusals = 0
        """In a row."""

    def left(self, besides: int | None = None) -> float:
        """What is left when the running trials are paid for, one of them apart."""
        running = self._trials.refresh().running
        committed = sum(self._still_costs(trial) for trial in running if trial.number != besides)
        return self._gpu_seconds - self._spent_so_far() - committed

    def publish(self, besides: int | None = None) -> None:
        """Write down what is `left`, for the sampler."""
        self._trials.study.set_user_attr(LEFT, self.left(besides))

    def check(self, trial: optuna.Trial, route: Route, asked: Sequence[Checkpoint]) -> None:
        """Refuse a trial that does not fit.

        Raises:
            optuna.TrialPruned: with the numbers, after the constraint "refused" is set to what is lacking.
        """
        if self._price is None:
            return
        price, left = self._price(route, asked), self.left(besides=trial.number)
        if price <= left + CLOCK_SECONDS:
            self.refusals = 0
            return
        self.refusals += 1
        reason = f"it would cost {price:.1f} GPU-s, and {max(left, 0.0):.1f} are left"
        trial.set_user_attr(REFUSED, reason)
        trial.set_constraint(REFUSED, price - left)
        raise optuna.TrialPruned(reason)

    def reason_to_stop(self) -> str | None:
        """Why nothing more can be bought, if so."""
        left = self.left()
        if left <= 0:
            return f"the budget of {self._gpu_seconds:.1f} GPU-s is spent"
        if self.refusals >= MAX_REFUSALS:
            return f"none of {self.refusals} proposals in a row fits the {left:.1f} GPU-s that are left"
        return None

    def _spent_so_far(self) -> float:
        if self._spent is not None:
            return self._spent()
        base_models = untrained(self._trials.study).values()
        return self._trials.spent_gpu_seconds + sum(score.gpu_seconds for score in base_models)

    def _still_costs(self, trial: optuna.trial.FrozenTrial) -> float:
        if self._price is None or ROUTE_KEY not in trial.user_attrs:
            return 0.0  # it has not decided yet, and is checked when it has
        allocation = read_checkpoint(trial.user_attrs[ALLOCATION])
        assert isinstance(allocation, Allocation), f"trial {trial.number} is at {allocation}"
        asked = tuple(map(read_checkpoint, trial.user_attrs.get(SCORE_ON_THE_WAY, ())))
        return self._price(self._compile(allocation), asked)
