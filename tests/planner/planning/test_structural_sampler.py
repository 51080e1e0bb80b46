"""The planner as a study's sampler: Optuna's frame, and a search that goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pytest

from tests.planner.planning.test_grid import RECIPE
from tests.planner.planning.test_planner import COSTS, GRID, SPACE, truth
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.planning.sampler import StructuralSampler
from tuition.planner.route import Route, compile_route
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay
from tuition.planner.scores.protocols import MIN_GAIN
from tuition.planner.study import SearchOptions, StudyLimits, search

SCORES = truth(2)


def sampler(seed: int = 0) -> StructuralSampler:
    return StructuralSampler(SPACE, lambda study: COSTS, seed)


def compiled(allocation: Allocation) -> Route:
    return compile_route(allocation, RECIPE, 0)


def score(checkpoint: Checkpoint) -> float:
    return float(SCORES[GRID.index(checkpoint)])


def evaluate(number: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
    passed = {one: ScoreOnTheWay(score(one), 0.03, 0.005, 0.2, f"weights of {one}") for one in on_the_way}
    attributes = {"gpu_seconds": 5.0, "se_problems": 0.03, "se_samples": 0.005}
    return Outcome(score(allocation), attributes, passed)


def untrained(model: str) -> ScoreOnTheWay:
    return ScoreOnTheWay(float(SCORES[GRID.base_model(model)]), 0.03, 0.005, 0.2, None)


def run(study: optuna.Study, limits: StudyLimits) -> str | None:
    return search(study, SPACE, compiled, evaluate, limits, SearchOptions(score_untrained=untrained))


def proposals(study: optuna.Study) -> list[str]:
    return [trial.user_attrs["allocation"] for trial in study.trials if "on_the_way_of" not in trial.user_attrs]


def test_an_interrupted_search_proposes_what_an_undisturbed_one_does() -> None:
    whole = optuna.create_study(direction="maximize", sampler=sampler())
    run(whole, StudyLimits(trials=3))
    cut = optuna.create_study(direction="maximize", sampler=sampler())
    run(cut, StudyLimits(trials=2))
    cut.sampler = sampler()
    run(cut, StudyLimits(trials=3))
    assert proposals(cut) == proposals(whole)


def test_it_asks_for_scores_on_the_way_and_of_base_models() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler())
    run(study, StudyLimits(trials=1))
    assert study.trials[0].user_attrs["score_on_the_way"]
    assert set(study.user_attrs["untrained"]) == {"student", *SPACE.teachers}


def test_it_stops_when_no_route_promises_what_was_asked_for() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler())
    study.set_user_attr(MIN_GAIN, 1e9)
    reason = run(study, StudyLimits(trials=5))
    assert reason is not None and "--min-gain" in reason
    assert not study.trials


def test_it_stops_when_nothing_new_fits_the_money() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler())
    limits = StudyLimits(gpu_seconds=6.0, price=lambda route, asked: 2.0 * len(route.blocks) + 0.2 * (len(asked) + 1))
    reason = run(study, limits)
    assert reason is not None and "left" in reason


def test_what_was_refused_is_not_proposed_again() -> None:
    """Exact prices may lie above the planner's: it goes on with what costs less."""
    study = optuna.create_study(direction="maximize", sampler=sampler())
    limits = StudyLimits(gpu_seconds=20.0, price=lambda route, asked: 9.0 * len(route.blocks), trials=1)
    run(study, limits)
    refused = [trial.user_attrs["allocation"] for trial in study.trials if "refused" in trial.user_attrs]
    assert refused and len(set(refused)) == len(refused)
    bought = next(trial for trial in study.trials if trial.value is not None)
    assert bought.user_attrs["allocation"] not in refused


def test_queued_routes_are_scored_on_the_way_as_well() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler())
    queued = Allocation.parse("teacher=peer teacher_rl=1 warmup=1 opd=1 student_rl=1")
    study.enqueue_trial(SPACE.params_of(queued))
    run(study, StudyLimits(trials=1))
    assert proposals(study) == [str(queued)]
    assert len(study.trials[0].user_attrs["on_the_way"]) == 3


@pytest.mark.parametrize("parameter", ["teacher", "label_blocks"])
def test_where_it_has_no_proposal_a_parameter_is_drawn_at_random(parameter: str) -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler())
    trial = study.ask()
    distribution = SPACE.distributions()[parameter]
    frozen = study.trials[trial.number]
    drawn = [sampler(seed).sample_independent(study, frozen, parameter, distribution) for seed in (0, 0, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1
