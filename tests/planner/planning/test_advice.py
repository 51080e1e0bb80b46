"""Advice from draws: the numbers of made-up draws, draws of a real posterior, and plans."""

from __future__ import annotations

import numpy as np
import pytest

from tests.planner.planning.test_planner import COSTS, GRID, SPACE, UNTRAINED, planner, truth
from tuition.planner.allocation import Allocation
from tuition.planner.planning.advice import Rivals, Spread, alike, plan, probability_best, standing
from tuition.planner.planning.grid import Grid
from tuition.planner.planning.planner import Planner, View
from tuition.planner.scores.observations import Observation
from tuition.planner.space import SearchSpace

TRAINED = (
    "student_rl=1", "student_rl=2", "student_rl=4", "teacher=peer teacher_rl=2 warmup=1 opd=1",
    "teacher=peer teacher_rl=2 warmup=1 opd=1 student_rl=2", "teacher=big teacher_rl=4 warmup=2 opd=2",
)  # fmt: skip


def observed(outside: frozenset[int] = frozenset()) -> list[Observation]:
    scores = truth(1)
    return [
        Observation(allocation, float(scores[GRID.index(allocation)]), 0.03, 0.005, 0.0, number, number in outside)
        for number, allocation in enumerate(map(Allocation.parse, TRAINED))
    ]


@pytest.fixture(scope="module")
def view() -> View:
    return planner().view(observed())


def test_a_split_that_leads_everywhere_is_the_best() -> None:
    draws = np.array([[3.0, 1.0, 2.0], [5.0, 4.9, 0.0], [2.0, 1.9, 1.0], [9.0, 8.0, 8.5]])
    assert probability_best(draws).tolist() == [1, 0, 0]
    stands = standing(draws, 0, margin=1.0)
    assert (stands.best, stands.good_enough, stands.regret, stands.rival, stands.ahead) == (1, 1, 0, None, None)


def test_regret_margin_and_rival_are_those_of_the_draws() -> None:
    draws = np.array([[3.0, 5.0, 0.0], [3.0, 3.5, 0.0], [3.0, 1.0, 7.0], [3.0, 1.0, 9.0]])
    stands = standing(draws, 0, margin=1.0)
    assert (stands.best, stands.good_enough) == (0, 0.25)
    assert stands.regret == pytest.approx((2 + 0.5 + 4 + 6) / 4)
    assert stands.rival == 2 and stands.ahead is not None and stands.ahead.mean == pytest.approx(-1.0)
    assert probability_best(draws).tolist() == [0, 0.5, 0.5]


def test_alike_is_what_may_be_as_good_and_costs_little() -> None:
    rng = np.random.default_rng(0)
    named = rng.normal(80, 3, 4000)
    near, worse, vague = named + rng.normal(-0.5, 1, 4000), named + rng.normal(-3, 1, 4000), rng.normal(70, 30, 4000)
    assert alike(np.stack([named, near, worse, vague], 1), 0, margin=1.0).tolist() == [False, True, False, False]
    assert Spread.of(named).low == pytest.approx(80 - 1.645 * 3, abs=0.3)


def test_draws_have_the_means_and_covariances_of_the_posterior(view: View) -> None:
    nodes = np.flatnonzero(GRID.allowed)[::4]
    draws, at = view.posterior.draws(nodes, 16), view.posterior.at(nodes)
    sd = np.sqrt(view.posterior.variances(at))
    assert np.abs((draws.mean(0) - at.means.mean(0)) / sd).max() < 0.1
    assert np.allclose(draws.std(0), sd, rtol=0.12)
    own = view.posterior.covariance(at, at) / np.outer(sd, sd)
    assert np.abs(np.corrcoef(draws.T) - own).max() < 0.15
    assert np.array_equal(draws, view.posterior.draws(nodes, 16))


def test_what_is_trained_and_what_is_named_are_among_the_rivals(view: View) -> None:
    rivals = Rivals.of(view)
    assert rivals.nodes[rivals.named] == view.choice.best
    trained = view.best_trained()
    assert trained is not None and GRID.index(trained.allocation) in rivals.nodes
    assert probability_best(rivals.draws).sum() == pytest.approx(1)


def test_a_plan_is_a_sequence_that_fits_and_gains(view: View) -> None:
    steps = plan(view, money=40.0, most=4)
    assert 1 < len(steps) <= 4 and sum(step.route.price for step in steps) <= 40.0
    assert all(step.gain > 0 for step in steps)
    first = view.propose()
    assert first is not None and GRID.index(first.allocation) == steps[0].route.node
    bought = [node for step in steps for node in step.route.new]
    assert len(set(bought)) == len(bought)
    assert plan(view, money=0.1, most=4) == []


def test_what_was_trained_elsewhere_has_a_score_and_must_be_paid_here() -> None:
    told = planner().view(observed(outside=frozenset({2})))
    direct = Allocation(student_rl=4)
    assert told.predict(direct).mean == pytest.approx(planner().view(observed()).predict(direct).mean)
    assert told.state[GRID.index(direct)] == 0 and GRID.index(direct) not in told.trained
    assert told.price(direct) > planner().view(observed()).price(direct)


def test_a_wider_space_with_the_same_budget_believes_the_same_of_what_both_hold() -> None:
    wide = SearchSpace(**{**SPACE.model_dump(), "num_label_blocks": 8})
    more = Planner(wide, COSTS, 0, UNTRAINED, budget=SPACE.num_label_blocks).view(observed())
    same = planner().view(observed())
    for text in (*TRAINED, "student_rl=3"):
        assert more.predict(Allocation.parse(text)) == same.predict(Allocation.parse(text))
    assert more.predict(Allocation(student_rl=8)).sd > more.predict(Allocation(student_rl=4)).sd
    assert Grid(wide).budget == 8
