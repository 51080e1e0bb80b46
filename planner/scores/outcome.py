"""What an evaluation returns: the score of a route's end, and those of checkpoints on the way to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from tuition.planner.allocation import Checkpoint, parse_checkpoint

_parsed = lru_cache(maxsize=1 << 16)(parse_checkpoint)


@dataclass(frozen=True)
class ScoreOnTheWay:
    """The validation score of a checkpoint that a route passes, or of a base model.

    Attributes:
        value: validation avg@k.
        se_problems: its standard error over problems; None where there is none.
        se_samples: the same over samples.
        gpu_seconds: what scoring it really cost; 0 where its score was stored.
        weights_sha256: of the checkpoint; None where it is not known.
        attributes: JSON values, for the record of the trial that an allocation is told as.

    Raises:
        ValueError: for a value that is not finite.
    """

    value: float
    se_problems: float | None
    se_samples: float | None
    gpu_seconds: float
    weights_sha256: str | None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_finite(self.value)


@dataclass(frozen=True)
class Outcome:
    """What the evaluation of a route returns.

    Attributes:
        value: validation avg@k, to be maximised.
        attributes: JSON values for the trial's record. "gpu_seconds" is what the evaluation really spent, its scores on
            the way included.
        on_the_way: the scores of the checkpoints that were asked for, as far as they were made.

    Raises:
        ValueError: for a value that is not finite.
    """

    value: float
    attributes: Mapping[str, Any]
    on_the_way: Mapping[Checkpoint, ScoreOnTheWay] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_finite(self.value)


def scores_to_json(scores: Mapping[Checkpoint, ScoreOnTheWay]) -> dict[str, dict[str, Any]]:
    """As a trial keeps them; the inverse of `scores_from_json`."""
    return {str(checkpoint): asdict(score) for checkpoint, score in scores.items()}


def scores_from_json(stored: Mapping[str, Mapping[str, Any]]) -> dict[Checkpoint, ScoreOnTheWay]:
    """The scores that a trial keeps."""
    return {read_checkpoint(text): ScoreOnTheWay(**fields) for text, fields in stored.items()}


def read_checkpoint(text: str) -> Checkpoint:
    """`parse_checkpoint`, once for each text: samplers read all of a study's scores before every proposal."""
    return _parsed(text)


def _check_finite(value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"the evaluation returned {value!r}; a value must be finite")
