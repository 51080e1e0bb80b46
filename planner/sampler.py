"""The sampler of a study: Optuna's own, reseeded for each trial so that a restart does not redraw."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.route import derive_seed
from tuition.planner.trials import Trials, retry_history

SAMPLERS = ("tpe", "random", "gp", "qmc")


class SamplerError(ValueError):
    """A sampler that is not known; one line with the name and the choices."""


class _NumberedQMCSampler(QMCSampler):
    """Takes the point of the sequence that belongs to a draw.

    Optuna's counts in the study how many points were taken, and a trial that is queued again would take one too.
    """

    def __init__(self, draw: int, seed: int, independent_sampler: BaseSampler) -> None:
        super().__init__(
            scramble=True, seed=seed, independent_sampler=independent_sampler, warn_independent_sampling=False
        )
        self._draw = draw

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._draw


class SeededSampler(BaseSampler):
    """An Optuna sampler that is reseeded for each trial, from (study seed, trial number).

    A restarted process therefore draws what an uninterrupted one would have drawn, and however asks overlap, each trial
    draws from its own generator. One that another trial passed takes a number but no draw, so such trials are
    left out of the count; so are copies of interrupted trials, which earlier versions queued.

    Args:
        name: "tpe" (multivariate, with the constant liar for parallel workers), "random", "gp" (a Gaussian process,
            which needs torch), or "qmc" (a scrambled Sobol sequence).
        seed: the study's seed.

    Raises:
        SamplerError: for an unknown name.
    """

    def __init__(self, name: str, seed: int) -> None:
        if name not in SAMPLERS:
            raise SamplerError(f"unknown sampler {name!r}; allowed: {', '.join(SAMPLERS)}")
        self._name = name
        self._seed = seed
        self._inner: dict[int, BaseSampler] = {}
        """Of the trials that are not told yet, by their numbers."""
        self._drawn_before: dict[int, dict[str, BaseDistribution]] = {}
        """What such trials had when they were taken up again."""
        self._trials: Trials | None = None

    def _build(self, draw: int) -> BaseSampler:
        seed = derive_seed(self._seed, "sampler", draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if self._name == "random":
                return RandomSampler(seed=seed)
            if self._name == "gp":
                return GPSampler(seed=seed, warn_independent_sampling=False)
            if self._name == "qmc":
                return _NumberedQMCSampler(draw, derive_seed(self._seed, "sampler"), RandomSampler(seed=seed))
            return TPESampler(multivariate=True, constant_liar=True, seed=seed)

    def _of(self, study: optuna.Study, trial: FrozenTrial) -> BaseSampler:
        """The sampler that is seeded for this trial."""
        if self._trials is None or self._trials.study is not study:
            self._trials, self._inner = Trials(study), {}
        if trial.number not in self._inner:
            history = retry_history(trial)
            number = history[0] if history else trial.number
            self._inner[trial.number] = self._build(number - self._trials.refresh().num_drawless_before(number))
        return self._inner[trial.number]

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed a sampler for this trial, anew where it was begun before."""
        self._inner.pop(trial.number, None)
        self._drawn_before[trial.number] = dict(trial.distributions)
        self._of(study, trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the inner sampler."""
        return self._of(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the inner sampler."""
        together = self._of(study, trial).sample_relative(study, trial, search_space)
        for name in together:
            self._drawn_before.get(trial.number, {}).pop(name, None)
        return together

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the inner sampler; of a trial that was killed while it drew, what it has is drawn again first."""
        inner, fixed = self._of(study, trial), trial.system_attrs.get("fixed_params", {})
        for name, distribution in self._drawn_before.pop(trial.number, {}).items():
            if name not in fixed and not distribution.single():
                inner.sample_independent(study, trial, name, distribution)
        return inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the inner sampler."""
        self._of(study, trial).after_trial(study, trial, state, values)
        self._inner.pop(trial.number)
        self._drawn_before.pop(trial.number, None)
