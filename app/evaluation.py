"""The test protocol: finalists and baselines, retrained on seeds that the search never used, scored on the test suite.

Test scores exist only here, after a search has stopped; nothing of them flows back into the study.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from app.channel import logged
from app.progress import Reporter
from app.provenance import CODE_VERSION, command_line
from app.study_report import EvaluatedBlocks, EvaluatedRun, EvaluatedScenario, Evaluation, Pair
from app.workers import Remote, run_workers
from benchmarks.leaderboard import Meta, RankedRow, Row, pairwise_differences, rank_rows
from benchmarks.multiplicity import holm, sign_flip
from benchmarks.records import RecordError, correct_PK
from benchmarks.statistics import paired_difference, score_interval, score_over_seeds, seed_interval
from planner.allocation import Allocation, replay_control
from planner.route import Recipe, Route, compile_route
from planner.stages import STAGES
from runners.engine import LocalEngine, RouteRun
from runners.events import PhaseBegan, RunDone
from runners.meter import accelerator_name
from runners.scenario import Scenario

REFERENCE = "direct"
FIRST_TEST_SEED = 1000


@dataclass(frozen=True)
class Entry:
    """What is to be retrained and tested."""

    name: str
    allocation: Allocation
    finalist: bool = False
    selected_validation: float | None = None
    shuffled: bool = False
    """Its labels are trained by one ordinary shuffled run, in the scenario's `ordinary` form."""
    charged_gpu_seconds: tuple[float, ...] | None = None
    """What is charged for each seed, where it is more than the route: a longer chain was trained to choose it."""

    def route(self, recipe: Recipe, seed: int) -> Route:
        """Its route for one seed; `recipe` is of the `ordinary` scenario when the entry is shuffled."""
        counts = self.allocation.model_dump()
        if self.shuffled:
            counts |= {stage.name: min(1, counts[stage.name]) for stage in STAGES if stage.is_rl}
        return compile_route(Allocation(**counts), recipe, seed)


def ordinary(scenario: Scenario) -> Scenario:
    """The scenario with one label block that holds all labels and all steps: ordinary shuffled training."""
    blocks = scenario.recipe.num_label_blocks
    stages = scenario.file.stages
    for stage in STAGES:
        if stage.is_rl:
            stages = stages.changed(stage.name, steps=stages.of(stage.name).steps * blocks)
    changes = {"labels_per_block": len(scenario.labels), "stages": stages}
    return Scenario(scenario.file.model_copy(update=changes), scenario.folder)


def test_seeds(study_seed: int, count: int) -> tuple[int, ...]:
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


def train_in_workers(
    scenario_name: str,
    results: Path,
    mix_versions: bool,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    study: str,
    workers: int,
    log: Path,
    reporter: Reporter,
) -> None:
    """Train and score all entries on all seeds in worker processes; `evaluate` then finds everything in the store.

    The workers write to `log`, and their events beside it.
    """
    # Neighbours differ in their seed where they can: routes of one seed wait for each other's shared blocks.
    tasks = [(entry, seed) for entry in entries for seed in seeds]
    reporter.hear(PhaseBegan(title=f"test in {workers} workers", done=0, total=len(tasks)))
    arguments = (scenario_name, results, mix_versions, tasks, study, log)
    run_workers(workers, test_worker, arguments, reporter, num_tasks=len(tasks))


def test_worker(
    scenario_name: str,
    results: Path,
    mix_versions: bool,
    tasks: Sequence[tuple[Entry, int]],
    study: str,
    log: Path,
    remote: Remote,
) -> None:
    """One worker's part of a test."""
    scenario = Scenario.load(scenario_name)
    with logged(log, remote), ExitStack() as stack:
        engine = stack.enter_context(closing(LocalEngine(scenario, results, remote.hear, mix_versions)))
        shuffled = None
        if any(entry.shuffled for entry, _ in tasks):
            shuffled = stack.enter_context(closing(LocalEngine(ordinary(scenario), results, remote.hear, mix_versions)))
        for number in remote.tasks():
            entry, seed = tasks[number]
            used = _engine_of(entry, engine, shuffled)
            run = used.run(entry.route(used.scenario.recipe, seed), study)
            used.score(run.route.final, "test", study)
            name, result = f"{entry.name} (seed {seed})", "trained and scored"
            remote.hear(RunDone(name=name, result=result, done=number + 1, total=len(tasks)))


def evaluate(
    engine: LocalEngine,
    scenario: Scenario,
    study: str,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    reporter: Reporter,
    shuffled: LocalEngine | None = None,
) -> tuple[list[RankedRow], Meta, Evaluation]:
    """Train every entry on every seed, score the test suite, compare each with direct GRPO.

    `shuffled` is an engine of the `ordinary` scenario, for the entries that need one.
    Returns the ranked rows, what they share, and an account of the runs.
    """
    outcomes: dict[str, list[Any]] = {entry.name: [] for entry in entries}
    expected_ids = sorted(problem.id for problem in scenario.test)
    runs: dict[str, list[RouteRun]] = {entry.name: [] for entry in entries}
    scores: dict[str, list[str]] = {entry.name: [] for entry in entries}
    total, done = len(entries) * len(seeds), 0
    reporter.hear(PhaseBegan(title=f"test on {scenario.suite_name('test')}", done=0, total=total))
    for seed in seeds:
        for entry in entries:
            used = _engine_of(entry, engine, shuffled)
            run = used.run(entry.route(used.scenario.recipe, seed), study)
            scored = used.score(run.route.final, "test", study)
            table = scored.table
            outcomes[entry.name].append(outcomes_of(table, expected_ids))
            runs[entry.name].append(run)
            scores[entry.name].append(scored.key)
            done += 1
            name, result = f"{entry.name} (seed {seed})", f"test {table['correct'].mean():.1%}"
            reporter.hear(RunDone(name=name, result=result, done=done, total=total))
            reporter.check()
    rows = [
        Row(
            name=entry.name,
            allocation=str(entry.allocation),
            kind="finalist" if entry.finalist else "baseline",
            score=score_over_seeds(outcomes[entry.name]),
            difference=None
            if entry.name == REFERENCE
            else paired_difference(outcomes[entry.name], outcomes[REFERENCE]),
            selected_validation=entry.selected_validation,
            labels_trained=runs[entry.name][0].labels.labels_trained,
            gpu_seconds=fmean(entry.charged_gpu_seconds or [run.gpu_seconds_full for run in runs[entry.name]]),
            seeds=tuple(seeds),
            shuffled=entry.shuffled,
        )
        for entry in entries
    ]
    meta = Meta(
        study=study,
        suite=scenario.suite_name("test"),
        decoding=scenario.decoding.name,
        labels_validation=len(scenario.validation),
        labels_owned=engine.ledger.owned(study) + len(scenario.validation),
    )
    pairwise = pairwise_differences(outcomes)
    adjusted = holm([difference.p_value for difference in pairwise.values()])
    compared = [
        Pair(
            a=a,
            b=b,
            difference=difference,
            p_value_holm=p_value,
            sign_flip=sign_flip(outcomes[a], outcomes[b]),
            these_problems=seed_interval(outcomes[a], outcomes[b]) if len(seeds) > 1 else None,
        )
        for ((a, b), difference), p_value in zip(pairwise.items(), adjusted, strict=True)
    ]
    evaluation = Evaluation(
        blocks=_evaluated_blocks(runs, reporter.trained_keys),
        runs={name: _evaluated_runs(several, scores[name]) for name, several in runs.items()},
        command=command_line(),
        code_version=CODE_VERSION,
        versions=engine.trainer.versions,
        scenario=EvaluatedScenario(name=scenario.name, sha256=scenario.sha256),
        accelerator=_accelerators(scenario, runs),
        intervals={name: score_interval(several) for name, several in outcomes.items()},
        pairwise=tuple(compared),
    )
    return rank_rows(rows, pairwise), meta, evaluation


def _accelerators(scenario: Scenario, runs: Mapping[str, Sequence[RouteRun]]) -> str:
    """The devices that trained the runs' blocks, as the records of those that were still in the store name them."""
    uses = [use for several in runs.values() for run in several for use in run.blocks]
    names = {use.record.accelerator for use in uses if use.record is not None}
    return ", ".join(sorted(names)) or accelerator_name(scenario.device)


def _engine_of(entry: Entry, blocked: LocalEngine, shuffled: LocalEngine | None) -> LocalEngine:
    if not entry.shuffled:
        return blocked
    if shuffled is None:
        raise ValueError(f"{entry.name!r} is to be shuffled: give an engine of the ordinary scenario")
    return shuffled


def outcomes_of(table: pd.DataFrame, expected_ids: list[str]) -> Any:
    """Outcomes (problems, samples) in the order of the ids; RecordError when the table is of other problems."""
    ids, outcomes_PK = correct_PK(table)
    if ids != expected_ids:
        raise RecordError(
            f"a stored score has the problems {ids[0]}..{ids[-1]} and the suite {expected_ids[0]}..{expected_ids[-1]}: "
            "the suite's ids were changed; use another --results folder"
        )
    return outcomes_PK


def _evaluated_blocks(runs: Mapping[str, Sequence[RouteRun]], trained_now: Sequence[str]) -> EvaluatedBlocks:
    """Blocks of tested runs; `trained_now` are the keys of those that this call has trained."""
    every = [use.key for several in runs.values() for run in several for use in run.blocks]
    distinct = set(every)
    executed = sum(key in distinct for key in trained_now)
    return EvaluatedBlocks(requested=len(every), executed=executed, distinct=len(distinct))


def _evaluated_runs(runs: Sequence[RouteRun], scores: Sequence[str]) -> tuple[EvaluatedRun, ...]:
    """The runs of an entry; `scores` are their score keys, from which a leaderboard entry finds its samples."""
    return tuple(
        EvaluatedRun(
            seed=run.route.seed,
            blocks=tuple(use.key for use in run.blocks),
            weights_sha256=run.weights_sha256,
            score=score,
            gpu_seconds_full=round(run.gpu_seconds_full, 3),
            labels_trained=run.labels.labels_trained,
        )
        for run, score in zip(runs, scores, strict=True)
    )
