"""A search over allocations, as an Optuna study.

The study holds validation scores only. It is safe to kill and to repeat: draws depend on (study seed, trial number) and
on the finished trials, an interrupted trial is queued again, and a command that has reached its limit trains nothing.
Several processes may work on one study at once.

Simplified: a limit is checked between trials, so a running trial is never cut short, and p processes may overshoot a
limit by p - 1 trials.
"""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.error_lines import named_line
from tuition.planner.route import Route
from tuition.planner.sampler import SeededSampler
from tuition.planner.scores.budget import Budget, Price
from tuition.planner.scores.observations import UNTRAINED, untrained
from tuition.planner.scores.on_the_way import Passed, asked_on_the_way
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay, scores_to_json
from tuition.planner.scores.protocols import AsksUntrained, SaysWhenToStop
from tuition.planner.scores.readable import name_metric
from tuition.planner.space import SearchSpace
from tuition.planner.storage import WORKER, StudyError, open_storage, queue_again
from tuition.planner.study_identity import hold_to_scenario, hold_to_space
from tuition.planner.trials import (
    ALLOCATION,
    GPU_SECONDS,
    ON_THE_WAY,
    ON_THE_WAY_OF,
    REPEAT_OF,
    ROUTE_KEY,
    SCORE_ON_THE_WAY,
    Trials,
    best_of_routes,
    value_of,
)

MAX_SAME_FAILURES = 3
MAX_IDLE_TRIALS = 100  # our choice: this many proposals in a row without anything new to train mean an exhausted space

Evaluate = Callable[[int, Allocation, Route, Sequence[Checkpoint]], Outcome]
"""Trains and scores a route, given the trial's number, and what is to be scored on the way."""


class SearchError(RuntimeError):
    """A search that stopped because its evaluations fail; the message is one line with the failure."""


@dataclass(frozen=True)
class SearchOptions:
    """What a search needs not have.

    Attributes:
        on_trial: called after each finished trial.
        worker: a name for this process, written into its trials, for `release_dead_trials`.
        score_on_the_way: a fixed rule for what is scored on the way, whatever the sampler says.
        score_untrained: scores a base model, for a sampler that asks for some (`AsksUntrained`).
        lock: shared by all processes that work on the study, so that two that pass one checkpoint tell it once.
    """

    on_trial: Callable[[optuna.Study, FrozenTrial], None] | None = None
    worker: str | None = None
    score_on_the_way: Callable[[Allocation], Sequence[Checkpoint]] | None = None
    score_untrained: Callable[[str], ScoreOnTheWay] | None = None
    lock: AbstractContextManager[object] = field(default_factory=nullcontext)


@dataclass(frozen=True)
class StudyLimits:
    """When a search stops; whichever is reached first. None is no limit.

    Attributes:
        trials: finished trials of the study in total: complete, infeasible and failed ones. A trial that was
            interrupted and queued again counts once.
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


def open_study(
    name: str,
    storage_url: str,
    scenario_sha256: str,
    seed: int,
    sampler: str | BaseSampler = "tpe",
    fields: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """Create the study, or open it to resume it.

    Args:
        name: the study's name in its storage.
        storage_url: SQLAlchemy URL: "sqlite:///study.db", "postgresql+psycopg://..." and so on.
        scenario_sha256: content hash of the scenario, which an existing study must share.
        seed: seed of the draws, which an existing study must share.
        sampler: one of Optuna's by its name here, or any other, whose proposals must depend on the study's seed and
            history alone if an interrupted search is to go on as one that was not.
        fields: what the hash covers, as JSON values by name. Kept with the study, to say what differs.

    Raises:
        SamplerError: for an unknown sampler.
        StudyError: when the storage cannot be opened, or the study exists for another scenario or seed; the message
            names the fields that differ.
    """
    study = optuna.create_study(
        storage=open_storage(storage_url),
        sampler=SeededSampler(sampler, seed) if isinstance(sampler, str) else sampler,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )
    hold_to_scenario(study, scenario_sha256, seed, fields)
    name_metric(study)
    _read_trials(study)
    return study


def enqueue(
    study: optuna.Study,
    space: SearchSpace,
    compile: Callable[[Allocation], Route],
    allocations: Sequence[Allocation],
) -> None:
    """Queue allocations that are to be evaluated first; those that the study knows already are not queued again.

    Args:
        study: from `open_study`.
        space: what may be proposed; a resumed study keeps the space that it began with.
        compile: allocation to route.
        allocations: the first first.

    Raises:
        StudyError: for a resumed study with another space.
        SpaceError: for an allocation that is not in the space.
    """
    hold_to_space(study, space)
    # A failed trial does not make its allocation known: rerunning the command after the fix tries it again.
    known = {
        trial.user_attrs.get(ROUTE_KEY)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
    }
    waiting = [
        trial.system_attrs.get("fixed_params")
        for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    ]
    queued = [space.params_of(allocation) for allocation in allocations if compile(allocation).key not in known]
    for params in queued:
        if params not in waiting:
            study.enqueue_trial(params)
            waiting.append(params)


def search(
    study: optuna.Study,
    space: SearchSpace,
    compile: Callable[[Allocation], Route],
    evaluate: Evaluate,
    limits: StudyLimits,
    options: SearchOptions | None = None,
) -> str | None:
    """Propose allocations, evaluate their routes and record the outcomes, until a limit is reached.

    A sampler that is a `tuition.planner.scores.on_the_way.AsksOnTheWay` says which checkpoints on the way to its
    proposal are scored as well. Allocations among them become finished trials of the study ("on_the_way_of"), which no
    limit counts, but which may be finalists: they are real scores of real allocations.

    A route that was evaluated before takes its recorded outcome ("repeat_of", no GPU-seconds) and is not evaluated,
    unless something on its way has no score yet. An infeasible proposal is pruned. An exception in `evaluate` fails its
    trial, with "error" (and "log_path", when the exception has one) in the record, and the search continues. A keyboard
    interrupt queues its trial again and passes through.

    Returns why it stopped, in one line, unless that is the number of trials or seconds: the money is spent, no proposal
    fits what is left, a sampler says so (`tuition.planner.scores.protocols`), or the space is exhausted.

    Args:
        study: from `open_study`.
        space: what may be proposed; a resumed study keeps the space that it began with.
        compile: allocation to route; an exception in it stops the search.
        evaluate: trains and scores a route, given the trial's number and what is to be scored on the way.
        limits: when to stop.
        options: who is told, and how it works with others.

    Raises:
        StudyError: for a resumed study with another space.
        SearchError: after three failures in a row with the same error.
    """
    hold_to_space(study, space)
    options = options or SearchOptions()
    run = _Search(study, space, compile, evaluate, limits, options)
    run.passed.tell()  # what a killed process left
    if not run.limit_reached():
        run.score_untrained()
        run.note_progress()
        callbacks = [run.note_progress, *filter(None, [options.on_trial]), run.stop_at_limit]
        study.optimize(run.objective, catch=(_EvaluationFailed,), callbacks=callbacks)
    return run.stopped


def finalists(study: optuna.Study, count: int = 2) -> list[FrozenTrial]:
    """The best complete trials with distinct routes, best first; the earlier trial where values are equal."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return best_of_routes([trial for trial in complete if REPEAT_OF not in trial.user_attrs])[:count]


class _EvaluationFailed(Exception):
    """Carries the failure of one evaluation past Optuna, which continues with the next trial."""


class _Search:
    """The objective and the limits of one call of `search`."""

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

    def objective(self, trial: optuna.Trial) -> float:
        self.idle_trials += 1
        if self.options.worker is not None:
            trial.set_user_attr(WORKER, self.options.worker)
        allocation = self.space.suggest(trial)
        route = self.compile(allocation)
        asked = asked_on_the_way(trial, allocation, self.options.score_on_the_way)
        identity = {ALLOCATION: str(allocation), "allocation_id": allocation.id, ROUTE_KEY: route.key}
        with self.options.lock:  # either the others see that this one is at the route, or it sees what they told
            _set_attributes(trial, identity)
            original = self.trials.refresh().evaluated(route.key)
            known = original is not None and self.trials.scored.issuperset(map(str, asked))
            if self.budget is not None and not known:
                self.budget.check(trial, route, asked)
        if original is not None and known:
            repeated = {REPEAT_OF: original.number, GPU_SECONDS: 0.0}
            own = (ON_THE_WAY, ON_THE_WAY_OF, SCORE_ON_THE_WAY)
            copied = {name: value for name, value in original.user_attrs.items() if name not in own}
            _set_attributes(trial, {**copied, **identity, **repeated})
            return value_of(original)
        self.idle_trials = 0
        try:
            outcome = self.evaluate(trial.number, allocation, route, asked)
        except KeyboardInterrupt:
            queue_again(self.study, trial.number)
            raise
        except Exception as error:
            self._record_failure(trial, error)
            raise _EvaluationFailed(named_line(error)) from error
        self.failures.clear()
        _set_attributes(trial, outcome.attributes)
        if outcome.on_the_way:
            trial.set_user_attr(ON_THE_WAY, scores_to_json(outcome.on_the_way))
        if original is not None:
            trial.set_user_attr(REPEAT_OF, original.number)
        return outcome.value

    def _record_failure(self, trial: optuna.Trial, error: Exception) -> None:
        message = named_line(error)
        trial.set_user_attr("error", message)
        # An evaluation in another process leaves its log behind and says where; the planner does not know its type.
        log_path = getattr(error, "log_path", None)
        if log_path is not None:
            trial.set_user_attr("log_path", str(log_path))
        # Keys, numbers and paths differ between trials with the same trouble.
        self.failures.append(re.sub(r"\w*\d\w*", "#", message))
        last = self.failures[-MAX_SAME_FAILURES:]
        if len(last) == MAX_SAME_FAILURES and len(set(last)) == 1:
            raise SearchError(
                f"{MAX_SAME_FAILURES} trials in a row failed with {message}; fix it, then rerun the same "
                "command to resume"
            ) from error

    def score_untrained(self) -> None:
        """Score the base models that the sampler asks for and the study has no score of."""
        sampler, score = self.study.sampler, self.options.score_untrained
        if score is None or not isinstance(sampler, AsksUntrained):
            return
        for model in sampler.base_models(self.study):
            if model not in untrained(self.study):
                made = asdict(score(model))
                with self.options.lock:  # another process may have been as quick
                    known = self.study.user_attrs.get(UNTRAINED, {})
                    self.study.set_user_attr(UNTRAINED, {model: made, **known})

    def note_progress(self, *_: object) -> None:
        """Before the next proposal: tell what was passed, and write down what is left."""
        self.passed.tell()
        if self.budget is not None:
            self.budget.publish()

    def limit_reached(self) -> bool:
        limits, trials = self.limits, self.trials.refresh()
        # A trial that another process is at counts as well, or p processes would overshoot by p - 1.
        if limits.trials is not None and trials.num_finished + trials.num_running >= limits.trials:
            return True
        if limits.seconds is not None and time.monotonic() - self.started >= limits.seconds:
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

    def stop_at_limit(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if self.limit_reached():
            study.stop()


def _read_trials(study: optuna.Study) -> None:
    """Read all trials once; the storage keeps the finished ones.

    Without the garbage collector, which takes two thirds of the time of 2,000 trials: again and again it would look
    through all that torch has brought along, while nothing that is read here is garbage.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        study.get_trials(deepcopy=False)
    finally:
        if collecting:
            gc.enable()


def _set_attributes(trial: optuna.Trial, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
