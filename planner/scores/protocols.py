"""What a sampler may be beside an `optuna.samplers.BaseSampler`: `tuition.planner.study.search` asks those that are.

Such a sampler reads what the study knows: `observations`, `in_flight` and `untrained` of
`tuition.planner.scores.observations`, the money that is left (`gpu_seconds_left` of `tuition.planner.scores.budget`),
and the attributes of the study that are named here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import optuna
from optuna.trial import FrozenTrial

from tuition.planner.allocation import Allocation, Checkpoint

MIN_GAIN = "min_gain"
"""Attribute of a study: points per GPU-hour that a proposal must promise, where the search was given such a number."""


@runtime_checkable
class AsksOnTheWay(Protocol):
    """Says which checkpoints on the way to its proposal are to be scored."""

    def on_the_way(self, study: optuna.Study, trial: FrozenTrial, allocation: Allocation) -> Sequence[Checkpoint]:
        """Some of `allocation.checkpoints()` without its end, which is always scored."""


@runtime_checkable
class AsksUntrained(Protocol):
    """Wants scores of base models before its first proposal."""

    def base_models(self, study: optuna.Study) -> Sequence[str]:
        """Of "student" and the teachers' names, those to be scored once, at the start of the study."""


@runtime_checkable
class SaysWhenToStop(Protocol):
    """Knows when no proposal is worth its price."""

    def should_stop(self, study: optuna.Study) -> str | None:
        """The reason in one line, or None to go on; asked at the start and after every trial."""
