"""The test protocol: finalists and baselines, retrained on seeds that the search never used, scored on the test suite.

Test scores exist only here, after a search has stopped; nothing of them flows back into the study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import pandas as pd

from tuition.app.processes.channel import logged
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.processes.workers import Remote, run_workers
from tuition.app.studies.study_report import (
    EvaluatedBlocks,
    EvaluatedRun,
    EvaluatedScenario,
    Evaluation,
    Pair,
)
from tuition.benchmarks.artefacts import RecordError, correct_PK
from tuition.benchmarks.baselines import RAW_TEACHER, UNTRAINED_STUDENT
from tuition.benchmarks.boards.ranked_rows import (
    Meta,
    Pairwise,
    RankedRow,
    Row,
    on_same_seeds,
    pairwise_differences,
    rank_rows,
    ranked_names,
)
from tuition.benchmarks.provenance import CODE_VERSION, command_line
from tuition.benchmarks.statistics.intervals import (
    Interval,
    score_interval,
    score_over_seeds,
    seed_interval,
)
from tuition.benchmarks.statistics.multiplicity import difference_of, holm, sign_flip
from tuition.benchmarks.statistics.seed_variance import MODERATED
from tuition.planner.allocation import Allocation, replay_control
from tuition.planner.route import Recipe, Route, compile_route
from tuition.planner.stages import STUDENT
from tuition.runners.events import PhaseBegan, RunDone
from tuition.runners.labels import account_of_test
from tuition.runners.route_runner import RouteRun, RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.meter import accelerator_name

REFERENCE = "direct"
FIRST_TEST_SEED = 1000


@dataclass(frozen=True)
class Entry:
    """What is to be retrained and tested.

    A base model (`untrained`) has the allocation without blocks, and is tested once: no training seed changes it.
    """

    name: str
    allocation: Allocation
    finalist: bool = False
    selected_validation: float | None = None
    shuffled: bool = False
    """Its labels are trained by ordinary shuffled runs, one a stage, as one trains a model to deploy."""
    charged_gpu_seconds: tuple[float, ...] | None = None
    """What is charged for each seed, where it is more than the route: a longer chain was trained to choose it."""
    model: str = STUDENT
    """Which base model it is, where it is one: the student, or a teacher by its name."""

    @property
    def untrained(self) -> bool:
        """Whether it is a base model."""
        return self.allocation == Allocation()

    @property
    def kind(self) -> Literal["finalist", "baseline", "untrained", "teacher"]:
        """What it is in a leaderboard."""
        if self.untrained:
            return "untrained" if self.model == STUDENT else "teacher"
        return "finalist" if self.finalist else "baseline"

    @property
    def described(self) -> str:
        """Its allocation as text, or the base model that it is."""
        return str(self.allocation) if self.model == STUDENT else f"base:{self.model}"

    def as_deployed(self) -> "Entry":
        """The same, its label stages trained by ordinary runs; itself where it trains on no label."""
        return replace(self, shuffled=self.allocation.label_blocks > 0)

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """Those of the seeds with which it is run."""
        return seeds[:1] if self.untrained else seeds

    def route(self, recipe: Recipe, seed: int) -> Route:
        """Its route for one seed."""
        if self.model != STUDENT:
            return Route(self.allocation, seed, (), recipe.teachers[self.model])
        return compile_route(self.allocation, recipe, seed, ordinary=self.shuffled)


def seeds_for_test(study_seed: int, count: int) -> tuple[int, ...]:
    """Training seeds for the test: never the study's own."""
    return tuple(FIRST_TEST_SEED * (i + 1) + study_seed for i in range(count))


def merge_entries(baselines: Mapping[str, Allocation], finalists: Sequence[Entry]) -> list[Entry]:
    """Finalists, baselines and the finalists' replay controls, one entry per allocation.

    A finalist that is a baseline carries both names. Only a finalist that trains on labels of both has a control.
    """
    by_allocation = {allocation: name for name, allocation in baselines.items()}
    chosen = {entry.allocation for entry in finalists}
    named = [
        Entry(
            f"{by_allocation[e.allocation]} = {e.name}"
            if e.allocation in by_allocation and by_allocation[e.allocation] != REFERENCE
            else (REFERENCE if e.allocation in by_allocation else e.name),
            e.allocation,
            finalist=True,
            selected_validation=e.selected_validation,
        )
        for e in finalists
    ]
    controls = {
        replay_control(e.allocation): f"replay of {e.name}"
        for e in finalists
        if e.allocation.teacher_label_blocks and e.allocation.student_rl and not e.allocation.replay
    }
    return (
        named
        + [Entry(name, a) for name, a in baselines.items() if a not in chosen]
        + [Entry(name, a) for a, name in controls.items() if a not in chosen | by_allocation.keys()]
    )


def base_entries(teacher: str) -> list[Entry]:
    """The models before any training: the student, and a teacher by its name."""
    return [Entry(UNTRAINED_STUDENT, Allocation()), Entry(RAW_TEACHER, Allocation(), model=teacher)]


def train_in_workers(
    run: RunConfiguration, entries: Sequence[Entry], seeds: Sequence[int], study: str, log: Path, reporter: Reporter
) -> None:
    """Train and score all entries on all seeds in worker processes; `evaluate` then finds everything in the store.

    The workers write to `log`, and their events beside it.
    """
    # Neighbours differ in their seed where they can: routes of one seed wait for each other's shared blocks.
    tasks = [(entry, seed) for entry in entries for seed in entry.seeds(seeds)]
    reporter.hear(PhaseBegan(title=f"test in {run.workers} workers", done=0, total=len(tasks)))
    run_workers(run.workers, entry_worker, (run, tasks, study, log), reporter, num_tasks=len(tasks))


def entry_worker(
    run: RunConfiguration, tasks: Sequence[tuple[Entry, int]], study: str, log: Path, remote: Remote
) -> None:
    """One worker's part of a test."""
    scenario = run.load_scenario()
    with logged(log, remote), run.open_runner(scenario, remote) as runner:
        for number in remote.tasks():
            entry, seed = tasks[number]
            done = runner.run(entry.route(scenario.recipe, seed), account_of_test(study))
            runner.score(done.route.final, "test", account_of_test(study))
            name, result = f"{entry.name} (seed {seed})", "trained and scored"
            remote.hear(RunDone(name=name, result=result, done=number + 1, total=len(tasks)))


@dataclass(frozen=True)
class _Tested:
    """An entry's training runs, seed by seed, with their score keys and their outcomes (problems, samples)."""

    entry: Entry
    runs: list[RouteRun] = field(default_factory=list)
    scores: list[str] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)


def evaluate(
    runner: RouteRunner, study: str, entries: Sequence[Entry], seeds: Sequence[int], reporter: Reporter
) -> tuple[list[RankedRow], Meta, Evaluation]:
    """Train every entry on every seed, score the test suite, compare each with direct GRPO.

    Returns the ranked rows, what they share, and an account of the runs.
    """
    scenario = runner.scenario
    tested = _train_and_score(runner, study, entries, seeds, reporter)
    outcomes = {one.entry.name: one.outcomes for one in tested}
    pairwise = pairwise_differences(outcomes)
    rows = [_row(one, pairwise) for one in tested]
    # Of students alone: a teacher takes part in no rank, and no other pair is corrected for it.
    students = {row.name for row in rows if row.kind != "teacher"}
    between_students = {pair: difference for pair, difference in pairwise.items() if students.issuperset(pair)}
    meta = Meta(
        study=study,
        suite=scenario.suite_name("test"),
        decoding=scenario.decoding.name,
        labels_validation=len(scenario.validation),
        labels_owned=runner.ledger.owned(study) + len(scenario.validation),
        seed_variance=MODERATED,
        grader=scenario.policy.version,
    )
    evaluation = Evaluation(
        blocks=_evaluated_blocks(tested, reporter.trained_keys),
        runs={one.entry.name: _evaluated_runs(one) for one in tested},
        command=command_line(),
        code_version=CODE_VERSION,
        versions=runner.trainer.versions,
        scenario=EvaluatedScenario(name=scenario.name, sha256=scenario.sha256),
        accelerator=_accelerators(scenario, tested),
        intervals={one.entry.name: _interval(one) for one in tested},
        pairwise=_pairs(outcomes, between_students, ranked_names(rows)),
    )
    return rank_rows(rows, pairwise), meta, evaluation


def _train_and_score(
    runner: RouteRunner, study: str, entries: Sequence[Entry], seeds: Sequence[int], reporter: Reporter
) -> list[_Tested]:
    suite, expected_ids = runner.scenario.suite_name("test"), sorted(problem.id for problem in runner.scenario.test)
    tested = [_Tested(entry) for entry in entries]
    total, done = sum(len(entry.seeds(seeds)) for entry in entries), 0
    reporter.hear(PhaseBegan(title=f"test on {suite}", done=0, total=total))
    for seed in seeds:
        for one in tested:
            if seed not in one.entry.seeds(seeds):
                continue
            run = runner.run(one.entry.route(runner.scenario.recipe, seed), account_of_test(study))
            scored = runner.score(run.route.final, "test", account_of_test(study))
            one.runs.append(run)
            one.scores.append(scored.key)
            one.outcomes.append(outcomes_of(scored.table, expected_ids))
            done += 1
            name = one.entry.name if one.entry.untrained else f"{one.entry.name} (seed {seed})"
            result = f"test {scored.table['correct'].mean():.1%}"
            reporter.hear(RunDone(name=name, result=result, done=done, total=total))
            reporter.check()
    return tested


def _row(tested: _Tested, pairwise: Pairwise) -> Row:
    """A row of the leaderboard, with its difference to direct GRPO."""
    entry = tested.entry
    return Row(
        name=entry.name,
        allocation=entry.described,
        kind=entry.kind,
        score=score_over_seeds(tested.outcomes),
        difference=None if entry.name == REFERENCE else difference_of(pairwise, entry.name, REFERENCE),
        selected_validation=entry.selected_validation,
        labels_trained=tested.runs[0].labels.labels_trained,
        gpu_seconds=fmean(entry.charged_gpu_seconds or [run.gpu_seconds_full for run in tested.runs]),
        seeds=() if entry.untrained else tuple(run.route.seed for run in tested.runs),
        shuffled=entry.shuffled,
    )


def _pairs(outcomes: Mapping[str, Sequence[Any]], pairwise: Pairwise, ranked: Sequence[str]) -> tuple[Pair, ...]:
    """Every pair of rows with its difference; those of `ranked` rows corrected for the number of their pairs."""
    compared = [pair for pair in pairwise if set(ranked).issuperset(pair)]
    adjusted = dict(zip(compared, holm([pairwise[pair].p_value for pair in compared]), strict=True))
    pairs = []
    for (a, b), difference in pairwise.items():
        both = on_same_seeds(outcomes[a], outcomes[b])
        pairs.append(
            Pair(
                a=a,
                b=b,
                difference=difference,
                p_value_holm=adjusted.get((a, b)),
                sign_flip=sign_flip(*both),
                these_problems=seed_interval(*both) if len(both[0]) > 1 else None,
            )
        )
    return tuple(pairs)


def _interval(tested: _Tested) -> Interval:
    """Of a row's score; that of a base model leaves no training variance out, because there is none."""
    interval = score_interval(tested.outcomes)
    return replace(interval, excludes_training_variance=False) if tested.entry.untrained else interval


def _accelerators(scenario: Scenario, tested: Sequence[_Tested]) -> str:
    """The devices that trained the runs' blocks, as the records of those that were still in the store name them."""
    uses = [use for one in tested for run in one.runs for use in run.blocks]
    names = {use.record.accelerator for use in uses if use.record is not None}
    return ", ".join(sorted(names)) or accelerator_name(scenario.device)


def outcomes_of(table: pd.DataFrame, expected_ids: list[str]) -> Any:
    """Outcomes (problems, samples) in the order of the ids; RecordError when the table is of other problems."""
    ids, outcomes_PK = correct_PK(table)
    if ids != expected_ids:
        raise RecordError(
            f"a stored score has the problems {ids[0]}..{ids[-1]}, but the suite has "
            f"{expected_ids[0]}..{expected_ids[-1]}: its ids were changed; use another --results folder"
        )
    return outcomes_PK


def _evaluated_blocks(tested: Sequence[_Tested], trained_now: Sequence[str]) -> EvaluatedBlocks:
    """Blocks of tested runs; `trained_now` are the keys of those that this call has trained."""
    every = [use.key for one in tested for run in one.runs for use in run.blocks]
    distinct = set(every)
    executed = sum(key in distinct for key in trained_now)
    return EvaluatedBlocks(requested=len(every), executed=executed, distinct=len(distinct))


def _evaluated_runs(tested: _Tested) -> tuple[EvaluatedRun, ...]:
    """The runs of an entry, with the score keys from which a leaderboard entry finds its samples."""
    return tuple(
        EvaluatedRun(
            seed=None if tested.entry.untrained else run.route.seed,
            blocks=tuple(use.key for use in run.blocks),
            weights_sha256=run.weights_sha256,
            score=score,
            gpu_seconds_full=round(run.gpu_seconds_full, 3),
            labels_trained=run.labels.labels_trained,
        )
        for run, score in zip(tested.runs, tested.scores, strict=True)
    )
