"""`tuition measure`: one short block of each stage, to know what a scenario costs before a study begins.

The blocks are trained in a folder of their own, which is removed: no store, study or leaderboard sees them. The labels
that they train on are revealed, so the ledger books them, to an account of its own. What is kept is each block's record
with its seconds, in the results folder's `measured/`, and one score of the untrained student, which is an ordinary one.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tuition.app.costs.block_costs import ScoreCosts, all_work, block_costs
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.benchmarks.one_line import one_line
from tuition.planner.allocation import Allocation
from tuition.planner.cost import Cost
from tuition.planner.route import compile_route
from tuition.planner.stages import STUDENT_RL, TEACHER_STAGES, TRANSFER_STAGES
from tuition.runners.events import Event, Listener, PhaseBegan, StepDone
from tuition.runners.labels import Ledger
from tuition.runners.locks import is_held
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.route_runner import BlockUse, RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import AnySettings
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.short_blocks import ShortBlock, write_short_block
from tuition.runners.training.meter import Clock
from tuition.runners.training.rows import BlockError

MEASURING = ".measuring-"


@dataclass(frozen=True)
class MeasuredCosts:
    """What one block of each kind of work, and one score, will cost; and stages that could not be measured, and why."""

    scenario: str
    steps: int
    costs: dict[str, Cost]
    failures: dict[str, str]
    labels_revealed: int

    def document(self) -> dict[str, object]:
        """All of it as JSON values."""
        return {
            "scenario": self.scenario,
            "steps": self.steps,
            "costs": [
                {"name": name, "gpu_seconds": cost.seconds, "source": cost.source.name, "basis": cost.basis}
                for name, cost in self.costs.items()
            ],
            "failures": self.failures,
            "labels_revealed": self.labels_revealed,
        }


def measure_costs(run: RunConfiguration, steps: int) -> MeasuredCosts:
    """Train the short blocks, keep what they cost, and say what the scenario's blocks will cost by them."""
    scenario = run.load_scenario()
    short, account = shortened(scenario, steps), f"measure:{scenario.sha256[:12]}"
    failures: dict[str, str] = {}
    run.results.mkdir(parents=True, exist_ok=True)
    remove_left_behind(run.results)
    with Reporter(run.quiet) as reporter, Interrupts(reporter.say) as interrupts:
        reporter.check = interrupts.check
        chains = list(short_chains(scenario))
        reporter.hear(PhaseBegan(title="measuring short blocks", done=0, total=len(chains)))
        with _short_lived(run.results) as folder:
            ledger = run.folder.ledger
            steps_clock = _StepsClock(scenario, reporter.hear)
            with closing(RouteRunner(short, folder, steps_clock.hear, run.mix_versions, ledger)) as runner:
                for allocation in chains:
                    reporter.check()
                    try:
                        done = runner.run(compile_route(allocation, short.recipe, 0), account)
                    except BlockError as error:
                        failures[str(allocation)] = one_line(error, 300)
                        continue
                    for use in done.blocks:
                        write_short_block(run.folder.measured, _short_block(use, short, steps_clock))
        with run.open_runner(scenario, reporter) as runner:
            runner.score(scenario.recipe.student, "validation", account)
    measured = MeasuredBlocks(scenario, run.folder)
    costs, scores = block_costs(scenario, measured), ScoreCosts(scenario, measured)
    return MeasuredCosts(
        scenario=scenario.name,
        steps=steps,
        costs={
            **{f"{work}, a block": costs.costs[work] for work in all_work(scenario)},
            "score on validation": scores.of("validation"),
        },
        failures=failures,
        labels_revealed=Ledger(run.folder.ledger).owned(account),
    )


LOCK = "in-use.lock"


@contextmanager
def _short_lived(results: Path) -> Iterator[Path]:
    """A folder for the short blocks, removed at the end; its lock says that it is in use."""
    with tempfile.TemporaryDirectory(prefix=MEASURING, dir=results) as folder, FileLock(Path(folder) / LOCK):
        yield Path(folder)


def remove_left_behind(results: Path) -> None:
    """Remove the folders of measurements that were killed."""
    for folder in results.glob(f"{MEASURING}*"):
        if (folder / LOCK).exists() and not is_held(folder / LOCK):
            shutil.rmtree(folder, ignore_errors=True)


def shortened(scenario: Scenario, steps: int) -> Scenario:
    """The scenario with blocks of so few steps."""
    stages = scenario.file.stages
    for stage, settings in stages.present.items():
        stages = stages.changed(stage.name, steps=min(settings.steps, rollouts_of(settings, steps) * updates(settings)))
    return Scenario(scenario.file.model_copy(update={"stages": stages}), scenario.folder)


def updates(settings: AnySettings) -> int:
    """Optimizer steps on completions that were drawn together."""
    return settings.sequences_per_rollout // settings.sequences_per_step


def rollouts_of(settings: AnySettings, steps: int) -> int:
    """Times to draw completions in at least so many steps: twice, because the first time is slower."""
    return max(2, -(-steps // updates(settings)))


def short_chains(scenario: Scenario) -> Iterator[Allocation]:
    """Routes of one block of each stage that hold every kind of work: one for each teacher and way to train it."""
    present = {stage.name for stage in scenario.file.stages.present}
    ways = [stage for stage in TEACHER_STAGES if stage.name in present]
    transfers = [
        [stage for stage in TRANSFER_STAGES if stage.name in present and stage.is_dense == dense]
        for dense in (True, False)
    ]
    for teacher in scenario.file.teachers:
        for number, (way, transfer) in enumerate(zip(ways, transfers, strict=False)):
            student = {STUDENT_RL.name: 1} if number == 0 and teacher == next(iter(scenario.file.teachers)) else {}
            yield Allocation(teacher=teacher, **{way.name: 1}, **{stage.name: 1 for stage in transfer}, **student)


class _StepsClock:
    """Notes the device-seconds at the end of every step, from the events that tell of it."""

    def __init__(self, scenario: Scenario, hear: Listener) -> None:
        self._clock = Clock(scenario.device, scenario.file.hardware.processes)
        self._hear = hear
        self._ends: dict[str, list[float]] = {}

    def hear(self, event: Event) -> None:
        """Note a step, and pass every event on."""
        if isinstance(event, StepDone):
            self._ends.setdefault(event.key, []).append(self._clock.gpu_seconds())
        self._hear(event)

    def seconds_per_step(self, key: str, without: int) -> float | None:
        """Mean of the steps of a block after its first ones; None where there are no more."""
        ends = self._ends[key]
        return (ends[-1] - ends[without - 1]) / (len(ends) - without) if len(ends) > without else None


def _short_block(use: BlockUse, scenario: Scenario, clock: _StepsClock) -> ShortBlock:
    record: BlockRecord | None = use.record
    assert record is not None, f"{use.key} was trained just now"
    per_step = clock.seconds_per_step(use.key, updates(scenario.file.stages.of(use.stage)))
    if per_step is None:
        per_step = record.gpu_seconds / record.steps
    return ShortBlock(
        record=record,
        seconds_per_step=per_step,
        seconds_fixed=max(0.0, record.gpu_seconds - per_step * record.steps),
    )
