"""Scores on the way: what is asked for, what becomes a trial, and that once, whatever is killed or shared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint, parse_checkpoint
from tuition.planner.route import Route
from tuition.planner.sampler import SAMPLERS, SeededSampler
from tuition.planner.scores.observations import in_flight, observations
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay
from tuition.planner.space import SearchSpace
from tuition.planner.study import SearchOptions, StudyLimits, enqueue, finalists, open_study, search
from tuition.planner.trials import Trials

SPACE = SearchSpace(teachers=("large", "small"), num_label_blocks=8, max_warmup=1, max_opd=2)
WHOLE = Allocation(teacher="large", teacher_rl=2, warmup=1, opd=1, student_rl=2)
Compile = Callable[[Allocation], Route]

pytestmark = pytest.mark.usefixtures("quiet_optuna")


def made_up(checkpoint: Checkpoint) -> float:
    if isinstance(checkpoint, TeacherCheckpoint):
        return 0.5 + checkpoint.blocks / 100
    return checkpoint.teacher_rl / 8 + checkpoint.opd / 16 - checkpoint.student_rl / 32


class Evaluator:
    """A made-up objective with scores on the way, which raises what it is told to, call by call."""

    def __init__(self, errors: Sequence[BaseException | None] = ()) -> None:
        self.errors = iter(errors)
        self.asked: list[tuple[str, list[str]]] = []

    def __call__(self, _: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        if (error := next(self.errors, None)) is not None:
            raise error
        self.asked.append((str(allocation), list(map(str, on_the_way))))
        scores = {one: ScoreOnTheWay(made_up(one), 0.02, 0.01, 0.5, f"weights of {one}") for one in on_the_way}
        spent = 2.0 + 0.5 * len(on_the_way)
        return Outcome(made_up(allocation), {"gpu_seconds": spent, "se_problems": 0.02, "se_samples": 0.01}, scores)


def everything(allocation: Allocation) -> list[Checkpoint]:
    return allocation.checkpoints()[:-1]


EVERYTHING = SearchOptions(score_on_the_way=everything)


class Asking(SeededSampler):
    """Random proposals; asks for the latest of the teachers and of the students on the way."""

    def on_the_way(self, study: optuna.Study, trial: FrozenTrial, allocation: Allocation) -> list[Checkpoint]:
        passed = allocation.checkpoints()[:-1]
        return [
            group[-1] for kind in (TeacherCheckpoint, Allocation) if (group := [o for o in passed if type(o) is kind])
        ]


def new_study(sampler: str = "random") -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=SeededSampler(sampler, 0))


def told(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in study.trials if "on_the_way_of" in trial.user_attrs]


def drawn(study: optuna.Study) -> list[dict[str, Any]]:
    """What was proposed, without what was passed."""
    return [trial.params for trial in study.trials if "on_the_way_of" not in trial.user_attrs]


def test_allocations_of_the_space_become_trials_and_the_rest_stays_with_the_trial(compile_it: Compile) -> None:
    study, evaluate = new_study(), Evaluator()
    enqueue(study, SPACE, compile_it, [WHOLE])
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=1), EVERYTHING)
    whole, *passed = study.trials
    assert evaluate.asked == [(str(WHOLE), list(map(str, WHOLE.checkpoints()[:-1])))]
    held = [one for one in WHOLE.checkpoints()[:-1] if isinstance(one, Allocation) and SPACE.holds(one)]
    assert [trial.user_attrs["allocation"] for trial in passed] == list(map(str, held)) and len(held) == 3
    for trial, allocation in zip(passed, held, strict=True):
        assert trial.state is TrialState.COMPLETE and trial.value == made_up(allocation)
        assert SPACE.decode(trial.params) == allocation and trial.distributions == SPACE.distributions()
        assert trial.user_attrs["on_the_way_of"] == whole.number
        assert (trial.user_attrs["se_problems"], trial.user_attrs["gpu_seconds"]) == (0.02, 0.0)
    assert whole.user_attrs["gpu_seconds"] == 2.0 + 0.5 * 5
    assert set(map(parse_checkpoint, whole.user_attrs["on_the_way"])) == set(WHOLE.checkpoints()[:-1])


def test_passed_allocations_count_as_no_trial_but_may_be_finalists(compile_it: Compile) -> None:
    study, ended = new_study(), []
    enqueue(study, SPACE, compile_it, [WHOLE])
    for trials in (1, 4):
        limits, options = StudyLimits(trials=trials), SearchOptions(lambda *_: ended.append(1), None, everything)
        search(study, SPACE, compile_it, Evaluator(), limits, options)
        if trials == 1:  # labels on the student cost points here
            assert finalists(study)[0].user_attrs["allocation"] == "teacher=large teacher_rl=2 warmup=1 opd=1"
    view = Trials(study).refresh()
    assert len(ended) == view.num_finished == 4 < view.total


def test_a_passed_allocation_that_is_proposed_later_is_a_repeat(compile_it: Compile) -> None:
    half = Allocation(teacher="large", teacher_rl=2, warmup=1, opd=1)
    study, evaluate = new_study(), Evaluator()
    enqueue(study, SPACE, compile_it, [WHOLE, half])
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=2), EVERYTHING)
    assert len(evaluate.asked) == 1
    repeat = study.trials[1]
    original = study.trials[repeat.user_attrs["repeat_of"]]
    assert original.user_attrs["on_the_way_of"] == 0 and repeat.value == original.value == made_up(half)
    assert "on_the_way_of" not in repeat.user_attrs and "on_the_way" not in repeat.user_attrs
    assert repeat.user_attrs["gpu_seconds"] == 0.0


def test_a_known_route_is_evaluated_again_for_new_scores_on_its_way_only(compile_it: Compile) -> None:
    study, evaluate = new_study(), Evaluator()
    enqueue(study, SPACE, compile_it, [WHOLE])
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=1))
    for trials in (2, 3):
        study.enqueue_trial(SPACE.params_of(WHOLE))
        search(study, SPACE, compile_it, evaluate, StudyLimits(trials=trials), EVERYTHING)
    assert [len(asked) for _, asked in evaluate.asked] == [0, 5]
    assert [trial.user_attrs.get("repeat_of") for trial in study.trials if trial.params == study.trials[0].params] == [
        None, 0, 0,
    ]  # fmt: skip
    assert len(told(study)) == 3


def test_the_sampler_is_asked_and_a_fixed_rule_wins(compile_it: Compile) -> None:
    study, evaluate = optuna.create_study(direction="maximize", sampler=Asking("random", 0)), Evaluator()
    enqueue(study, SPACE, compile_it, [WHOLE])
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=1))
    assert evaluate.asked[-1][1] == [
        "teacher=large teacher_rl=2",
        "teacher=large teacher_rl=2 warmup=1 opd=1 student_rl=1",
    ]
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=2), SearchOptions(score_on_the_way=lambda _: []))
    assert evaluate.asked[-1][1] == []


def test_what_is_not_on_the_way_is_refused(compile_it: Compile) -> None:
    study = new_study()
    enqueue(study, SPACE, compile_it, [WHOLE])
    with pytest.raises(ValueError, match="'student_rl=1' is not on the way to 'teacher=large teacher_rl=2"):
        search(
            study, SPACE, compile_it, Evaluator(), StudyLimits(trials=1),
            SearchOptions(score_on_the_way=lambda _: [Allocation(student_rl=1)]),
        )  # fmt: skip


@pytest.mark.parametrize("sampler", ["random", pytest.param("tpe", marks=pytest.mark.slow)])
def test_a_resumed_study_sees_and_draws_what_an_uninterrupted_one_does(
    tmp_path: Path, compile_it: Compile, sampler: str
) -> None:
    whole = new_study(sampler)
    search(whole, SPACE, compile_it, Evaluator(), StudyLimits(trials=14), EVERYTHING)
    for trials, calls_before in ((3, 99), (9, 2), (9, 99), (14, 99)):
        study = open_study("study", f"sqlite:///{tmp_path}/study.db", "scenario", seed=0, sampler=sampler)
        evaluate = Evaluator([None] * calls_before + [KeyboardInterrupt()])
        try:
            search(study, SPACE, compile_it, evaluate, StudyLimits(trials=trials), EVERYTHING)
        except KeyboardInterrupt:
            assert calls_before == 2
    assert drawn(study) == drawn(whole)
    assert [str(o.checkpoint) for o in observations(study)] == [str(o.checkpoint) for o in observations(whole)]


def test_what_a_killed_process_left_untold_is_told_by_the_next(compile_it: Compile) -> None:
    study = new_study()
    enqueue(study, SPACE, compile_it, [WHOLE])
    with pytest.MonkeyPatch.context() as patch:
        # Killed between the end of the trial and the first of its passed allocations.
        patch.setattr("tuition.planner.searching.trial_loop.Passed.tell", lambda self: None)
        search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=1), EVERYTHING)
    assert told(study) == []
    for _ in range(2):
        search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=1))
        assert len(told(study)) == 3


def test_an_interrupted_trial_keeps_what_was_asked_for(compile_it: Compile) -> None:
    class Changing(Asking):
        answers = iter([WHOLE.checkpoints()[:1], WHOLE.checkpoints()[:2]])

        def on_the_way(self, study: optuna.Study, trial: FrozenTrial, allocation: Allocation) -> list[Checkpoint]:
            return next(self.answers)

    study = optuna.create_study(direction="maximize", sampler=Changing("random", 0))
    enqueue(study, SPACE, compile_it, [WHOLE])
    evaluate = Evaluator([KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        search(study, SPACE, compile_it, evaluate, StudyLimits(trials=1))
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=1))
    assert evaluate.asked == [(str(WHOLE), ["teacher=large teacher_rl=1"])]


def test_two_workers_that_pass_one_checkpoint_tell_it_once(tmp_path: Path, compile_it: Compile) -> None:
    queue = [WHOLE.model_copy(update={"student_rl": number}) for number in range(1, 7)]
    url, lock, meet = f"sqlite:///{tmp_path}/study.db", threading.Lock(), threading.Barrier(2, timeout=60)
    enqueue(open_study("s", url, "scenario", 0, "random"), SPACE, compile_it, queue)

    def evaluate(number: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        meet.wait()  # both pass the same checkpoints at the same moment
        return Evaluator()(number, allocation, route, on_the_way)

    options = SearchOptions(None, None, everything, lock)

    def work() -> None:
        study = open_study("s", url, "scenario", 0, "random")
        search(study, SPACE, compile_it, evaluate, StudyLimits(trials=4), options)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    study = open_study("s", url, "scenario", 0, "random")
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    routes = [trial.user_attrs["route_key"] for trial in complete if "repeat_of" not in trial.user_attrs]
    assert len(routes) == len(set(routes)) and len(told(study)) == 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_observations_are_every_score_once_with_what_is_in_flight_apart(compile_it: Compile, sampler: str) -> None:
    study = new_study(sampler)
    enqueue(study, SPACE, compile_it, [WHOLE])
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=8), EVERYTHING)
    seen = observations(study)
    assert len({o.checkpoint for o in seen}) == len(seen) > 8
    assert all(o.value == made_up(o.checkpoint) and (o.se_problems, o.se_samples) == (0.02, 0.01) for o in seen)
    first = [o for o in seen if o.trial == 0]
    assert [o.checkpoint for o in first] == WHOLE.checkpoints()
    assert [o.gpu_seconds for o in first] == [0.5] * 5 + [4.5]
    assert in_flight(study) == []
    at = study.ask()
    at.set_user_attr("allocation", "student_rl=1")
    study.ask()
    assert in_flight(study) == [Allocation(student_rl=1)] and observations(study) == seen
