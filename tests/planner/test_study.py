from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route
from tuition.planner.sampler import SAMPLERS, SamplerError, SeededSampler
from tuition.planner.scores.outcome import Outcome
from tuition.planner.searching.trial_loop import MAX_IDLE_TRIALS, SearchError, SearchOptions, StudyLimits
from tuition.planner.space import SearchSpace, SpaceError
from tuition.planner.storage import StudyError
from tuition.planner.study import (
    enqueue,
    finalists,
    open_study,
    search,
)

SPACE = SearchSpace(teachers=("large", "small"), num_label_blocks=8, max_warmup=1, max_opd=2)

pytestmark = pytest.mark.usefixtures("quiet_optuna")


class Evaluator:
    """A made-up objective; writes down what it was asked for, and raises what it is told to raise, call by call."""

    def __init__(self, errors: Sequence[BaseException | None] = ()) -> None:
        self.errors = iter(errors)
        self.allocations: list[Allocation] = []
        self.numbers: list[int] = []

    def __call__(self, number: int, allocation: Allocation, route: Route, _: Sequence[Checkpoint]) -> Outcome:
        error = next(self.errors, None)
        if error is not None:
            raise error
        self.numbers.append(number)
        self.allocations.append(allocation)
        value = allocation.teacher_rl / 8 + allocation.student_rl / 16 - 0.1 * (allocation.teacher == "small")
        return Outcome(value, {"gpu_seconds": 2.0, "blocks": len(route.blocks)})


def new_study(sampler: str = "random", seed: int = 0) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=SeededSampler(sampler, seed))


def drawn(study: optuna.Study) -> list[dict[str, Any]]:
    """What was proposed, trial by trial."""
    return [trial.params for trial in study.trials]


# Draws


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_study_draws_what_an_uninterrupted_one_draws(
    tmp_path: Path, compile_it: Callable[[Allocation], Route], sampler: str
) -> None:
    whole = new_study(sampler)
    search(whole, SPACE, compile_it, Evaluator(), StudyLimits(trials=16))
    for trials in (3, 12, 16):
        study = open_study("study", f"sqlite:///{tmp_path}/{sampler}.db", "scenario", seed=0, sampler=sampler)
        search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=trials))
    assert drawn(study) == drawn(whole)
    assert [trial.state for trial in study.trials] == [trial.state for trial in whole.trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_keyboard_interrupt_passes_through_and_its_trial_is_taken_up_again(
    compile_it: Callable[[Allocation], Route], sampler: str
) -> None:
    whole = new_study(sampler)
    search(whole, SPACE, compile_it, Evaluator(), StudyLimits(trials=16))
    study = new_study(sampler)
    for calls_before in (2, 5):
        evaluate = Evaluator([None] * calls_before + [KeyboardInterrupt()])
        with pytest.raises(KeyboardInterrupt):
            search(study, SPACE, compile_it, evaluate, StudyLimits(trials=16))
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=16))
    assert drawn(study) == drawn(whole)
    assert [trial.state for trial in study.trials] == [trial.state for trial in whole.trials]


def test_another_seed_draws_otherwise(compile_it: Callable[[Allocation], Route]) -> None:
    studies = [new_study(seed=seed) for seed in (0, 1)]
    for study in studies:
        search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=5))
    assert drawn(studies[0]) != drawn(studies[1])


def test_an_unknown_sampler_is_told_the_known_ones() -> None:
    with pytest.raises(SamplerError, match="'grid'; allowed: tpe, random, gp, qmc"):
        SeededSampler("grid", 0)


# Trials


def test_a_second_call_evaluates_nothing(compile_it: Callable[[Allocation], Route]) -> None:
    study, queue = new_study(), [Allocation(student_rl=8), Allocation(student_rl=4)]
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=6))
    again = Evaluator()
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, again, StudyLimits(trials=6))
    assert again.allocations == []
    assert len(study.trials) == 6


def test_enqueued_allocations_come_first_and_once(compile_it: Callable[[Allocation], Route]) -> None:
    queue = [Allocation(student_rl=8), Allocation(teacher="large", teacher_rl=4, warmup=1, opd=2, student_rl=4)]
    study, evaluate = new_study(), Evaluator()
    enqueue(study, SPACE, compile_it, [*queue, queue[0]])
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=1))
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=4))
    assert evaluate.allocations[:2] == queue
    assert all(evaluate.allocations.count(allocation) == 1 for allocation in queue)
    assert not any("repeat_of" in trial.user_attrs for trial in study.trials[:3])


def test_an_enqueued_allocation_must_be_in_the_space(compile_it: Callable[[Allocation], Route]) -> None:
    study = new_study()
    with pytest.raises(SpaceError, match="not in the search space"):
        enqueue(study, SPACE, compile_it, [Allocation(student_rl=8), Allocation()])
    assert study.trials == []


def test_a_repeated_route_takes_the_recorded_outcome(compile_it: Callable[[Allocation], Route]) -> None:
    space = SearchSpace(teachers=(), num_label_blocks=2, max_warmup=0, max_opd=0)
    study, evaluate = new_study(), Evaluator()
    search(study, space, compile_it, evaluate, StudyLimits(trials=10))
    assert len(evaluate.allocations) == 2
    repeats = [trial for trial in study.trials if "repeat_of" in trial.user_attrs]
    assert len(repeats) == 8
    for trial in repeats:
        original = study.trials[trial.user_attrs["repeat_of"]]
        assert "repeat_of" not in original.user_attrs
        assert trial.state == TrialState.COMPLETE
        assert trial.value == original.value
        assert trial.user_attrs["gpu_seconds"] == 0.0
        assert trial.user_attrs["blocks"] == original.user_attrs["blocks"]


def test_an_infeasible_proposal_is_pruned_and_never_evaluated(compile_it: Callable[[Allocation], Route]) -> None:
    study, evaluate = new_study(), Evaluator()
    infeasible = {"teacher": "large", "label_blocks": 4, "upstream": 4, "warmup": 0, "opd": 0}
    study.enqueue_trial(infeasible)
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=60))
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert study.trials[0] in pruned
    assert not {trial.number for trial in pruned} & set(evaluate.numbers)
    assert all(trial.constraints == {"transfer_blocks": 1.0} for trial in pruned)
    assert len(pruned) < 0.25 * 60


def test_the_record_of_a_trial_can_be_read(compile_it: Callable[[Allocation], Route]) -> None:
    study, allocation = new_study(), Allocation(student_rl=8)
    enqueue(study, SPACE, compile_it, [allocation])
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=1))
    assert study.trials[0].user_attrs == {
        "allocation": "student_rl=8",
        "allocation_id": allocation.id,
        "route_key": compile_it(allocation).key,
        "gpu_seconds": 2.0,
        "blocks": 8,
    }


def test_each_finished_trial_is_told(compile_it: Callable[[Allocation], Route]) -> None:
    told: list[tuple[int, TrialState]] = []

    def on_trial(study: optuna.Study, trial: FrozenTrial) -> None:
        told.append((trial.number, trial.state))

    evaluate = Evaluator([None, RuntimeError("boom")])
    queue = [Allocation(student_rl=blocks) for blocks in (1, 2, 3)]
    study = new_study()
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=3), SearchOptions(on_trial))
    assert told == [(0, TrialState.COMPLETE), (1, TrialState.FAIL), (2, TrialState.COMPLETE)]


# Failures


class WorkerError(RuntimeError):
    log_path = Path("logs") / "worker.txt"


def test_a_failure_is_recorded_and_the_search_goes_on(compile_it: Callable[[Allocation], Route]) -> None:
    study, evaluate = new_study(), Evaluator([WorkerError("out of\n  memory"), None, ValueError("bad")])
    queue = [Allocation(student_rl=blocks) for blocks in (1, 2, 3, 4)]
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=4))
    first, second, third, fourth = study.trials
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "FAIL", "COMPLETE"]
    assert first.user_attrs["error"] == "WorkerError: out of memory"
    assert first.user_attrs["log_path"] == str(WorkerError.log_path)
    assert third.user_attrs["error"] == "ValueError: bad"
    assert "log_path" not in third.user_attrs
    assert "error" not in second.user_attrs | fourth.user_attrs


def test_the_same_failure_three_times_in_a_row_stops_the_search(compile_it: Callable[[Allocation], Route]) -> None:
    study = new_study()
    errors = [OSError(f"no space left for block {key}") for key in ("3fa2", "91bc", "77de", "0a0a")]
    with pytest.raises(SearchError, match=r"3 trials in a row failed with OSError: no space left for block 77de"):
        search(study, SPACE, compile_it, Evaluator(errors), StudyLimits(trials=60))
    assert sum(trial.state == TrialState.FAIL for trial in study.trials) == 3
    evaluate = Evaluator()
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=len(study.trials) + 5))
    assert evaluate.allocations


@pytest.mark.parametrize(
    "errors",
    [
        [OSError("a"), OSError("a"), OSError("b"), OSError("b")],
        [OSError("a"), OSError("a"), None, OSError("a")],
        [OSError("a"), OSError("a"), ValueError("a"), OSError("a")],
    ],
)
def test_other_failures_do_not_stop_the_search(
    compile_it: Callable[[Allocation], Route], errors: list[Exception | None]
) -> None:
    study, queue = new_study(), [Allocation(student_rl=blocks) for blocks in range(1, 6)]
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, Evaluator(errors), StudyLimits(trials=5))
    assert len(study.trials) == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_a_failure(compile_it: Callable[[Allocation], Route], value: float) -> None:
    study = new_study()
    limits, queue = StudyLimits(trials=1), [Allocation(student_rl=1)]
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, lambda *_: Outcome(value, {}), limits)
    assert study.trials[0].state == TrialState.FAIL
    assert "must be finite" in study.trials[0].user_attrs["error"]


def test_a_failure_to_compile_stops_the_search() -> None:
    def broken(allocation: Allocation) -> Route:
        raise ValueError("unknown teacher")

    evaluate = Evaluator()
    with pytest.raises(ValueError, match="unknown teacher"):
        search(new_study(), SPACE, broken, evaluate, StudyLimits(trials=9))
    assert evaluate.allocations == []


# Limits


def test_a_limit_of_nothing_trains_nothing(compile_it: Callable[[Allocation], Route]) -> None:
    for limits in (StudyLimits(trials=0), StudyLimits(seconds=0), StudyLimits(gpu_seconds=0)):
        study = new_study()
        search(study, SPACE, compile_it, Evaluator(), limits)
        assert study.trials == []


def test_gpu_seconds_stop_the_search(compile_it: Callable[[Allocation], Route]) -> None:
    evaluate = Evaluator()
    search(new_study(), SPACE, compile_it, evaluate, StudyLimits(trials=90, gpu_seconds=5.0))
    assert len(evaluate.allocations) == 3  # 2 seconds each: 4 is below the limit, 6 is not


def test_wall_clock_stops_the_search(
    compile_it: Callable[[Allocation], Route], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0.0, 10.0)  # each look at the clock is 10 seconds later
    monkeypatch.setattr("tuition.planner.searching.trial_loop.time.monotonic", lambda: next(clock))
    study = new_study()
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=90, seconds=45.0))
    assert len(study.trials) == 4


def test_failed_and_pruned_trials_count_as_finished(compile_it: Callable[[Allocation], Route]) -> None:
    study = new_study()
    study.enqueue_trial({"teacher": "large", "label_blocks": 4, "upstream": 4, "warmup": 0, "opd": 0})
    study.enqueue_trial(SPACE.params_of(Allocation(student_rl=3)))
    search(study, SPACE, compile_it, Evaluator([OSError("boom")]), StudyLimits(trials=2))
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "FAIL"]


def test_an_exhausted_space_ends_an_unlimited_search(compile_it: Callable[[Allocation], Route]) -> None:
    space = SearchSpace(teachers=(), num_label_blocks=1, max_warmup=0, max_opd=0)
    study, evaluate = new_study(), Evaluator()
    search(study, space, compile_it, evaluate, StudyLimits())
    assert evaluate.allocations == [Allocation(student_rl=1)]
    assert len(study.trials) == MAX_IDLE_TRIALS + 1


@pytest.mark.parametrize("limit", ["trials", "seconds", "gpu_seconds"])
def test_a_negative_limit_is_refused(limit: str) -> None:
    with pytest.raises(StudyError, match=f"{limit}=-1"):
        StudyLimits(**{limit: -1})


# Opening


def test_a_study_of_another_scenario_or_seed_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    open_study("study", url, "aaaa", seed=0)
    assert open_study("study", url, "aaaa", seed=0).user_attrs == {"scenario_sha256": "aaaa", "seed": 0}
    with pytest.raises(StudyError, match=r"scenario_sha256: bbbb, was aaaa; .* another --study name"):
        open_study("study", url, "bbbb", seed=0)
    with pytest.raises(StudyError, match=r"seed: 1, was 0; .* another --study name"):
        open_study("study", url, "aaaa", seed=1)
    assert open_study("other", url, "bbbb", seed=1).direction == optuna.study.StudyDirection.MAXIMIZE


def test_a_study_names_the_fields_in_which_another_scenario_differs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    fields = {"stages": {"opd": {"steps": 2}}, "labels": {"count": 8}, "search": {"prepare": ("rl",)}}
    open_study("study", url, "aaaa", 0, fields=fields)
    open_study("study", url, "aaaa", 0, fields=fields)
    longer = {**fields, "stages": {"opd": {"steps": 3, "clip": 0.2}}}
    with pytest.raises(StudyError) as caught:
        open_study("study", url, "bbbb", 1, fields=longer)
    assert str(caught.value) == (
        "study 'study' was started with other settings: seed: 1, was 0; stages.opd.clip: 0.2, was not set; "
        "stages.opd.steps: 3, was 2; choose another --study name"
    )
    with pytest.raises(StudyError, match=r"scenario_sha256: bbbb, was aaaa; choose"):
        open_study("study", url, "bbbb", 0, fields=fields)  # a version that covers something that has no name here


def test_a_study_of_an_earlier_version_keeps_the_fields_from_now_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    open_study("study", url, "aaaa", seed=0)
    with pytest.raises(StudyError, match=r"scenario_sha256: bbbb, was aaaa .*an earlier version started the study"):
        open_study("study", url, "bbbb", 0, fields={"steps": 3})
    open_study("study", url, "aaaa", 0, fields={"steps": 2})
    with pytest.raises(StudyError, match="steps: 3, was 2"):
        open_study("study", url, "bbbb", 0, fields={"steps": 3})


def test_a_study_keeps_the_space_it_began_with(compile_it: Callable[[Allocation], Route]) -> None:
    study = new_study()
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=1))
    message = f"max_opd: 5, was {SPACE.max_opd}; choose another --study name"
    with pytest.raises(StudyError, match=message):
        search(study, SPACE.model_copy(update={"max_opd": 5}), compile_it, Evaluator(), StudyLimits(trials=2))


def test_a_storage_that_cannot_be_opened_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot open the study storage sqlite"):
        open_study("study", f"sqlite:///{tmp_path}/absent/study.db", "scenario", seed=0)
    with pytest.raises(StudyError, match=r"sqlite:///study\.db"):
        open_study("study", "study.db", "scenario", seed=0)
    with pytest.raises(StudyError) as caught:
        open_study("study", "postgresql+absentdriver://user:hunter2@host/db", "scenario", seed=0)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"half-written" * 1000)
    with pytest.raises(StudyError, match="not a database"):
        open_study("study", f"sqlite:///{tmp_path}/study.db", "scenario", seed=0)


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_without_a_heartbeat_is_taken_up_again(
    tmp_path: Path, compile_it: Callable[[Allocation], Route], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_study()
    search(whole, SPACE, compile_it, Evaluator(), StudyLimits(trials=4))
    study = open_study("study", f"sqlite:///{tmp_path}/study.db", "scenario", seed=0, sampler="random")
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=2))
    died = study.ask()
    SPACE.suggest(died)
    study._storage.record_heartbeat(died._trial_id)  # type: ignore[attr-defined]
    # As if the grace period had passed: the heartbeat lies further back than that.
    monkeypatch.setattr(study._storage._backend, "grace_period", -1)  # type: ignore[attr-defined]
    search(study, SPACE, compile_it, Evaluator(), StudyLimits(trials=4))
    assert len(study.trials) == 4
    assert drawn(study) == drawn(whole)


# Finalists


def test_finalists_are_the_best_distinct_routes(compile_it: Callable[[Allocation], Route]) -> None:
    study, evaluate = new_study(), Evaluator()
    queue = [Allocation(student_rl=blocks) for blocks in (2, 8, 5)]
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=3))
    study.enqueue_trial(SPACE.params_of(queue[1]))
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=4))
    assert study.trials[3].user_attrs["repeat_of"] == 1
    assert [trial.number for trial in finalists(study)] == [1, 2]
    assert [trial.number for trial in finalists(study, count=9)] == [1, 2, 0]


def test_equal_values_go_to_the_earlier_trial(compile_it: Callable[[Allocation], Route]) -> None:
    study, queue = new_study(), [Allocation(student_rl=blocks) for blocks in (3, 1, 2)]
    enqueue(study, SPACE, compile_it, queue)
    search(study, SPACE, compile_it, lambda *_: Outcome(0.5, {}), StudyLimits(trials=3))
    assert [trial.number for trial in finalists(study)] == [0, 1]


def test_a_repeat_is_no_finalist_even_when_it_was_proposed_before_its_original() -> None:
    study = new_study()  # another process finished trial 1 while trial 0 was proposed
    for attributes in ({"route_key": "a", "repeat_of": 1}, {"route_key": "a"}):
        study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs=attributes))
    assert [trial.number for trial in finalists(study)] == [1]


def test_an_empty_study_has_no_finalists() -> None:
    assert finalists(new_study()) == []
