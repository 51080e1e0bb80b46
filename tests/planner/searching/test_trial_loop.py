"""Kills and failures of the machine change nothing of what is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from tests.planner.test_study import SPACE, Evaluator
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route
from tuition.planner.sampler import SeededSampler
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay
from tuition.planner.searching.trial_loop import MachineError, SearchError, SearchOptions, StudyLimits
from tuition.planner.study import enqueue, search

pytestmark = pytest.mark.usefixtures("quiet_optuna", "no_pause")

Compile = Callable[[Allocation], Route]
QUEUE = [Allocation(teacher="large", teacher_rl=2, warmup=1, opd=1, student_rl=2), Allocation(student_rl=8)]


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuition.planner.searching.trial_loop.RETRY_SECONDS", 0.0)


class Killed(BaseException):
    """The process is no more: whatever it writes from now on is lost."""


class Mortal(InMemoryStorage):
    """Dies at the write of a number, and stays dead until it is given another life."""

    writes_left: float = float("inf")
    error: type[BaseException] = Killed

    def _written(self) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise self.error("gone")

    def create_new_trial(self, *given: Any, **named: Any) -> int:
        self._written()
        return super().create_new_trial(*given, **named)

    def set_trial_param(self, *given: Any, **named: Any) -> None:
        self._written()
        super().set_trial_param(*given, **named)

    def set_trial_state_values(self, *given: Any, **named: Any) -> bool:
        self._written()
        return super().set_trial_state_values(*given, **named)

    def set_trial_user_attr(self, *given: Any, **named: Any) -> None:
        self._written()
        super().set_trial_user_attr(*given, **named)


def evaluate(number: int, allocation: Allocation, route: Route, asked: Sequence[Checkpoint]) -> Outcome:
    passed = {one: ScoreOnTheWay(0.3, None, None, 0.0, None) for one in asked}
    return Outcome(allocation.student_rl / 16, {"blocks": len(route.blocks)}, passed)


def searched(storage: InMemoryStorage, sampler: str, compile_it: Compile, life: int = 0) -> optuna.Study:
    """One life of a search of 5 trials that scores what it passes."""
    study = optuna.create_study(
        storage=storage, study_name="s", load_if_exists=True, direction="maximize", sampler=SeededSampler(sampler, 0)
    )
    enqueue(study, SPACE, compile_it, QUEUE)
    options = SearchOptions(
        worker=f"life {life}",
        score_on_the_way=lambda allocation: allocation.checkpoints()[-2:-1],
        is_alive=lambda name: name == f"life {life}",
    )
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=5), options)
    return study


def what_was_searched(study: optuna.Study) -> list[Any]:
    """Number, proposal, name, outcome: all but by whom."""
    return [
        (t.number, t.state, t.params, t.value, {name: v for name, v in t.user_attrs.items() if name != "worker"})
        for t in study.trials
    ]


@pytest.mark.parametrize("sampler", ["random", pytest.param("qmc", marks=pytest.mark.slow)])
def test_a_search_that_is_killed_at_any_write_ends_as_an_undisturbed_one(compile_it: Compile, sampler: str) -> None:
    counted = Mortal()
    counted.writes_left = 10_000
    whole = searched(counted, sampler, compile_it)
    expected, writes = what_was_searched(whole), 10_000 - int(counted.writes_left)
    assert writes > 40 and any("on_the_way_of" in trial.user_attrs for trial in whole.trials)
    for moment in range(writes):
        storage = Mortal()
        storage.writes_left = moment
        with pytest.raises(Killed):
            searched(storage, sampler, compile_it)
        storage.writes_left = float("inf")
        assert what_was_searched(searched(storage, sampler, compile_it, life=1)) == expected, f"killed at {moment}"


def test_a_database_that_fails_at_any_write_costs_nothing(compile_it: Compile) -> None:
    expected = what_was_searched(searched(Mortal(), "random", compile_it))
    for moment in range(12, 36):  # the queue is written by then

        class Failing(Mortal):
            error = StorageInternalError

            def _written(self) -> None:
                try:
                    super()._written()
                finally:
                    if self.writes_left < 0:
                        self.writes_left = float("inf")  # once

        storage = Failing()
        storage.writes_left = moment
        assert what_was_searched(searched(storage, "random", compile_it)) == expected, f"failed at {moment}"


@pytest.fixture
def study() -> Iterator[optuna.Study]:
    yield optuna.create_study(direction="maximize", sampler=SeededSampler("random", 0))


def test_a_failure_of_the_machine_counts_as_no_trial_and_the_trial_is_taken_up_again(
    study: optuna.Study, compile_it: Compile
) -> None:
    whole = optuna.create_study(direction="maximize", sampler=SeededSampler("random", 0))
    search(whole, SPACE, compile_it, Evaluator(), StudyLimits(trials=4))
    told: list[str] = []
    full = MachineError("the disk is full: free disk space")
    evaluate = Evaluator([None, full, full, None, full])
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=4), SearchOptions(say=told.append))
    assert what_was_searched(study) == what_was_searched(whole)
    assert told == ["the disk is full: free disk space; trying again in 0 seconds"] * 3


def test_a_failure_of_the_machine_that_persists_ends_the_search_and_the_same_call_goes_on(
    study: optuna.Study, compile_it: Compile
) -> None:
    full = MachineError("the disk is full: free disk space")
    with pytest.raises(SearchError, match=r"^the disk is full: free disk space, then rerun the same command to resume"):
        search(study, SPACE, compile_it, Evaluator([None, full, full, full]), StudyLimits(trials=3))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.WAITING]
    evaluate = Evaluator()
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=3))
    assert evaluate.numbers == [1, 2]


def test_a_suspended_worker_that_tells_late_says_so_and_goes_on(study: optuna.Study, compile_it: Compile) -> None:
    told: list[str] = []

    def suspended(number: int, allocation: Allocation, route: Route, asked: Sequence[Checkpoint]) -> Outcome:
        if number == 1 and not told:  # meanwhile another process takes it up, as that of a dead one
            waiting = study.trials[1]._trial_id
            study._storage.set_trial_state_values(waiting, TrialState.WAITING)
            again = study.ask()
            again.set_user_attr("worker", "other")
            told.append(f"other has {again.number}")
            study.tell(again, 0.25)
        return evaluate(number, allocation, route, asked)

    options = SearchOptions(worker="mine", say=told.append)
    search(study, SPACE, compile_it, suspended, StudyLimits(trials=3), options)
    assert told == ["other has 1", "trial 1 was taken up by another process meanwhile; its outcome is dropped"]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert study.trials[1].value == 0.25
