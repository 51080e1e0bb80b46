"""The planner as a sampler of an Optuna study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import SECONDS_PER_HOUR
from tuition.planner.planning.planner import POINTS, UNKNOWN_NOISE, Costs, Ideas, Planner, Proposal, View
from tuition.planner.planning.warm_start import WARM_START, WarmStart
from tuition.planner.route import derive_seed
from tuition.planner.scores.budget import gpu_seconds_left
from tuition.planner.scores.observations import in_flight, observations, untrained
from tuition.planner.scores.protocols import MIN_GAIN
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STUDENT
from tuition.planner.trials import ALLOCATION, REFUSED

STRUCTURAL = "structural"
Rule = Callable[[View, float | None], Proposal | None]
AFTER_REFUSAL = 0.95
"""After a proposal did not fit the money left, by exact prices, the next one costs at most this share of it."""


def base_scores(study: optuna.Study) -> dict[str, tuple[float, float]]:
    """Scores of base models and their standard errors (fractions), by name, as far as a study has them."""
    return {
        model: (score.value, UNKNOWN_NOISE / POINTS if score.se_samples is None else score.se_samples)
        for model, score in untrained(study).items()
    }


def warm_start_of(study: optuna.Study) -> WarmStart | None:
    """Another scenario's scores that a study was begun with."""
    kept = study.user_attrs.get(WARM_START)
    return None if kept is None else WarmStart(**kept)


class StructuralSampler(BaseSampler):
    """Proposes the route whose scores are worth most for what is missing of it, and says what to score on the way.

    It sees a study's scores, those of its warm start, what its other workers are at, the money that is left, and
    nothing else of a scenario but the space and its costs. A proposal is a function of these and the seed, so an
    interrupted search goes on as one that was not.

    Args:
        space: of the study.
        costs: of a study; the same whenever it is asked, or an interrupted search goes on differently.
        seed: of the study.
        ideas: what the planner uses; all by default.
        rule: what to buy, given what it thinks and the money that is left; for experiments with other rules.
    """

    def __init__(
        self,
        space: SearchSpace,
        costs: Callable[[optuna.Study], Costs],
        seed: int,
        ideas: Ideas | None = None,
        rule: Rule = View.propose,
    ) -> None:
        self._space, self._costs, self._seed, self._ideas, self._rule = space, costs, seed, ideas, rule
        self._seen: tuple[object, ...] = ()
        self._planned_with: tuple[object, ...] = ()
        self._planner: Planner | None = None
        self._view: View | None = None
        self._proposed: dict[float | None, Proposal | None] = {}

    def view(self, study: optuna.Study) -> View:
        """What the planner thinks of the study now."""
        observed, running, costs = observations(study), in_flight(study), self._costs(study)
        seen = (study, observed, running, costs)
        if self._view is None or seen != self._seen:
            known = base_scores(study)
            if self._planner is None or (costs, known) != self._planned_with:
                # Numbering the space takes longer than a look at it: once, as long as nothing of this changes.
                self._planner = Planner(self._space, costs, self._seed, known, self._ideas, warm=warm_start_of(study))
                self._planned_with = (costs, known)
            self._seen, self._view, self._proposed = seen, self._planner.view(observed, running), {}
        return self._view

    def _proposal(self, study: optuna.Study) -> Proposal | None:
        view, money = self.view(study), self._money(study)
        if money not in self._proposed:
            self._proposed[money] = self._rule(view, money)
        return self._proposed[money]

    def _money(self, study: optuna.Study) -> float | None:
        """What a proposal may cost by the planner's own costs, of which those that were refused cost too much."""
        left = gpu_seconds_left(study)
        refused: list[float] = []
        for trial in study.get_trials(deepcopy=False):
            if trial.state is TrialState.COMPLETE:
                refused.clear()
            elif REFUSED in trial.user_attrs:
                refused.append(self.view(study).price(Allocation.parse(trial.user_attrs[ALLOCATION])))
        return left if left is None or not refused else min(left, AFTER_REFUSAL * min(refused))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters of the space."""
        return self._space.distributions()

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The proposal's parameters; none where nothing new fits the money."""
        proposal = self._proposal(study)
        return {} if proposal is None else self._space.params_of(proposal.allocation)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """At random: only where there is no proposal."""
        fallback = RandomSampler(seed=derive_seed(self._seed, "planner", trial.number, param_name))
        return fallback.sample_independent(study, trial, param_name, param_distribution)

    def on_the_way(self, study: optuna.Study, trial: FrozenTrial, allocation: Allocation) -> Sequence[Checkpoint]:
        """What is to be scored on the way to an allocation, its own proposal or one that was queued."""
        return self.view(study).on_the_way(allocation)

    def base_models(self, study: optuna.Study) -> Sequence[str]:
        """All base models: their scores cost little, and much depends on them."""
        return (STUDENT, *self._space.teachers)

    def should_stop(self, study: optuna.Study) -> str | None:
        """Where nothing that is left to learn is worth its price, or nothing new fits the money."""
        left = self._money(study)
        proposal = self._proposal(study)
        if proposal is None:
            return f"nothing new fits the {left:.1f} GPU-s that are left" if left is not None else "nothing new is left"
        least = study.user_attrs.get(MIN_GAIN)
        if least is None:
            return None
        rate = self.view(study).best_rate(left) * SECONDS_PER_HOUR
        if rate >= least:
            return None
        return f"no route promises more than {rate:.3g} points per GPU-hour; {least:g} were asked for (--min-gain)"
