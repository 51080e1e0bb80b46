"""The planners of the race: what a search spends is what the store charges, and answers come from what it has seen."""

from collections.abc import Sequence

import optuna
import pytest

from tuition.benchmarks.planning.contestant import Game, Planner, RaceError, Step
from tuition.benchmarks.planning.grounds import Unit, family_ground
from tuition.benchmarks.planning.rivals import (
    ABLATIONS,
    ON_REQUEST,
    OTHER_RULES,
    PLANNERS,
    WARM_STARTS,
    choose_planners,
)

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def unit() -> Unit:
    return family_ground("matched", 1, tuning=True).unit(0)


def game(unit: Unit, budget: float = 1.0) -> Game:
    return Game(unit.replay.emptied(), unit.named, budget * unit.replay.dearest, seed=3, proxy=unit.proxy)


def heavy(name: str) -> bool:
    return name.startswith("structural")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * heavy(n)) for n in PLANNERS if n not in ON_REQUEST]
)
def test_a_search_pays_for_what_it_has_and_answers_with_what_it_paid_for(unit: Unit, name: str) -> None:
    played = game(unit)
    steps = PLANNERS[name].play(played)
    assert [step.spent for step in steps] == sorted(step.spent for step in steps)
    assert [step.trials for step in steps] == sorted(step.trials for step in steps)
    last = steps[-1]
    assert last.spent <= played.budget + 0.01, "nothing is begun that does not fit"
    assert last.trained is not None and played.replay.space.holds(last.trained)
    if name != "tpe-scratch":  # the others have left it in the store
        base_models = steps[0].spent if steps[0].trials == 0 else 0.0  # their scores take no time of a worker
        assert played.replay.now == pytest.approx(last.spent - base_models, abs=1e-2)
        assert played.replay.marginal_cost(last.trained).gpu_seconds == 0


@pytest.fixture(scope="module")
def ours(unit: Unit) -> Sequence[Step]:
    return PLANNERS["structural"].play(game(unit, 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("planner", (*ABLATIONS, *OTHER_RULES, *WARM_STARTS), ids=lambda planner: planner.name)
def test_without_an_idea_or_by_another_rule_or_with_a_warm_start_the_planner_searches_otherwise(
    unit: Unit, ours: Sequence[Step], planner: Planner
) -> None:
    played = game(unit, 0.3)
    steps = planner.play(played)
    assert steps != ours and 0 < steps[-1].spent <= played.budget + 0.01


@pytest.mark.parametrize("name", ["random", "tpe-named", "halving", "gp-ei"])
def test_the_same_seed_plays_the_same_search(unit: Unit, name: str) -> None:
    assert PLANNERS[name].play(game(unit)) == PLANNERS[name].play(game(unit))


def test_without_reuse_every_trial_is_charged_in_full(unit: Unit) -> None:
    one, two = (PLANNERS[name].play(game(unit, 3)) for name in ("tpe-scratch", "tpe"))
    assert one[-1].trials < two[-1].trials, "reuse buys more trials"
    assert one[:2] == two[:2], "the first trial costs the same"


def test_named_routes_are_evaluated_first(unit: Unit) -> None:
    first = PLANNERS["random-named"].play(game(unit))[1]
    assert first.trials == 1 and first.trained == unit.named["direct"]


def test_direct_grpo_alone_can_be_evaluated_first(unit: Unit) -> None:
    first, *_ = PLANNERS["structural-direct"].play(game(unit, 0.5))[1:]
    assert first.trials == 1 and first.trained == unit.named["direct"]


def test_a_rule_is_named_for_nothing_and_trained_for_its_full_cost(unit: Unit) -> None:
    before, after = PLANNERS["rule"].play(game(unit))
    assert (before.spent, before.trained, before.named) == (0, None, unit.named["teacher-upstream"])
    assert after.spent == pytest.approx(8 * 8 + 2 * 2 + 2 * 3 + 0.4) and after.trained == after.named == before.named


def test_a_gaussian_process_finds_more_than_chance_does(unit: Unit) -> None:
    lost = {}
    for name in ("gp-ei", "random"):
        trained = PLANNERS[name].play(game(unit, 4))[-1].trained
        assert trained is not None
        lost[name] = unit.best - unit.value(trained)
    assert lost["gp-ei"] <= lost["random"] + 0.01 and lost["gp-ei"] < 0.02


def test_planners_are_chosen_by_name() -> None:
    assert [planner.name for planner in choose_planners(["half", "tpe"])] == ["tpe", "half"]
    assert {planner.name for planner in choose_planners([])} == PLANNERS.keys() - set(ON_REQUEST)
    assert len(choose_planners(["all"])) == len(PLANNERS)
    assert [planner.name for planner in choose_planners(["half", "structural-no-*"])] == [
        *(planner.name for planner in ABLATIONS),
        "half",
    ]
    with pytest.raises(RaceError, match="unknown planner 'best'; choose from structural, structural-named"):
        choose_planners(["best"])
