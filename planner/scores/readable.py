"""A copy of a study for Optuna's own plots and pages, which know nothing of allocations.

Every trial of a study carries all parameters of the space and every repeat has a value, since samplers need both. Read
as they are, parameters that a proposal does not use count as tried, and repeats as points.
"""

from __future__ import annotations

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, create_trial

from tuition.planner.space import NO_TEACHER
from tuition.planner.trials import REFUSED, REPEAT_OF

WITHOUT_TEACHER = ("label_blocks", "replay", "teacher")
"""The parameters that count where there is no teacher."""
METRIC = "validation avg@k"


def name_metric(study: optuna.Study) -> None:
    """Have plots and tables say what a value is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if study.metric_names is None:
            study.set_metric_names([METRIC])


def readable_copy(study: optuna.Study, storage: str | None = None) -> optuna.Study:
    """The study without repeats, refused proposals and parameters that count for nothing.

    >>> study = optuna.create_study(direction="maximize")
    >>> readable_copy(study).metric_names
    ['validation avg@k']

    Args:
        study: to be copied; nothing of it is changed.
        storage: URL of the copy's database, for pages such as optuna-dashboard's; None: in memory.
    """
    copied = optuna.create_study(study_name=study.study_name, storage=storage, directions=study.directions)
    name_metric(copied)
    for name, value in study.user_attrs.items():
        copied.set_user_attr(name, value)
    told = study.get_trials(deepcopy=False)
    copied.add_trials(_with_what_counts(trial) for trial in told if not {REPEAT_OF, REFUSED} & trial.user_attrs.keys())
    return copied


def _with_what_counts(trial: FrozenTrial) -> FrozenTrial:
    params = dict(trial.params)
    if params.get("teacher") == NO_TEACHER:
        params = {name: value for name, value in params.items() if name in WITHOUT_TEACHER}
    copied = create_trial(
        state=trial.state,
        values=trial.values,
        params=params,
        distributions={name: trial.distributions[name] for name in params},
        user_attrs=dict(trial.user_attrs),
    )
    copied.datetime_start, copied.datetime_complete = trial.datetime_start, trial.datetime_complete
    return copied
