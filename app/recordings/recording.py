"""`tuition record`: about 150 routes of a scenario, trained for real with several seeds, into one table for replay.

Every route is run by the runner like any other, scored on both suites and written down at once, in
`<results>/recorded/<scenario>/<seed>/<allocation>.json`: blocks may then be evicted. The table is rewritten after
every seed, and when the recording stops. The same command resumes: what the table or these files hold is not run again.

`direct-compute` is chosen from a chain of replay blocks on direct GRPO, which must reach the compute of the paper's
rule. Its length is foreseen, and made longer after a seed where the measured seconds ask for it.

Simplified: one recording of a scenario at a time in a results folder. Two that write one table from two results
folders may each lose rows of the other from the table, never their own files.
"""

import logging
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

from filelock import FileLock, Timeout

from tuition.app.processes.channel import Channel, logged
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.processes.workers import Remote, run_workers
from tuition.app.recordings.recording_plan import (
    RecordRequest,
    chosen_checkpoints,
    existing_table,
    header_of,
    read_rows,
    scenario_label,
    training_order,
)
from tuition.app.recordings.table_summary import describe_table
from tuition.app.storage.store_upkeep import StoreLimit
from tuition.app.studies.direct_compute import CLOCK_SECONDS, extended, replays_of_direct
from tuition.app.studies.evaluation import outcomes_of
from tuition.benchmarks.artefacts import write_json
from tuition.benchmarks.baselines import UPSTREAM
from tuition.benchmarks.one_line import printable
from tuition.benchmarks.provenance import CODE_VERSION, command_line, without_folders
from tuition.benchmarks.results_folder import RecordingFolder
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.benchmarks.tables.recorded_table import (
    RecordedBlock,
    RecordedRun,
    RecordedTable,
    recorded_seeds,
    role_of,
    with_first_prices,
    write_table,
)
from tuition.benchmarks.tables.table_header import UntrainedScore
from tuition.planner.allocation import Allocation, Checkpoint, parse_checkpoint
from tuition.planner.route import Route, compile_checkpoint
from tuition.planner.stages import STUDENT
from tuition.runners.events import PhaseBegan, RunDone
from tuition.runners.route_runner import RouteRun, RouteRunner, Scored
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.eviction import gpu_seconds_at_stake
from tuition.runners.training.meter import accelerator_name

MAX_FAILURES_IN_A_ROW = 3

logger = logging.getLogger(__name__)

Run = tuple[Checkpoint, int]


@dataclass(frozen=True)
class Tasks:
    """Runs that are handed out together, and how far the recording is when they begin."""

    runs: tuple[tuple[str, int], ...]
    """Checkpoint and seed of each."""
    recorded: int
    done_before: int
    """The recorded runs that were there when the command started."""
    total: int


class RecordingError(RuntimeError):
    """A recording that could not be completed, or is running elsewhere; one line with the fix."""


def run_recording(request: RecordRequest) -> dict[str, Any]:
    """Record what is missing, and describe the table."""
    scenario = request.run.load_scenario()
    warnings = check_models(scenario)
    path = request.table_path(scenario)
    folder = request.run.folder.recording(scenario.sha256)
    before = existing_table(path, scenario)
    checkpoints = chosen_checkpoints(scenario, request, before)
    folder.path.mkdir(parents=True, exist_ok=True)
    with _only_one(folder), Reporter(request.run.quiet) as reporter, logged(folder.log, reporter):
        for warning in warnings:
            reporter.say(f"warning: {warning}")
        recording = _Recording(request, scenario, path, before, reporter)
        recording.record(checkpoints)
    return describe_table(path)


@contextmanager
def _only_one(folder: RecordingFolder) -> Iterator[None]:
    lock = FileLock(folder.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RecordingError(
            f"another recording is running in {folder.path}: wait until it is done, or stop it first"
        ) from None
    try:
        yield
    finally:
        lock.release()


class _Recording:
    """One call of the command."""

    def __init__(
        self, request: RecordRequest, scenario: Scenario, path: Path, before: RecordedTable | None, reporter: Reporter
    ):
        self.run = request.run
        self.scenario = scenario
        self.path = path
        self.before = before
        self.reporter = reporter
        self.header = header_of(scenario)
        self.folder = self.run.folder.recording(scenario.sha256)
        self.seeds = recorded_seeds(request.num_seeds)
        self.only = request.only

    def record(self, checkpoints: Sequence[Checkpoint]) -> None:
        """All checkpoints with all seeds, seed by seed, and the chain of direct-compute as long as it must be."""
        self.wanted = {(checkpoint, seed) for seed in self.seeds for checkpoint in checkpoints}
        self.done_before = len(self.done() & self.wanted)
        self.header = self.header.model_copy(update=self.untrained())
        title = f"record {scenario_label(self.scenario)}"
        self.reporter.hear(PhaseBegan(title=title, done=self.done_before, total=len(self.wanted)))
        try:
            for index, seed in enumerate(self.seeds):
                self.train([(checkpoint, seed) for checkpoint in checkpoints])
                if not self.only:
                    self.extend_chain(self.seeds[: index + 1])
                self.write()
        except BaseException:
            self.write()
            raise
        missing = self.wanted - self.done()
        if missing:
            checkpoint, seed = min(missing, key=lambda run: (run[1], str(run[0])))
            raise RecordingError(
                f"{len(missing)} of {len(self.wanted)} runs failed, such as '{checkpoint}' with seed {seed}: see "
                f"{self.folder.log}; rerun the same command to retry them"
            )

    def done(self) -> set[Run]:
        """What is recorded, in the table or in files."""
        return {(parse_checkpoint(run.allocation), run.seed) for run in self.rows()}

    def rows(self) -> list[RecordedRun]:
        """The rows of the table that was there, then those of files, in the order in which they were made."""
        before = list(self.before.rows) if self.before else []
        known = {(run.allocation, run.seed) for run in before}
        made = [run for run in read_rows(self.folder) if (run.allocation, run.seed) not in known]
        return before + sorted(made, key=lambda run: (run.date, run.seed, run.allocation))

    def untrained(self) -> dict[str, Any]:
        """The header's scores of the student and of every teacher before any training, sampled once."""
        before = self.before.header if self.before is not None else None
        if before is not None and before.untrained:
            return {"untrained": before.untrained, "untrained_validation": before.untrained_validation}
        scenario, recipe = self.scenario, self.scenario.recipe
        study = f"record:{scenario.sha256[:12]}"
        tests, validations = {}, {}
        with self.run.open_runner(scenario, self.reporter) as runner:
            for name, content in {STUDENT: recipe.student, **recipe.teachers}.items():
                tests[name] = _counts(scenario, "test", runner.score(content, "test", study))
                scored = runner.score(content, "validation", study)
                counts = _counts(scenario, "validation", scored)
                validations[name] = UntrainedScore(correct=counts, gpu_seconds=_score_price(runner, scored))
        return {"untrained": tests, "untrained_validation": validations}

    def write(self) -> None:
        """Rewrite the table, if there is anything to write."""
        rows = self.rows()
        if rows and (self.before is None or len(rows) > len(self.before.rows)):
            self.before = write_table(self.path, self.header, rows)
            size = self.path.stat().st_size
            self.reporter.say(f"{self.path}: {len(rows)} rows, {size / 1e6:.2f} MB")

    def train(self, runs: Sequence[Run]) -> None:
        """Those of the runs that are not recorded."""
        done = self.done()
        self.wanted |= set(runs)
        todo = [run for run in runs if run not in done]
        if not todo:
            return
        workers = min(self.run.workers, len(todo))
        routes = {
            seed: training_order(
                [compile_checkpoint(c, self.scenario.recipe, seed) for c, s in todo if s == seed], workers
            )
            for seed in dict.fromkeys(seed for _, seed in todo)
        }
        ordered = tuple((str(route.checkpoint), route.seed) for several in routes.values() for route in several)
        tasks = Tasks(ordered, len(done & self.wanted), self.done_before, len(self.wanted))
        if workers > 1:
            run_workers(workers, record_worker, (self.run, tasks), self.reporter, num_tasks=len(ordered))
            return
        with (
            Interrupts(self.reporter.say) as interrupts,
            self.run.open_runner(self.scenario, self.reporter) as runner,
        ):
            self.reporter.check = interrupts.check
            _record_tasks(runner, self.run.max_store_bytes, tasks, range(len(ordered)), self.reporter)

    def extend_chain(self, seeds: Sequence[int]) -> None:
        """Replay blocks on direct GRPO until their mean cost over the seeds reaches that of the paper's rule."""
        blocks = self.scenario.recipe.num_label_blocks
        upstream = Allocation.parse(self.header.names[UPSTREAM])
        while True:
            # At the prices of the table, where a retrained block keeps its first.
            rows = with_first_prices(self.rows())
            full = {(parse_checkpoint(run.allocation), run.seed): run.gpu_seconds_full for run in rows}
            target = [full.get((upstream, seed)) for seed in seeds]
            lengths = replays_of_direct((one for one, _ in full if isinstance(one, Allocation)), blocks)
            length = max(lengths, default=0)
            reached = [full.get((extended(blocks, length), seed)) for seed in seeds]
            if None in target or not lengths:
                return  # a route of theirs has failed, and the recording says so at its end
            if None not in reached:
                mean_target, mean = (fmean(x for x in several if x is not None) for several in (target, reached))
                if mean >= mean_target:
                    return
                price = max(mean / (blocks + length), CLOCK_SECONDS)
                length += ceil((mean_target - mean) / price)
            before = len(self.done())
            chain = [(extended(blocks, replay), seed) for seed in seeds for replay in range(length + 1)]
            self.reporter.say(f"direct-compute: its chain needs {length} replay blocks")
            self.train(chain)
            if len(self.done()) == before:
                return


def record_worker(run: RunConfiguration, tasks: Tasks, remote: Remote) -> None:
    """One worker's part of the runs."""
    scenario = run.load_scenario()
    folder = run.folder.recording(scenario.sha256)
    with logged(folder.log, remote), run.open_runner(scenario, remote) as runner:
        _record_tasks(runner, run.max_store_bytes, tasks, remote.tasks(), remote)


def _record_tasks(
    runner: RouteRunner, max_store_bytes: int | None, tasks: Tasks, numbers: Iterator[int] | range, channel: Channel
) -> None:
    """Run and record the tasks with these numbers. One that fails is reported and skipped; three in a row raise."""
    recipe = runner.scenario.recipe
    routes = [compile_checkpoint(parse_checkpoint(text), recipe, seed) for text, seed in tasks.runs]
    # A longer chain of direct-compute may be wanted after these tasks.
    longest = extended(recipe.num_label_blocks, max(route.allocation.replay for route in routes))
    tips = {route.final for route in routes if route.allocation == longest}
    limit = None if max_store_bytes is None else StoreLimit(runner.results.path, max_store_bytes)
    failures = 0
    for number in numbers:
        text, seed = tasks.runs[number]
        channel.check()
        try:
            run = record_route(runner, routes[number])
        except Exception as error:
            failures += 1
            logger.exception("%s with seed %d failed", text, seed)
            if failures == MAX_FAILURES_IN_A_ROW:
                raise
            channel.say(f"{text} (seed {seed}) failed: {' '.join(str(error).split())}")
            continue
        failures = 0
        score = fmean(run.validation_correct) / runner.scenario.file.validation.samples
        channel.hear(
            RunDone(
                name=f"{text} (seed {seed})",
                result=f"validation {score:.1%}",
                done=tasks.recorded + number + 1,
                total=tasks.total,
                done_before=tasks.done_before,
            )
        )
        if limit is not None:
            needed = {block.key for route in routes[number + 1 :] for block in route.blocks} | tips
            _limit_store(limit, needed, channel)


def record_route(runner: RouteRunner, route: Route) -> RecordedRun:
    """Run a route, score both suites, and write its row into the recording's folder."""
    scenario = runner.scenario
    study = f"record:{scenario.sha256[:12]}"
    done = runner.run(route, study)
    run = _row(runner, done, runner.score(route.final, "validation", study), runner.score(route.final, "test", study))
    path = runner.results.recording(scenario.sha256).row(route.seed, route.checkpoint.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(run.model_dump(mode="json"), path)
    return run


def _row(runner: RouteRunner, done: RouteRun, validation: Scored, test: Scored) -> RecordedRun:
    scenario, route = runner.scenario, done.route
    return RecordedRun(
        scenario=scenario_label(scenario),
        allocation=str(route.checkpoint),
        teacher=route.allocation.teacher,
        seed=route.seed,
        role=role_of(route.seed),
        validation_correct=_counts(scenario, "validation", validation),
        test_correct=_counts(scenario, "test", test),
        blocks=tuple(
            RecordedBlock(
                key=use.key,
                stage=use.stage,
                gpu_seconds=use.price.gpu_seconds,
                rollouts=use.price.rollouts,
                rollouts_gpu_seconds=use.price.rollouts_gpu_seconds,
            )
            for use in done.blocks
        ),
        weights_sha256=done.weights_sha256,
        validation_gpu_seconds=_score_price(runner, validation),
        test_gpu_seconds=_score_price(runner, test),
        labels_trained=done.labels.labels_trained,
        labels_validation=done.labels.labels_validation,
        labels_owned=done.labels.labels_owned,
        host=printable(platform.node()),
        device=printable(accelerator_name(scenario.device)),
        date=datetime.now(UTC).isoformat(timespec="milliseconds"),
        command=printable(without_folders(command_line())),
        code_version=CODE_VERSION,
        versions=runner.trainer.versions,
    )


def _counts(scenario: Scenario, suite: SuiteKind, scored: Scored) -> tuple[int, ...]:
    """Correct samples of each problem, in the suite's order."""
    ids = [problem.id for problem in (scenario.validation if suite == "validation" else scenario.test)]
    counts = dict(zip(sorted(ids), outcomes_of(scored.table, sorted(ids)).sum(axis=1), strict=True))
    return tuple(int(counts[i]) for i in ids)


def _score_price(runner: RouteRunner, scored: Scored) -> float:
    """What sampling a score cost, by whichever call made it."""
    price = runner.ledger.price(f"score:{scored.key}")
    if price is None:  # `tuition bench` made it
        price = runner.scorer.store.read(scored.key).gpu_seconds
    if price is None:
        raise RecordingError(
            f"score {scored.key[:12]} is stored but its cost is not in the ledger: restore the results folder's "
            "ledger.sqlite, or delete the score to sample it again"
        )
    return price


def _limit_store(limit: StoreLimit, needed: set[str], channel: Channel) -> None:
    """Evict first what no later run needs, then, if that is not enough, what is cheapest to make again."""
    for keep in (needed, set[str]()):
        plan = limit.hold(keep)
        if plan is None or not plan.evictions:
            continue
        freed = plan.store_bytes - plan.bytes_after
        what = "no later run needs" if keep else "later runs may need again"
        channel.say(
            f"store: {plan.store_bytes / 1e6:.1f} MB; evicted {freed / 1e6:.1f} MB that {what}, worth "
            f"{gpu_seconds_at_stake(plan.evictions):.0f} GPU-s"
        )
