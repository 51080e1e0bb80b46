"""The planner: what it believes, what it proposes, and that it goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import Work
from tuition.planner.planning.grid import Grid
from tuition.planner.planning.planner import Costs, Ideas, Planner, Proposal, View
from tuition.planner.planning.posterior import Posterior, Scores
from tuition.planner.planning.structure import Structure
from tuition.planner.scores.observations import Observation
from tuition.planner.space import SearchSpace

SPACE = SearchSpace(teachers=("big", "peer"), num_label_blocks=4, max_warmup=2, max_opd=2)
COSTS = Costs(
    {
        Work("student_rl", "student"): 2.0,
        Work("teacher_rl", "big"): 8.0,
        Work("teacher_rl", "peer"): 4.0,
        **{Work("warmup", "student", teacher): 1.0 for teacher in SPACE.teachers},
        **{Work("opd", "student", teacher): 2.0 for teacher in SPACE.teachers},
    },
    {"student": 0.2, "big": 0.4, "peer": 0.2},
)
UNTRAINED = {"student": (0.4, 0.005), "big": (0.6, 0.005), "peer": (0.5, 0.005)}
GRID = Grid(SPACE)
DEAREST = 4 * 8.0 + 2 * 1.0 + 2 * 2.0 + 0.2


def planner(seed: int = 0, ideas: Ideas | None = None) -> Planner:
    return Planner(SPACE, COSTS, seed, UNTRAINED, ideas)


def truth(number: int) -> np.ndarray:
    """Scores of all nodes, drawn from the planner's own forms."""
    structure = Structure(GRID, {GRID.base_model(name): 100 * value for name, (value, _) in UNTRAINED.items()})
    z = 0.8 * np.random.default_rng(number).standard_normal((1, structure.num_unknowns))
    scores: np.ndarray = structure.scores(z, np.arange(len(GRID)))[0] / 100
    return scores


def observe(proposal: Proposal, scores: np.ndarray, trial: int) -> list[Observation]:
    rng = np.random.default_rng(trial)
    found = []
    for one in (*proposal.on_the_way, proposal.allocation):
        value = float(scores[GRID.index(one)] + 0.005 * rng.standard_normal())
        found.append(Observation(one, value, 0.03, 0.005, 0.0, trial))
    return found


def search(
    scores: np.ndarray, money: float, ideas: Ideas | None = None
) -> tuple[View, list[Observation], list[Proposal]]:
    plans, observed, bought = planner(ideas=ideas), list[Observation](), list[Proposal]()
    while True:
        view = plans.view(observed)
        proposal = view.propose(money - sum(one.price for one in bought))
        if proposal is None:
            return view, observed, bought
        bought.append(proposal)
        observed += observe(proposal, scores, len(bought))


Found = tuple[View, list[Observation], list[Proposal]]


@pytest.fixture(scope="module")
def whole() -> Found:
    """A search for the price of the dearest route."""
    return search(truth(1), DEAREST)


@pytest.fixture(scope="module")
def half() -> Found:
    return search(truth(2), DEAREST / 2)


def test_a_search_for_the_price_of_one_run_names_nearly_the_best(whole: Found) -> None:
    scores = truth(1)
    view, _, bought = whole
    assert sum(one.price for one in bought) <= DEAREST + 1e-6
    assert scores[GRID.allowed].max() - scores[GRID.index(view.best().allocation)] < 0.02
    trained = view.best_trained()
    assert trained is not None and trained.allocation in checkpoints(bought)


def checkpoints(bought: Sequence[Proposal]) -> set[Checkpoint]:
    return {checkpoint for one in bought for checkpoint in one.allocation.checkpoints()}


def test_scores_narrow_what_is_believed(whole: Found) -> None:
    scores, after, before = truth(1), whole[0], planner().view([])
    for one in SPACE.allocations()[::9]:
        assert after.predict(one).sd < before.predict(one).sd
    inside = [
        abs(after.predict(one).mean - scores[GRID.index(one)]) < 2.6 * after.predict(one).sd
        for one in SPACE.allocations()[::5]
    ]
    assert np.mean(inside) > 0.8


def test_a_proposal_is_a_function_of_seed_and_scores(half: Found) -> None:
    observed = half[1]
    once, again = planner().view(observed).propose(20.0), planner().view(observed).propose(20.0)
    assert once == again and once is not None
    used = planner()
    used.view(observed[:3]).propose(20.0)
    assert used.view(observed).propose(20.0) == once  # what it was asked before does not matter


def test_nothing_is_proposed_that_does_not_fit_or_that_is_known(half: Found) -> None:
    view, observed, _ = half
    known = {one.checkpoint for one in observed}
    for money in (2.3, 5.0, 12.0):
        proposal = view.propose(money)
        assert proposal is None or (proposal.price <= money and proposal.allocation not in known)
    assert view.propose(0.1) is None


def test_on_the_way_it_scores_what_costs_little_for_its_block() -> None:
    proposal = planner().view([]).propose(DEAREST)
    assert proposal is not None
    passed = proposal.allocation.checkpoints()[:-1]
    assert list(proposal.on_the_way) == passed  # all scores here are cheap
    dear = replace(COSTS, scores={"student": 0.3, "big": 3.0, "peer": 0.2})  # a warmup costs 1, big's block 8
    view = Planner(SPACE, dear, 0, UNTRAINED).view([])
    asked = view.on_the_way(Allocation.parse("teacher=big teacher_rl=2 warmup=2 opd=1 student_rl=2"))
    assert [str(one) for one in asked] == [
        "teacher=big teacher_rl=2 warmup=2 opd=1",
        "teacher=big teacher_rl=2 warmup=2 opd=1 student_rl=1",
    ]


def test_workers_do_not_follow_one_idea(half: Found) -> None:
    observed = half[1]
    first = planner().view(observed).propose()
    assert first is not None
    second = planner().view(observed, [first.allocation]).propose()
    assert second is not None and second.allocation != first.allocation
    assert not set(second.on_the_way) & {*first.on_the_way, first.allocation}
    # What the first trains need not be paid again.
    alone = planner().view(observed).purchase(GRID.index(second.allocation)).price
    assert second.price <= alone + 1e-9


def test_the_last_money_trains_the_answer() -> None:
    """Where another look would leave too little to train what is best, the best that can be trained is bought."""
    view = planner().view([])
    best = view.best().allocation
    price = view.purchase(GRID.index(best)).price
    bought = view.propose(price + 0.1)
    assert bought is not None
    assert view.predict(bought.allocation).mean > view.best().mean - view.best().sd


@pytest.mark.parametrize(
    "idea",
    ["structure", "counter_forms", "residual", "flat_members", "scores_on_the_way", "teachers_scores", "reserve"],
)
def test_every_idea_can_be_left_out(idea: str, half: Found) -> None:
    observed = half[1]
    view = planner(ideas=Ideas(**{idea: False})).view(observed)
    assert 0 < view.best().sd < 0.5 and view.propose(DEAREST) is not None


def test_a_space_without_teachers_and_one_without_scores() -> None:
    space = SearchSpace(teachers=(), num_label_blocks=5, max_warmup=0, max_opd=0, max_replay=2)
    costs = Costs({Work("student_rl", "student"): 1.0}, {"student": 0.1})
    proposal = Planner(space, costs, 0).view([]).propose(10.0)
    assert proposal is not None and space.holds(proposal.allocation)


def test_every_dimension_of_a_space_is_believed_something_of() -> None:
    space = SearchSpace(
        teachers=("big",), num_label_blocks=2, max_warmup=1, max_opd=1, max_replay=1, prepare=("rl", "sft"),
        transfer=("bridge", "sft"),
    )  # fmt: skip
    blocks = {Work(stage, "student", "big"): 1.0 for stage in ("warmup", "opd", "transfer_sft")}
    blocks |= {Work("teacher_rl", "big"): 1.0, Work("teacher_sft", "big"): 1.0, Work("student_rl", "student"): 1.0}
    view = Planner(space, Costs(blocks, {"student": 0.1, "big": 0.1}), 0).view([])
    assert all(np.isfinite(view.predict(one).mean) for one in space.allocations())
    assert view.propose() is not None


def test_without_scores_the_members_are_the_prior() -> None:
    """The chain must not draw them together: their unknowns are standard normal."""
    squares = []
    for seed in range(6):
        posterior = Posterior(Structure(GRID, {}), seed)
        posterior.fit(Scores(np.zeros(0, np.int64), np.zeros(0), np.zeros(0)))
        squares.append((posterior.z**2).mean())
    assert np.mean(squares) == pytest.approx(1.0, abs=0.025)
