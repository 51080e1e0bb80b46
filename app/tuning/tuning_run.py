"""`tuition tune`: learning rate and steps of every stage, by the same number of tries, on the validation suite.

Each run is written down as it is done, in the study's folder; blocks and scores are in the store. So the same command
resumes and trains nothing twice, and a call of which all runs are done trains nothing and writes the report again.
`tuning_plan` says what is tried, `tuning_verdicts` what is concluded.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tuition.app.processes.channel import Channel, logged
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.processes.workers import Remote, run_workers
from tuition.app.studies.evaluation import outcomes_of
from tuition.app.studies.study_report import (
    Frozen,
    TriedSettings,
    TunedStage,
    TuningReport,
    read_report,
    write_report,
)
from tuition.app.tuning.tuning_plan import (
    Cell,
    Settings,
    TuningError,
    TuningPlan,
    TuningRequest,
    cells_of,
    changed,
    grid,
    price,
    scored_after,
)
from tuition.app.tuning.tuning_tables import price_line
from tuition.app.tuning.tuning_verdicts import changes, judged, tried
from tuition.benchmarks.artefacts import FileError, read_json, write_json, write_text
from tuition.benchmarks.provenance import command_line
from tuition.benchmarks.results_folder import StudyFolder
from tuition.planner.stages import STAGE
from tuition.planner.storage import StudyError
from tuition.runners.events import PhaseBegan, RunDone
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario

LOG = "tuning"
MAX_FAILURES_IN_A_ROW = 3

logger = logging.getLogger(__name__)


class TuningFailed(RuntimeError):
    """Runs of a tuning that failed; one line with the fix."""


class TriedRun(Frozen):
    """One cell's result, as its file has it."""

    format: Literal[1] = 1
    correct: tuple[int, ...]
    """Correct samples of each validation problem, in the order of their ids."""
    gpu_seconds_full: float
    blocks: tuple[str, ...]
    weights_sha256: str
    score: str


@dataclass(frozen=True)
class Tasks:
    """Cells that are handed out together, and how far the tuning is when they begin."""

    study: str
    cells: tuple[Cell, ...]
    done_before: int


@dataclass(frozen=True)
class TuningResult:
    """The report, and what failed of it."""

    report: TuningReport
    scenario: Scenario
    failed: tuple[Cell, ...]
    log: str

    def refuse_failures(self) -> None:
        """TuningFailed where runs failed."""
        if self.failed:
            raise TuningFailed(
                f"{len(self.failed)} runs failed, such as {self.failed[0]} with seed {self.failed[0].seed}: see "
                f"{self.log}; rerun the same command to retry them"
            )


def run_tuning(request: TuningRequest) -> TuningResult:
    """Try what has not been tried, and judge each stage."""
    scenario = request.run.load_scenario()
    tries, folder = grid(request, scenario), request.folder(scenario)
    _refuse_other(folder, scenario)
    cells = cells_of(tries, request.seeds)
    todo = [cell for cell in cells if read_run(folder, scenario, cell) is None]
    if todo:
        _try_all(request, scenario, price(request, scenario, tries), todo, len(cells) - len(todo))
    return _result(request, scenario, tries, folder)


def _refuse_other(folder: StudyFolder, scenario: Scenario) -> None:
    """StudyError where the folder is another study's, or the tuning of another scenario."""
    if folder.database.exists():
        raise StudyError(f"{folder.name!r} is a search: choose another --study name for the tuning")
    try:
        before = read_report(folder.report)
    except (FileNotFoundError, FileError):
        return
    if not isinstance(before, TuningReport):
        raise StudyError(f"{folder.name!r} has a report of {before.kind}: choose another --study name")
    if before.scenario_sha256 != scenario.sha256:
        raise StudyError(
            f"{folder.name!r} tuned another scenario, or other settings ({str(before.scenario_sha256)[:12]}, now "
            f"{scenario.sha256[:12]}): choose another --study name; stored blocks are reused"
        )


def _try_all(request: TuningRequest, scenario: Scenario, plan: TuningPlan, todo: Sequence[Cell], done: int) -> None:
    """Run the cells, in this process or in workers."""
    run, folder = request.run, request.folder(scenario)
    scenario.keep(folder.scenario, run.scenario)
    tasks = Tasks(folder.name, tuple(todo), done)
    with Reporter(run.quiet) as reporter, logged(folder.log(LOG), reporter):
        for warning in check_models(scenario):
            reporter.say(f"warning: {warning}")
        reporter.say(price_line(plan))
        reporter.hear(PhaseBegan(title=f"tune {scenario.name}", done=done, total=done + len(todo)))
        workers = min(run.workers, len(todo))
        if workers > 1:
            run_workers(workers, tuning_worker, (run, tasks), reporter, num_tasks=len(todo))
            return
        with Interrupts(reporter.say) as interrupts:
            reporter.check = interrupts.check
            _run_tasks(run, scenario, tasks, range(len(todo)), reporter)


def tuning_worker(run: RunConfiguration, tasks: Tasks, remote: Remote) -> None:
    """One worker's part of a tuning."""
    scenario = run.load_scenario()
    with logged(run.folder.study(tasks.study).log(LOG), remote):
        _run_tasks(run, scenario, tasks, remote.tasks(), remote)


def _run_tasks(
    run: RunConfiguration, scenario: Scenario, tasks: Tasks, numbers: Iterable[int], channel: Channel
) -> None:
    """Run the cells with these numbers. One that fails is reported and skipped; three in a row raise."""
    folder, failures = run.folder.study(tasks.study), 0
    total = tasks.done_before + len(tasks.cells)
    for number in numbers:
        cell = tasks.cells[number]
        channel.check()
        try:
            made = _run_cell(run, scenario, folder, cell, channel)
        except Exception as error:
            failures += 1
            logger.exception("%s with seed %d failed", cell, cell.seed)
            line = f"{cell} (seed {cell.seed}) failed: {' '.join(str(error).split())}"
            if failures == MAX_FAILURES_IN_A_ROW:
                raise TuningFailed(f"{failures} runs in a row failed; {line}; see {folder.log(LOG)}") from error
            channel.say(line)
            continue
        failures = 0
        score = sum(made.correct) / len(made.correct) / scenario.file.validation.samples
        channel.hear(
            RunDone(
                name=f"{cell} (seed {cell.seed})",
                result=f"validation {score:.1%}",
                done=tasks.done_before + number + 1,
                total=total,
                done_before=tasks.done_before,
            )
        )


def _run_cell(run: RunConfiguration, scenario: Scenario, folder: StudyFolder, cell: Cell, channel: Channel) -> TriedRun:
    """Train and score a cell, and write its result down."""
    changed_scenario = cell.scenario(scenario)
    ids = sorted(problem.id for problem in scenario.validation)
    with run.open_runner(changed_scenario, channel) as runner:
        done = runner.run(cell.route(changed_scenario), folder.name)
        scored = runner.score(done.route.final, "validation", folder.name)
    made = TriedRun(
        correct=tuple(int(count) for count in outcomes_of(scored.table, ids).sum(axis=1)),
        gpu_seconds_full=round(done.gpu_seconds_full, 3),
        blocks=tuple(use.key for use in done.blocks),
        weights_sha256=done.weights_sha256,
        score=scored.key,
    )
    path = cell.path(folder, scenario)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(made.model_dump(mode="json"), path)
    return made


def read_run(folder: StudyFolder, scenario: Scenario, cell: Cell) -> TriedRun | None:
    """A cell's result; None where there is none that can be read, which the store then gives again."""
    try:
        return TriedRun.model_validate(read_json(cell.path(folder, scenario)))
    except (FileNotFoundError, FileError, ValidationError):
        return None


def _result(
    request: TuningRequest, scenario: Scenario, tries: dict[str, list[Settings]], folder: StudyFolder
) -> TuningResult:
    """The report of what is done, written into the study's folder."""
    samples, failed = scenario.file.validation.samples, list[Cell]()
    stages = list[TunedStage]()
    for stage, several in tries.items():
        results = list[TriedSettings]()
        for settings in several:
            cells = [Cell(stage, settings, seed) for seed in request.seeds]
            runs = [read_run(folder, scenario, cell) for cell in cells]
            failed += [cell for cell, run in zip(cells, runs, strict=True) if run is None]
            correct = [None if run is None else run.correct for run in runs]
            seconds = [run.gpu_seconds_full for run in runs if run is not None]
            results.append(tried(settings.steps, settings.learning_rate, correct, samples, seconds))
        own = scenario.file.stages.of(stage)
        current = several.index(Settings(own.steps, own.learning_rate))
        route = str(scored_after(scenario, STAGE[stage]))
        stages.append(judged(stage, route, results, current, samples))
    report = TuningReport(
        study=folder.name,
        scenario=scenario.name,
        scenario_sha256=scenario.sha256,
        command=command_line(),
        suite=scenario.suite_name("validation"),
        samples=samples,
        seeds=request.seeds,
        stages=tuple(stages),
    )
    write_report(report, folder.report)
    return TuningResult(report, scenario, tuple(failed), str(folder.log(LOG)))


def refuse_existing(path: Path | None) -> None:
    """TuningError for a file that is there, before anything is trained."""
    if path is not None and path.exists():
        raise TuningError(f"--write {path}: the file exists, and is not overwritten; choose another name")


def write_tuned(result: TuningResult, origin: str, path: Path) -> str:
    """Write the scenario with the better settings, its paths absolute; what was done, in words.

    Comments of the scenario's file are lost. Where no setting changes, nothing is written.
    """
    scenario, report = result.scenario, result.report
    stages, better = scenario.file.stages, changes(report.stages)
    if not better:
        return f"{path} is not written: no setting is to be changed"
    for stage, one in better.items():
        stages = changed(stages, stage, Settings(one.steps, one.learning_rate))
    text = scenario.with_stages(stages).file.text(scenario.folder)
    refuse_existing(path)
    write_text(path, f"# {origin!r} with the settings that `tuition tune` chose on {report.suite}.\n{text}")
    return f"{path}: the scenario with other settings of {', '.join(better)}"
