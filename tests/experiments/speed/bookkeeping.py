"""What a trial costs besides its training, in a short and in a long study: ours, and Optuna's sampler and storage.

Run: `python -m tests.experiments.speed.bookkeeping [--trials 20 2000] [--sampler random]`. Studies of so many trials
are made in memory, then `--measured` more trials are timed, one by one; medians are printed. The objective is free: it
returns a made-up score. Storage includes every list of all trials, also when we ask Optuna for one. Times are processor
time, because machines are busy, and without the garbage collector, which comes when it likes. Not a test; a test of
tiny size runs it.
"""

import argparse
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import optuna
from optuna.trial import TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route, compile_route
from tuition.planner.sampler import SAMPLERS, SeededSampler
from tuition.planner.scores.outcome import Outcome
from tuition.planner.study import SearchOptions, StudyLimits, search
from tuition.runners.scenarios.scenario import Scenario

MEASURED = 30


class Stopwatch:
    """Processor time within the calls that it wraps; a wrapped call within another counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        if self._inside:
            yield
            return
        self._inside, started = True, time.thread_time()
        try:
            yield
        finally:
            self.seconds += time.thread_time() - started
            self._inside = False

    def wrap(self, thing: Any, *names: str) -> None:
        """Count the calls of methods of an object."""
        for name in names:
            setattr(thing, name, self._counted(getattr(thing, name)))

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self.running():
                return method(*arguments, **options)

        return call


def fill(study: optuna.Study, scenario: Scenario, trials: int) -> None:
    """Give a study so many finished trials of random allocations."""
    for allocation in scenario.space.random_allocations(trials, seed=1):
        route = compile_route(allocation, scenario.recipe, 0)
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                value=made_up_score(allocation),
                params=scenario.space.params_of(allocation),
                distributions=scenario.space.distributions(),
                user_attrs={"route_key": route.key, "allocation": str(allocation), "gpu_seconds": 1.0},
            )
        )


def made_up_score(allocation: Allocation) -> float:
    """A score between 0 and 1."""
    return (allocation.teacher_label_blocks + 2 * allocation.student_label_blocks + allocation.opd) / 32


def milliseconds(scenario: Scenario, sampler: str, trials: int, measured: int) -> tuple[float, float]:
    """Medians over `measured` trials after the first `trials`: milliseconds of ours, and of Optuna's, for one trial."""
    study = optuna.create_study(sampler=SeededSampler(sampler, 0), direction="maximize")
    fill(study, scenario, trials)
    optunas = Stopwatch()
    ends: list[float] = []
    spent: list[float] = []
    storage = study._storage
    optunas.wrap(storage, *(name for name in dir(storage) if name[0] != "_" and callable(getattr(storage, name))))
    inner = study.sampler._build  # type: ignore[attr-defined]

    def build(draw: int) -> Any:
        with optunas.running():
            made = inner(draw)
        optunas.wrap(made, "before_trial", "infer_relative_search_space", "sample_relative", "sample_independent")
        optunas.wrap(made, "after_trial")
        return made

    study.sampler._build = build  # type: ignore[attr-defined]

    def evaluate(number: int, allocation: Allocation, route: Route, _: Sequence[Checkpoint]) -> Outcome:
        return Outcome(made_up_score(allocation), {"gpu_seconds": 1.0})

    def compile_new(allocation: Allocation) -> Route:
        # Always a route that was not evaluated before, so that all trials are of one kind.
        return replace(compile_route(allocation, scenario.recipe, 0), final=f"new {len(ends)}")

    def note(*_: object) -> None:
        ends.append(time.thread_time())
        spent.append(optunas.seconds)

    limits = StudyLimits(trials=trials + measured + 1, gpu_seconds=1e9)
    gc.disable()
    try:
        search(study, scenario.space, compile_new, evaluate, limits, SearchOptions(note))
    finally:
        gc.enable()
    whole = [later - earlier for earlier, later in pairwise(ends)]
    theirs = [later - earlier for earlier, later in pairwise(spent)]
    ours = [all_of_it - part for all_of_it, part in zip(whole, theirs, strict=True)]
    return 1e3 * statistics.median(ours), 1e3 * statistics.median(theirs)


def main() -> None:
    """Print a table: one line for each number of trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 2000])
    parser.add_argument("--measured", type=int, default=MEASURED)
    parser.add_argument("--sampler", choices=SAMPLERS, default="random")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    scenario = Scenario.load("micro")
    print("| trials | ours, ms a trial | Optuna's storage and sampler, ms a trial |\n| --- | --- | --- |")
    for trials in given.trials:
        ours, theirs = milliseconds(scenario, given.sampler, trials, given.measured)
        print(f"| {trials:,} | {ours:.2f} | {theirs:.2f} |")


if __name__ == "__main__":
    main()
