"""Worlds of the planner's prior: the same whenever they are asked for, spread as the prior is, charged as stated."""

import numpy as np
import pytest

from tuition.benchmarks.planning.contestant import Game
from tuition.benchmarks.planning.prior_worlds import Prior, PriorWorld, Validation
from tuition.benchmarks.planning.problems import ProblemError
from tuition.benchmarks.planning.rivals import search_of_ours
from tuition.planner.allocation import Allocation, TeacherCheckpoint
from tuition.planner.cost import Work
from tuition.planner.planning.planner import Costs
from tuition.planner.planning.residual import BLOCK_EFFECTS, CARRIED
from tuition.planner.space import SearchSpace

SPACE = SearchSpace(teachers=("big",), num_label_blocks=3, max_warmup=1, max_opd=1, prompts="labels")
COSTS = Costs(
    {
        Work("teacher_rl", "big"): 8.0,
        Work("warmup", "student", "big"): 2.0,
        Work("opd", "student", "big"): 3.0,
        Work("student_rl", "student"): 4.0,
    },
    {"student": 0.5, "big": 1.0},
)
DEAREST = 3 * 8 + 2 + 3 + 0.5
KNOWN = {"student": 0.3, "big": 0.6}
UPSTREAM = Allocation(teacher="big", teacher_rl=3, warmup=1, opd=1, prompts="labels")


def prior(untrained: dict[str, float] | None = None, validation: Validation | None = None, seed: int = 0) -> Prior:
    return Prior(SPACE, COSTS, DEAREST, validation or Validation(100, 4), untrained, seed)


@pytest.fixture(scope="module")
def known() -> Prior:
    return prior(KNOWN)


@pytest.fixture(scope="module")
def worlds(known: Prior) -> list[PriorWorld]:
    return [known.world(number) for number in range(12)]


def half_way(known: Prior, number: int) -> PriorWorld:
    """A world where every checkpoint scores 50 %, with a headroom of 70 points."""
    return PriorWorld(known, number, np.full(len(known.grid), 0.5), 70.0, np.random.default_rng(number))


def test_a_world_is_the_same_whenever_it_is_asked_for(known: Prior, worlds: list[PriorWorld]) -> None:
    again, node = prior(KNOWN).world(7), known.grid.index(UPSTREAM)
    assert np.array_equal(again.truths, worlds[7].truths)
    assert again.score(node) == worlds[7].score(node) != worlds[8].score(node)
    assert not np.array_equal(prior(KNOWN, seed=1).world(7).truths, worlds[7].truths)


def test_base_models_are_where_they_were_stated_and_all_else_is_open(known: Prior, worlds: list[PriorWorld]) -> None:
    truths = np.stack([world.truths for world in worlds])
    assert truths.min() >= 0 and truths.max() <= 1
    for name, score in KNOWN.items():
        assert np.abs(truths[:, known.grid.base_model(name)] - score).max() < 0.01
    # The prior holds worlds where the labels are wasted on the teacher, and worlds where they are not.
    ahead = [world.value(UPSTREAM) - world.value(Allocation(student_rl=3)) for world in worlds]
    assert min(ahead) < 0 and max(ahead) > 0.05
    assert all(world.best >= world.value(UPSTREAM) for world in worlds)


def test_of_unknown_base_models_each_world_draws_its_own() -> None:
    half_known = prior({"big": 0.9})
    worlds = [half_known.world(number) for number in range(4)]
    students, teachers = (
        [world.truths[half_known.grid.base_model(name)] for world in worlds] for name in ("student", "big")
    )
    assert np.std(students) > 0.02 and min(students) > 0
    assert teachers == pytest.approx([0.9] * 4, abs=0.01)


def test_a_score_is_its_truth_with_luck_and_the_noise_of_the_validation_set(known: Prior) -> None:
    node, student = known.grid.index(UPSTREAM), known.grid.base_model("student")
    # Without noise what is left is luck, which has one of the planner's three sizes, in headrooms.
    exact = prior(KNOWN, Validation(10**9, 4))
    luck = np.array([half_way(exact, number).score(node).mean - 0.5 for number in range(1000)])
    assert luck.std() == pytest.approx(0.7 * np.sqrt(np.mean(np.square(BLOCK_EFFECTS))), rel=0.1)
    scores = [half_way(known, number).score(student) for number in range(1000)]
    off = [(score.mean - 0.5) / score.se_samples for score in scores]
    assert np.std(off) == pytest.approx(1.0, rel=0.1) and abs(np.mean(off)) < 0.1
    assert {score.se_samples for score in scores} == {np.sqrt(0.25 / 400)}


def test_luck_is_shared_by_what_shares_blocks(known: Prior) -> None:
    longer = UPSTREAM.model_copy(update={"teacher_rl": 2, "student_rl": 1})
    shorter, apart = longer.model_copy(update={"student_rl": 0}), Allocation(student_rl=3)
    nodes = [known.grid.index(one) for one in (longer, shorter, apart)]
    lucks = np.array([[world.luck_of(node) for node in nodes] for world in (half_way(known, n) for n in range(1000))])
    shared = np.corrcoef(lucks.T)
    assert shared[0, 1] == pytest.approx(CARRIED, abs=0.05) and abs(shared[0, 2]) < 0.1
    assert np.std(lucks, axis=0) == pytest.approx(np.ones(3), abs=0.1)


def test_routes_are_charged_as_stated(worlds: list[PriorWorld]) -> None:
    replay = worlds[0].replay()
    teacher = TeacherCheckpoint(teacher="big", stage="teacher_rl", blocks=1)
    assert replay.run(UPSTREAM, [teacher]).gpu_seconds == pytest.approx(DEAREST + 1.0)
    assert replay.run(UPSTREAM.model_copy(update={"teacher_rl": 1})).gpu_seconds == pytest.approx(2 + 3 + 0.5)
    assert replay.score_untrained("big")[1] == 1.0
    # A bridge alone is no proposal, and yet it is passed and can be scored.
    assert Allocation(teacher="big", warmup=1, opd=1, prompts="labels") in replay.allocations
    assert len(replay.teachers) == 3 and replay.has_base_models


def test_our_planner_searches_a_world_within_its_budget(worlds: list[PriorWorld]) -> None:
    ended = search_of_ours(Game(worlds[0].replay(), {}, DEAREST, seed=0))
    assert 0 < ended.step.spent <= DEAREST and ended.step.trials >= 1
    assert ended.step.named is not None and SPACE.holds(ended.step.named)
    assert ended.view.num_scores == len(ended.observed) >= 4
    game = Game(worlds[0].replay(), {"direct": Allocation(student_rl=3)}, DEAREST, seed=0)
    named = search_of_ours(game, first=("direct",))
    assert Allocation(student_rl=3) in [one.checkpoint for one in named.observed]


@pytest.mark.parametrize(
    ("untrained", "message"),
    [
        ({"small": 0.5}, "no base model 'small': choose from student, big"),
        ({"big": 55.0}, "big at 5500%: give a score"),
    ],
)
def test_base_models_that_cannot_be_are_refused(untrained: dict[str, float], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        prior(untrained)


def test_a_space_that_is_too_large_to_draw_is_refused() -> None:
    space = SearchSpace(teachers=("a", "b"), num_label_blocks=16, max_warmup=4, max_opd=4)
    with pytest.raises(ProblemError, match=r"7,\d{3} checkpoints, and at most 5,000 can be drawn together"):
        Prior(space, COSTS, DEAREST, Validation(100, 4))
