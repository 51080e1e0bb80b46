"""The loop of a search: trials taken up, evaluated and told, one after the other, until a limit is reached.

Optuna's own loop would fail a trial that was interrupted and queue a copy; here it waits and is taken up again. So does
one that the machine failed: a full disk says nothing of what was evaluated.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.error_lines import named_line
from tuition.planner.route import Route
from tuition.planner.scores.budget import Budget, Price
from tuition.planner.scores.observations import UNTRAINED, untrained
from tuition.planner.scores.on_the_way import Passed, asked_on_the_way
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay, scores_to_json
from tuition.planner.scores.protocols import AsksUntrained, SaysWhenToStop
from tuition.planner.searching.trial_states import WORKER, heartbeat, put_back, release_dead_trials, take_up, tell
from tuition.planner.space import SearchSpace
from tuition.planner.storage import DATABASE_ERRORS, StudyError, database_line
from tuition.planner.trials import (
    ALLOCATION,
    GPU_SECONDS,
    ON_THE_WAY,
    ON_THE_WAY_OF,
    OUTSIDE,
    REPEAT_OF,
    ROUTE_KEY,
    SCORE_ON_THE_WAY,
    Trials,
    value_of,
)

OWN = (ON_THE_WAY, ON_THE_WAY_OF, OUTSIDE, SCORE_ON_THE_WAY, ALLOCATION, "allocation_id", ROUTE_KEY, WORKER)
"""Attributes of a trial that its repeats do not take over."""
MAX_SAME_FAILURES = 3
MAX_MACHINE_FAILURES = (
    3  # our choice, in a row; a search that runs for a night should outlive a disk that was full once
)
RETRY_SECONDS = 10.0  # our choice
MAX_IDLE_TRIALS = 100  # our choice: this many proposals in a row without anything new to train mean an exhausted space

logger = logging.getLogger(__name__)

Evaluate = Callable[[int, Allocation, Route, Sequence[Checkpoint]], Outcome]
"""Trains and scores a route, given the trial's number, and what is to be scored on the way."""


class SearchError(RuntimeError):
    """A search that stopped because its evaluations fail; the message is one line with the failure."""


class MachineError(RuntimeError):
    """An evaluation that failed for want of a disk, memory, a process or a database, whatever was evaluated.

    The message is one line with the trouble and the fix.
    """


@dataclass(frozen=True)
class SearchOptions:
    """What a search needs not have.

    Attributes:
        on_trial: called after each finished trial.
        worker: a name for this process, written into its trials.
        score_on_the_way: a fixed rule for what is scored on the way, whatever the sampler says.
        score_untrained: scores a base model, for a sampler that asks for some (`AsksUntrained`).
        lock: shared by all processes that work on the study. Under it trials are taken up, and what was passed is told.
        is_alive: whether the process of a worker's name is alive; without it, heartbeats alone tell whose trials are to
            be taken up again.
        say: told in one line what people should know.
    """

    on_trial: Callable[[optuna.Study, FrozenTrial], None] | None = None
    worker: str | None = None
    score_on_the_way: Callable[[Allocation], Sequence[Checkpoint]] | None = None
    score_untrained: Callable[[str], ScoreOnTheWay] | None = None
    lock: AbstractContextManager[object] = field(default_factory=nullcontext)
    is_alive: Callable[[str], bool] | None = None
    say: Callable[[str], None] = logger.warning


@dataclass(frozen=True)
class StudyLimits:
    """When a search stops; whichever is reached first. None is no limit.

    Attributes:
        trials: finished trials of the study in total: complete, infeasible and failed ones.
        seconds: wall clock of this call.
        gpu_seconds: the budget: what the study may really spend (marginal cost) on training and validation.
        spent: says how much that is so far, failed trials included; without it, the sum over the records of the
            trials and of base models' scores.
        price: what a route would still cost. With it, nothing is begun that does not fit what is left: such a proposal
            is pruned ("refused") and counts as no trial.

    Raises:
        StudyError: for a negative limit.
    """

    trials: int | None = None
    seconds: float | None = None
    gpu_seconds: float | None = None
    spent: Callable[[], float] | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        for name, value in (("trials", self.trials), ("seconds", self.seconds), ("gpu_seconds", self.gpu_seconds)):
            if value is not None and not value >= 0:
                raise StudyError(f"{name}={value!r}; a limit must be at least 0, or None for no limit")


class _EvaluationFailed(Exception):
    """The failure of one evaluation, after which the search goes on with the next trial."""


@dataclass(frozen=True)
class _Proposal:
    """What a trial is at. `known` is the trial that has its outcome already, with all that is asked for."""

    allocation: Allocation
    route: Route
    asked: Sequence[Checkpoint]
    original: FrozenTrial | None
    known: FrozenTrial | None


class TrialLoop:
    """The trials and the limits of one call of `tuition.planner.study.search`, with its arguments."""

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        compile: Callable[[Allocation], Route],
        evaluate: Evaluate,
        limits: StudyLimits,
        options: SearchOptions,
    ) -> None:
        self.study = study
        self.trials = Trials(study)
        self.passed = Passed(self.trials, space, compile, options.lock)
        self.options = options
        self.space = space
        self.compile = compile
        self.evaluate = evaluate
        self.limits = limits
        self.started = time.monotonic()
        self.budget: Budget | None = None
        if limits.gpu_seconds is not None:
            self.budget = Budget(self.trials, limits.gpu_seconds, limits.spent, limits.price, compile)
        self.idle_trials = 0
        self.failures: list[str] = []
        self.stopped: str | None = None

    def run(self) -> None:
        """One trial after the other; after a failure of the machine the same again, if it does not persist."""
        failures, going_on = 0, True
        while going_on:
            try:
                self.note_progress()  # also what a killed process left
                going_on = self.step()
                failures = 0
            except (MachineError, OSError, *DATABASE_ERRORS) as error:
                failures += 1
                self.after_trouble(error, failures)

    def after_trouble(self, error: Exception, failures: int) -> None:
        """Say it and wait, or SearchError when it persists. What was begun waits to be taken up again."""
        line = str(error)
        if isinstance(error, DATABASE_ERRORS):
            line = f"the study's database cannot be used ({database_line(error)}): see to it"
        elif isinstance(error, OSError):  # of a lock or a log
            line = f"{named_line(error)}: see to it"
        if failures >= MAX_MACHINE_FAILURES:
            raise SearchError(
                f"{line}, then rerun the same command to resume ({failures} failures in a row, which count as no trial)"
            ) from error
        self.options.say(f"{line}; trying again in {RETRY_SECONDS:g} seconds")
        time.sleep(RETRY_SECONDS)

    def step(self) -> bool:
        """The next trial; False at a limit."""
        if self.limit_reached():
            return False
        if self.score_untrained():
            self.note_progress()
        number = self.run_trial()
        self.note_progress()
        if number is not None and self.options.on_trial is not None:
            self.options.on_trial(self.study, self.study.get_trials(deepcopy=False)[number])
        return True

    def run_trial(self) -> int | None:
        """Take up a trial, evaluate it and tell its outcome; its number, or None where another process has told it."""
        worker = self.options.worker
        self.idle_trials += 1
        with self.options.lock:  # those who take up the next one see what this one is at, and the limit holds
            if self.is_full():
                return None
            trial = take_up(self.study, worker)
            with self.put_back_on_error(trial):
                try:
                    proposal = self.propose(trial)
                except optuna.TrialPruned:
                    tell(self.study, trial, worker, TrialState.PRUNED)
                    return trial.number
        value: float | None = None
        state = TrialState.FAIL
        with (
            self.put_back_on_error(trial),
            suppress(_EvaluationFailed, UpdateFinishedTrialError),
            heartbeat(self.study, trial),
        ):
            value, state = self.outcome_of(trial, proposal), TrialState.COMPLETE
        if not tell(self.study, trial, worker, state, value):
            self.options.say(f"trial {trial.number} was taken up by another process meanwhile; its outcome is dropped")
            return None
        self.stop_at_same_failures()
        return trial.number

    @contextmanager
    def put_back_on_error(self, trial: optuna.Trial) -> Iterator[None]:
        """Whatever ends a trial other than its own failure lets it wait again."""
        try:
            yield
        except BaseException:
            with suppress(*DATABASE_ERRORS):  # then it is put back before the next is taken up
                put_back(self.study, trial, self.options.worker)
            raise

    def propose(self, trial: optuna.Trial) -> _Proposal:
        """What the trial is at, written into its record; TrialPruned where it is infeasible or does not fit."""
        if self.budget is not None:  # another process may have begun something since the last note
            self.budget.publish(besides=trial.number)
        allocation = self.space.suggest(trial)
        route = self.compile(allocation)
        asked = asked_on_the_way(trial, allocation, self.options.score_on_the_way)
        _set_attributes(trial, {ALLOCATION: str(allocation), "allocation_id": allocation.id, ROUTE_KEY: route.key})
        original = self.trials.refresh().evaluated(route.key)
        known = original if self.trials.scored.issuperset(map(str, asked)) else None
        if self.budget is not None and known is None:
            self.budget.check(trial, route, asked)
        return _Proposal(allocation, route, asked, original, known)

    def outcome_of(self, trial: optuna.Trial, proposal: _Proposal) -> float:
        """The value of a proposal, its outcome written into the trial's record; _EvaluationFailed, noted there too."""
        if (known := proposal.known) is not None:
            repeated = {REPEAT_OF: known.number, GPU_SECONDS: 0.0}
            _set_attributes(trial, {**{n: v for n, v in known.user_attrs.items() if n not in OWN}, **repeated})
            return value_of(known)
        self.idle_trials = 0
        try:
            outcome = self.evaluate(trial.number, proposal.allocation, proposal.route, proposal.asked)
        except MachineError:
            raise
        except Exception as error:
            self.note_failure(trial, error)
            raise _EvaluationFailed from error
        self.failures.clear()
        _set_attributes(trial, outcome.attributes)
        if outcome.on_the_way:
            trial.set_user_attr(ON_THE_WAY, scores_to_json(outcome.on_the_way))
        if proposal.original is not None:
            trial.set_user_attr(REPEAT_OF, proposal.original.number)
        return outcome.value

    def note_failure(self, trial: optuna.Trial, error: Exception) -> None:
        """Write a failed evaluation down, in the trial's record and for `stop_at_same_failures`."""
        message = named_line(error)
        trial.set_user_attr("error", message)
        # An evaluation in another process leaves its log behind and says where; the planner does not know its type.
        log_path = getattr(error, "log_path", None)
        if log_path is not None:
            trial.set_user_attr("log_path", str(log_path))
        self.failures.append(message)

    def stop_at_same_failures(self) -> None:
        """SearchError after the same failure again and again."""
        last = self.failures[-MAX_SAME_FAILURES:]
        # Keys, numbers and paths differ between trials with the same trouble.
        if len(last) == MAX_SAME_FAILURES and len({re.sub(r"\w*\d\w*", "#", message) for message in last}) == 1:
            raise SearchError(
                f"{MAX_SAME_FAILURES} trials in a row failed with {last[-1]}; fix it, then rerun the same "
                "command to resume"
            )

    def score_untrained(self) -> bool:
        """Score the base models that the sampler asks for and the study has no score of; whether there were any."""
        sampler, score = self.study.sampler, self.options.score_untrained
        if score is None or not isinstance(sampler, AsksUntrained):
            return False
        missing = [model for model in sampler.base_models(self.study) if model not in untrained(self.study)]
        for model in missing:
            made = asdict(score(model))
            with self.options.lock:  # another process may have been as quick
                known = self.study.user_attrs.get(UNTRAINED, {})
                self.study.set_user_attr(UNTRAINED, {model: made, **known})
        return bool(missing)

    def note_progress(self) -> None:
        """Before the next proposal: tell what was passed, and write down what is left."""
        self.passed.tell()
        if self.budget is not None:
            self.budget.publish()

    def is_full(self) -> bool:
        """Whether the study has all of its trials. One that another process is at counts as well."""
        trials = self.trials.refresh()
        return self.limits.trials is not None and trials.num_finished + trials.num_running >= self.limits.trials

    def limit_reached(self) -> bool:
        """Whether no further trial is to begin; what dead processes were at is put back first."""
        with self.options.lock:
            release_dead_trials(self.study, self.options.worker, self.options.is_alive)
        if self.is_full():
            return True
        if self.limits.seconds is not None and time.monotonic() - self.started >= self.limits.seconds:
            return True
        self.stopped = self._reason_to_stop()
        return self.stopped is not None

    def _reason_to_stop(self) -> str | None:
        if self.budget is not None and (reason := self.budget.reason_to_stop()) is not None:
            return reason
        if self.idle_trials >= MAX_IDLE_TRIALS:
            fits = " that fits the money left" if self.budget is not None and self.budget.refusals else ""
            return f"{self.idle_trials} proposals in a row had nothing new to train{fits}"
        sampler = self.study.sampler
        return sampler.should_stop(self.study) if isinstance(sampler, SaysWhenToStop) else None


def _set_attributes(trial: optuna.Trial, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
