"""Simulated problems: charged as a recorded table is, noise that does not depend on who asks first, a known truth."""

import numpy as np
import optuna
import pytest

from tests.benchmarks.made_table import all_checkpoints
from tuition.benchmarks.planning.families import FAMILIES
from tuition.benchmarks.planning.problems import (
    FIRST_JUDGING,
    LEAST_SPREAD,
    Problem,
    ProblemError,
    simulated_problem,
    simulated_replay,
)
from tuition.benchmarks.tables.recorded_table import RecordedError
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.cost import work_of
from tuition.planner.sampler import SeededSampler
from tuition.planner.study import StudyLimits, search

BRIDGED = "teacher=t0 teacher_rl=2 warmup=1 opd=1"


@pytest.fixture(scope="module")
def matched() -> Problem:
    return simulated_problem("matched", 0)


def test_a_route_is_charged_what_its_missing_blocks_cost(matched: Problem) -> None:
    replay = matched.replay()
    first, whole = Allocation.parse(BRIDGED), Allocation.parse(f"{BRIDGED} student_rl=2")
    teacher = TeacherCheckpoint(teacher="t0", stage="teacher_rl", blocks=1)
    assert replay.run(first, [teacher]).gpu_seconds == pytest.approx(2 * 8 + 2 + 3 + 2 * 0.4)
    assert replay.run(whole).gpu_seconds == pytest.approx(2 * 2 + 0.4)
    assert replay.run(Allocation.parse("teacher=t0 teacher_rl=3 opd=1")).gpu_seconds == pytest.approx(8 + 3 + 0.4)
    assert replay.run(Allocation.parse("teacher=t1 teacher_rl=1 opd=1")).gpu_seconds == pytest.approx(14 + 3 + 0.4)
    assert replay.run(first).gpu_seconds == 0 and replay.score(teacher)[1] == 0
    assert [replay.score_untrained("t0")[1] for _ in range(2)] == [0.4, 0]
    for text, seconds in ((BRIDGED, [8, 8, 2, 3]), ("teacher=t1 teacher_rl=1 opd=1 student_rl=1", [14, 3, 2])):
        route = replay.route(Allocation.parse(text))
        assert [replay.block_seconds[work_of(block)] for block in route.blocks] == seconds
    assert replay.score_seconds == {"student": 0.4, "t0": 0.4, "t1": 0.4}
    dearest = Allocation.parse("teacher=t1 teacher_rl=8 warmup=4 opd=4")
    assert replay.emptied().run(dearest).gpu_seconds == pytest.approx(replay.dearest) == 8 * 14 + 4 * 2 + 4 * 3 + 0.4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [0, FIRST_JUDGING])
def test_the_best_stands_out_of_the_median(family: str, number: int) -> None:
    problem = simulated_problem(family, number)
    assert problem.best - np.median(problem.truths) >= LEAST_SPREAD / 100
    assert problem.truths.min() > 0 and problem.best < 1
    assert len(problem.truths) <= 100_000
    best = max(problem.world.space.random_allocations(50, seed=0), key=problem.truth)
    assert 0 <= problem.regret(best) < problem.best


@pytest.mark.parametrize("family", ["matched", "two-peaks", "wide"])
def test_a_replay_holds_the_whole_space_and_whatever_its_routes_pass(family: str) -> None:
    problem = next(p for p in (Problem(family, n) for n in range(20)) if len(p.truths) < 2500)
    replay = problem.replay()
    assert {*replay.allocations, *replay.teachers} == set(all_checkpoints(replay.space))
    assert len(problem.truths) == len(set(replay.space.allocations()))
    assert problem.best == max(problem.truth(one) for one in replay.space.allocations())


def checkpoints() -> list[Checkpoint]:
    allocations = [Allocation.parse(f"{BRIDGED} student_rl={s}") for s in (1, 3)]
    return [*allocations, Allocation.parse("student_rl=4"), *allocations[0].checkpoints()]


@pytest.mark.parametrize("family", ["matched", "smooth"])
def test_the_order_of_asking_does_not_change_a_score(family: str) -> None:
    asked = {}
    for order in (checkpoints(), checkpoints()[::-1]):
        replay = simulated_replay(family, 5)
        for checkpoint in order:
            replay.run(checkpoint)
            score = replay.score(checkpoint)[0]
            assert asked.setdefault(checkpoint, score) == score
    assert len({score.mean for score in asked.values()}) == len(asked)
    other = simulated_replay(family, 6)
    other.run(checkpoints()[0])
    assert other.score(checkpoints()[0])[0] != asked[checkpoints()[0]]


@pytest.mark.parametrize(("family", "sd", "shared"), [("matched", 0.8, 0.0), ("smooth", 1.28, 0.55)])
def test_noise_has_its_size_and_luck_is_shared_by_what_shares_blocks(family: str, sd: float, shared: float) -> None:
    problem = simulated_problem(family, 1)
    replay = problem.replay()

    def off(text: str) -> float:
        allocation = Allocation.parse(text)
        replay.run(allocation)
        return 100 * (replay.score(allocation)[0].mean - problem.truth(allocation))

    roots = [f"teacher=t{k} teacher_rl={t} opd={o}" for k in (0, 1) for t in range(1, 6) for o in range(1, 5)]
    pairs = np.array([[off(f"{root} student_rl={s}") for s in pair] for root in roots for pair in ((1, 2), (2, 3))])
    assert pairs.std() == pytest.approx(sd, rel=0.25)
    assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(shared, abs=0.35)


def test_a_study_runs_on_a_problem(matched: Problem) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    replay = matched.replay()
    study = optuna.create_study(sampler=SeededSampler("random", 0), direction="maximize")
    search(study, replay.space, replay.nearest_route, replay.evaluate, StudyLimits(gpu_seconds=replay.dearest))
    spent = sum(trial.user_attrs.get("gpu_seconds", 0) for trial in study.trials)
    assert replay.dearest <= spent < 2 * replay.dearest


@pytest.mark.parametrize(
    "text", ["base", "teacher=t2 opd=1", "teacher=t0 opd=5", "student_rl=9", "student_rl=1 replay=1"]
)
def test_what_a_problem_does_not_have_is_refused(matched: Problem, text: str) -> None:
    with pytest.raises(ProblemError, match="not in the search space of matched 0"):
        matched.truth(Allocation.parse(text))
    with pytest.raises(RecordedError, match="is not recorded"):
        matched.replay().run(Allocation.parse(text))


def test_an_unknown_family_is_refused_with_the_choices() -> None:
    with pytest.raises(ProblemError, match="unknown family 'easy'; choose from matched, interference"):
        Problem("easy", 0)
