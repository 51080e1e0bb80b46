"""A search over allocations, as an Optuna study.

The study holds validation scores only. It is safe to kill and to repeat: draws depend on (study seed, trial number) and
on the finished trials, an interrupted trial is taken up again, and a command that has reached its limit trains nothing.
So is a trial that the machine failed. Several processes may work on one study at once.

Simplified: a limit is checked between trials, so a running trial is never cut short.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.allocation import Allocation
from tuition.planner.route import Route
from tuition.planner.sampler import SeededSampler
from tuition.planner.scores.readable import name_metric
from tuition.planner.searching.trial_loop import Evaluate, SearchOptions, StudyLimits, TrialLoop
from tuition.planner.space import SearchSpace
from tuition.planner.storage import open_storage
from tuition.planner.study_identity import hold_to_scenario, hold_to_space
from tuition.planner.trials import REPEAT_OF, ROUTE_KEY, best_of_routes


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
    # One that is running may have been killed before it could say what it is at.
    waiting = [
        trial.system_attrs.get("fixed_params")
        for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
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
    trial, with "error" (and "log_path", when the exception has one) in the record, and the search continues. After a
    `MachineError`, and where the database does not answer, the trial waits again and is taken up once more. A keyboard
    interrupt lets it wait too, and passes through.

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
        SearchError: after three failures in a row with the same error, and when the machine fails three times in a row.
    """
    hold_to_space(study, space)
    loop = TrialLoop(study, space, compile, evaluate, limits, options or SearchOptions())
    loop.run()
    return loop.stopped


def finalists(study: optuna.Study, count: int = 2) -> list[FrozenTrial]:
    """The best complete trials with distinct routes, best first; the earlier trial where values are equal."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return best_of_routes([trial for trial in complete if REPEAT_OF not in trial.user_attrs])[:count]


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
