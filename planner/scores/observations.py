"""What a study has observed: what a sampler is given to propose from.

>>> import optuna
>>> observations(optuna.create_study()), in_flight(optuna.create_study())
([], [])
"""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.scores.outcome import ScoreOnTheWay, read_checkpoint, scores_from_json
from tuition.planner.trials import ALLOCATION, ON_THE_WAY, ON_THE_WAY_OF, OUTSIDE, REPEAT_OF, gpu_seconds, value_of

UNTRAINED = "untrained"  # attribute of a study: scores of base models


@dataclass(frozen=True)
class Observation:
    """A validation score of the study.

    Attributes:
        checkpoint: an allocation, or a teacher on the way to one.
        value: avg@k.
        se_problems: its standard error over problems; None where the evaluation gives none.
        se_samples: the same over samples.
        gpu_seconds: what was really spent on it: for the end of a trial all that its evaluation spent, on the way the
            scoring alone.
        trial: number of the trial that made it.
        outside: whether the study was told it, and trained nothing.
    """

    checkpoint: Checkpoint
    value: float
    se_problems: float | None
    se_samples: float | None
    gpu_seconds: float
    trial: int
    outside: bool = False


def observations(study: optuna.Study) -> list[Observation]:
    """Every checkpoint that the study has scored, once: by trial, and within a trial in the order of its route."""
    found: dict[Checkpoint, Observation] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        attributes, number = trial.user_attrs, trial.number
        # What is told as a trial of its own stands in the record of the trial that passed it.
        if ALLOCATION not in attributes or ON_THE_WAY_OF in attributes:
            continue
        for checkpoint, score in scores_from_json(attributes.get(ON_THE_WAY, {})).items():
            seen = Observation(checkpoint, score.value, score.se_problems, score.se_samples, score.gpu_seconds, number)
            found.setdefault(checkpoint, seen)
        if REPEAT_OF not in attributes:
            errors = attributes.get("se_problems"), attributes.get("se_samples")
            end = read_checkpoint(attributes[ALLOCATION])
            outside = OUTSIDE in attributes
            found.setdefault(end, Observation(end, value_of(trial), *errors, gpu_seconds(trial), number, outside))
    return list(found.values())


def in_flight(study: optuna.Study) -> list[Allocation]:
    """What the study's running trials are at, by their numbers; without those that have not decided yet."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    decided = (read_checkpoint(trial.user_attrs[ALLOCATION]) for trial in running if ALLOCATION in trial.user_attrs)
    return [one for one in decided if isinstance(one, Allocation)]


def untrained(study: optuna.Study) -> dict[str, ScoreOnTheWay]:
    """Validation scores of base models, "student" or a teacher's name, that the study was given at its start."""
    return {model: ScoreOnTheWay(**fields) for model, fields in study.user_attrs.get(UNTRAINED, {}).items()}
