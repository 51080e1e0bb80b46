"""Which sampler a search has; and what our own planner is told of costs, queues first, and answers."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from tuition.app.advice.decision import decide
from tuition.app.advice.opened_study import planned
from tuition.app.advice.verdict import Decision
from tuition.app.costs.route_prices import RoutePrices
from tuition.app.studies.evaluation import Entry
from tuition.app.studies.study_report import PlannedSplit, PlannerAnswer
from tuition.benchmarks.baselines import DIRECT, EVALUATED_FIRST
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.allocation import Allocation
from tuition.planner.cost import Work
from tuition.planner.planning.planner import Costs, Prediction
from tuition.planner.planning.sampler import STRUCTURAL, StructuralSampler
from tuition.planner.sampler import SAMPLERS, SeededSampler
from tuition.planner.scores.observations import observations
from tuition.planner.storage import StudyError
from tuition.planner.study import finalists
from tuition.planner.study_identity import SEED
from tuition.planner.trials import ALLOCATION
from tuition.runners.scenarios.scenario import Scenario

SAMPLER_NAMES = (STRUCTURAL, *SAMPLERS)
DEFAULT_SAMPLER = STRUCTURAL
FIRST: dict[str, tuple[str, ...]] = {"named": EVALUATED_FIRST, DIRECT: (DIRECT,), "none": ()}
"""What may be trained before anything is proposed: names of baselines."""
EARLIER_SAMPLER = "tpe"
"""Of studies that do not say which they have: the default of then."""
SAMPLER = "sampler"  # attribute of a study, and so is the next
PLANNER_COSTS = "planner_costs"  # attribute of a study


def check_sampler(name: str | None, first: str | None) -> None:
    """StudyError for a sampler that is not known, or for another way to begin."""
    if name is not None and name not in SAMPLER_NAMES:
        raise StudyError(f"--sampler {name!r}: choose from {', '.join(SAMPLER_NAMES)}")
    if first is not None and first not in FIRST:
        raise StudyError(f"--first {first!r}: choose from {', '.join(FIRST)}")


def queued_first(name: str, first: str | None) -> tuple[str, ...]:
    """The baselines that a sampler's search trains before anything is proposed: by default none with our planner."""
    return FIRST[first or ("none" if needs_prices(name) else "named")]


def settle_sampler(study: optuna.Study, name: str | None) -> str:
    """The sampler of a study: the one that is asked for, or that it had before, or the default of a new one."""
    if name is None:
        before = EARLIER_SAMPLER if study.get_trials(deepcopy=False) else DEFAULT_SAMPLER
        name = str(study.user_attrs.get(SAMPLER, before))
    study.set_user_attr(SAMPLER, name)
    return name


def needs_prices(name: str) -> bool:
    """Whether it proposes by what blocks and scores cost."""
    return name == STRUCTURAL


def make_sampler(name: str, scenario: Scenario, seed: int, prices: RoutePrices | None) -> BaseSampler:
    """A study's sampler; prices where it needs them."""
    if prices is None or not needs_prices(name):
        return SeededSampler(name, seed)
    return StructuralSampler(scenario.space, lambda study: _costs(study, scenario, prices), seed)


def _costs(study: optuna.Study, scenario: Scenario, prices: RoutePrices) -> Costs:
    """The costs that the study was planned with from its start, since proposals must not depend on when it was cut."""
    kept: dict[str, Any] | None = study.user_attrs.get(PLANNER_COSTS)
    if kept is None:
        known = prices.costs()
        kept = {"blocks": [[*work, seconds] for work, seconds in known.blocks.items()], "scores": dict(known.scores)}
        study.set_user_attr(PLANNER_COSTS, kept)
    blocks = {Work(stage, model, teacher): seconds for stage, model, teacher, seconds in kept["blocks"]}
    return Costs(blocks, kept["scores"], frozenset(scenario.stages_keeping_states))


def answer_of(study: optuna.Study) -> PlannerAnswer | None:
    """What our own planner would hand over now; None for other samplers, and before anything was observed."""
    if not isinstance(study.sampler, StructuralSampler):
        return None
    view = study.sampler.view(study)
    trained = view.best_trained()
    return None if trained is None else PlannerAnswer(named=_split(view.best()), trained=_split(trained))


def decision_of(study: optuna.Study, scenario: Scenario, results: ResultsFolder) -> Decision:
    """What the study allows to decide now, whoever proposed its trials."""
    costs = RoutePrices(scenario, results).costs()
    view = planned(study, scenario.space, costs, int(study.user_attrs[SEED]))
    return decide(view, observations(study))


def _split(prediction: Prediction) -> PlannedSplit:
    return PlannedSplit(allocation=str(prediction.allocation), mean=prediction.mean, sd=prediction.sd)


def finalist_entries(study: optuna.Study) -> list[Entry]:
    """What a search sends to its test: two allocations.

    Those of the best validation scores; where our own planner searched, the split that it names and the best of those
    that it trained, by its posterior, or the best score beside it where both are one.
    """
    best = [_entry(trial) for trial in finalists(study)]
    answer = answer_of(study)
    if answer is None:
        return best
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    by_allocation = {trial.user_attrs.get(ALLOCATION): trial for trial in reversed(complete)}
    chosen = {}
    for split in (answer.trained, answer.named):
        trial = by_allocation.get(split.allocation)
        named = Entry("search, named", Allocation.parse(split.allocation), finalist=True)
        chosen[split.allocation] = named if trial is None else _entry(trial)
    for entry in best:
        if len(chosen) < len(best):
            chosen.setdefault(str(entry.allocation), entry)
    return list(chosen.values())


def _entry(trial: FrozenTrial) -> Entry:
    allocation = Allocation.parse(trial.user_attrs[ALLOCATION])
    return Entry(f"search #{trial.number}", allocation, finalist=True, selected_validation=trial.value)
