"""What `tuition tune` tries: the grid, each try's route and seeds, and what they cost before any is trained.

Every stage gets the same grid and the same number of tries. A try changes the learning rate and the steps of one stage
and leaves the others as the scenario has them. It is scored after the route that uses the stage: a teacher's stage on
the teacher itself, GRPO on the student alone as direct GRPO, and a transfer after a teacher that GRPO trained; all with
all label blocks, on the validation suite. Training seeds are 0, 1, ..., which no test uses.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tuition.app.costs.block_costs import ScoreCosts, block_costs
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.storage.store_upkeep import find_store
from tuition.app.studies.search_plan import block_states
from tuition.benchmarks.one_line import first_complaint
from tuition.benchmarks.results_folder import StudyFolder, checked_study_name
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.cost import Total, missing_blocks
from tuition.planner.route import Route, compile_checkpoint
from tuition.planner.stages import BRIDGE, STAGE, STUDENT, Stage
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.outline import load_to_plan
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import StageSettings

RATES, STEPS = "0.5x,1x,2x,4x", "0.5x,1x"
"""The default grid: around the scenario's own rates, and whether half the steps would do."""
TEACHER_STAGE = "teacher_rl"
"""What trains the teacher from which transfer stages are tried."""


class TuningError(ValueError):
    """A tuning that cannot be meant; one line with the value and the fix."""


@dataclass(frozen=True)
class Axis:
    """One side of the grid: factors of a stage's own value ("0.5x"), and values that are the same for all ("1e-5")."""

    option: str
    factors: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def parse(cls, option: str, text: str) -> "Axis":
        """From the option's text; TuningError for a word that is no number above 0."""
        factors, values = list[float](), list[float]()
        for word in (word.strip() for word in text.split(",")):
            try:
                number = float(word.removesuffix("x"))
            except ValueError:
                number = math.nan
            if not 0 < number < math.inf:
                raise TuningError(
                    f"{option} {text!r}: {word!r} is no number above 0; give factors of the scenario's own value "
                    "(0.5x,1x,2x), or values (1e-5,2e-5)"
                )
            (factors if word.endswith("x") else values).append(number)
        return cls(option, tuple(factors), tuple(values))

    def rates(self, own: float) -> set[float]:
        """The learning rates for a stage that has this one; its own is among them."""
        return {own, *self.values, *(own if f == 1 else float(f"{f * own:.6g}") for f in self.factors)}

    def steps(self, own: int, multiple: int) -> set[int]:
        """As `rates`; products are rounded to whole rollout batches of so many steps."""
        if odd := [value for value in self.values if value != int(value)]:
            raise TuningError(f"{self.option}: {odd[0]:g} is no whole number of steps")
        products = (max(1, round(f * own / multiple)) * multiple for f in self.factors)
        return {own, *map(int, self.values), *products}


@dataclass(frozen=True, order=True)
class Settings:
    """What a try gives a stage."""

    steps: int
    learning_rate: float


@dataclass(frozen=True)
class TuningRequest:
    """What the command line asks for."""

    run: RunConfiguration
    stages: tuple[str, ...] = ()
    """Empty: every stage that the scenario has."""
    rates: str = RATES
    steps: str = STEPS
    num_seeds: int = 2
    study: str | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds of every try."""
        return tuple(range(self.num_seeds))

    def folder(self, scenario: Scenario) -> StudyFolder:
        """Where the tuning is kept."""
        return self.run.folder.study(checked_study_name(self.study) if self.study else f"{scenario.name}-tune")


@dataclass(frozen=True)
class Cell:
    """One training: a stage, what it is given, a seed."""

    stage: str
    settings: Settings
    seed: int

    def __str__(self) -> str:
        return f"{self.stage} steps={self.settings.steps} learning_rate={self.settings.learning_rate:g}"

    def scenario(self, scenario: Scenario) -> Scenario:
        """The scenario with these settings."""
        return scenario.with_stages(changed(scenario.file.stages, self.stage, self.settings))

    def route(self, tried: Scenario) -> Route:
        """The route to what is scored, in the cell's own scenario."""
        return compile_checkpoint(scored_after(tried, STAGE[self.stage]), tried.recipe, self.seed)

    def path(self, folder: StudyFolder, scenario: Scenario) -> Path:
        """Where its result is kept."""
        steps, rate = self.settings.steps, self.settings.learning_rate
        return folder.tries(scenario.sha256) / f"{self.stage}-{steps}-{rate!r}-{self.seed}.json"


def changed(stages: StageSettings, stage: str, settings: Settings) -> StageSettings:
    """The stages with other settings of one, checked as in a scenario's file; TuningError for what cannot be."""
    own = stages.of(stage)
    fields = {**own.model_dump(exclude_unset=True), **asdict(settings)}
    try:
        return stages.model_copy(update={stage: type(own).model_validate(fields)})
    except ValidationError as error:
        raise TuningError(f"stages.{stage} with {settings}: {first_complaint(error)}") from None


def scored_after(scenario: Scenario, stage: Stage) -> Checkpoint:
    """What a stage's tries are scored by: the model after the route that uses the stage."""
    blocks, search, teacher = scenario.num_label_blocks, scenario.file.search, scenario.default_teacher
    if stage.model == "teacher":
        return TeacherCheckpoint(teacher=teacher, stage=stage.name, blocks=blocks)
    if stage.buys_labels:
        return Allocation(**{stage.name: blocks})
    bridge = {"warmup": search.bridge_warmup, "opd": search.bridge_opd}
    transfer = {stage.name: max(1, sum(bridge.values()))}
    if stage.is_dense:
        present = [part.name for part in BRIDGE if part in scenario.file.stages.present]
        transfer = {name: bridge.get(name, 0) for name in present}
        transfer[stage.name] = max(1, transfer[stage.name])
    return Allocation(**{"teacher": teacher, TEACHER_STAGE: blocks, "prompts": search.prompts, **transfer})


def grid(request: TuningRequest, scenario: Scenario) -> dict[str, list[Settings]]:
    """The settings that each stage is tried with, its own among them: as many for one stage as for another."""
    present = {stage.name: settings for stage, settings in scenario.file.stages.present.items()}
    if unknown := [name for name in request.stages if name not in present]:
        raise TuningError(f"--stage {unknown[0]!r}: choose from {', '.join(present)}")
    rates, steps = Axis.parse("--rates", request.rates), Axis.parse("--steps", request.steps)
    tries = {}
    for name, own in present.items():
        if request.stages and name not in request.stages:
            continue
        multiple = own.sequences_per_rollout // own.sequences_per_step
        tries[name] = [
            Settings(number, rate)
            for number in sorted(steps.steps(own.steps, multiple))
            for rate in sorted(rates.rates(own.learning_rate))
        ]
        for settings in tries[name]:
            changed(scenario.file.stages, name, settings)
    counts = {name: len(several) for name, several in tries.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise TuningError(
            f"the stages would get different numbers of tries ({listed}), because the own settings of some are not in "
            "the grid, or steps round to the same: give factors (--rates 0.5x,1x,2x --steps 1x), or choose by --stage"
        )
    if set(counts.values()) == {1}:
        raise TuningError("the grid holds nothing but the scenario's own settings: give --rates or --steps more values")
    return tries


def cells_of(tries: dict[str, list[Settings]], seeds: Sequence[int]) -> list[Cell]:
    """All cells. Neighbours differ in their seed: workers on one seed would wait for each other's shared blocks."""
    return [Cell(stage, settings, seed) for stage, several in tries.items() for settings in several for seed in seeds]


@dataclass(frozen=True)
class PlannedStage:
    """A stage's priced tries. Its blocks to train are those that neither the store nor an earlier stage has."""

    stage: str
    route: str
    tries: int
    runs: int
    runs_done: int
    blocks_to_train: int
    gpu_seconds: float | None
    """Of training and scoring; None where a part is unknown."""
    basis: dict[str, Any]
    """Where the seconds come from: seconds by source, and what is unknown."""


@dataclass(frozen=True)
class TuningPlan:
    """A priced tuning."""

    scenario: str
    study: str
    suite: str
    seeds: tuple[int, ...]
    stages: tuple[PlannedStage, ...]
    gpu_seconds: float | None
    """On one worker, scoring included; processor time on a CPU. None where a part is unknown."""
    gpu_seconds_known: float
    basis: dict[str, Any]

    @property
    def runs_to_do(self) -> int:
        """Runs that are not done yet."""
        return sum(stage.runs - stage.runs_done for stage in self.stages)

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)


def plan_tuning(request: TuningRequest) -> TuningPlan:
    """Price a tuning; nothing is trained, written or fetched."""
    scenario = load_to_plan(request.run.scenario)
    return price(request, scenario, grid(request, scenario))


def price(request: TuningRequest, scenario: Scenario, tries: dict[str, list[Settings]]) -> TuningPlan:
    """What the tries will cost that are not done."""
    check_models(scenario)
    folder, pricing = request.folder(scenario), _Pricing(request, scenario)
    rows = [
        pricing.stage(stage, cells_of({stage: settings}, request.seeds), folder) for stage, settings in tries.items()
    ]
    return TuningPlan(
        scenario=scenario.name,
        study=folder.name,
        suite=scenario.suite_name("validation"),
        seeds=request.seeds,
        stages=tuple(rows),
        gpu_seconds=pricing.total.rounded,
        gpu_seconds_known=round(pricing.total.at_least, 1),
        basis=pricing.total.basis(),
    )


class _Pricing:
    """Adds up what is missing, each block once."""

    def __init__(self, request: TuningRequest, scenario: Scenario) -> None:
        self.scenario, self.results = scenario, request.run.folder
        self.state = block_states(find_store(request.run.results))
        self.scores = ScoreCosts(scenario, MeasuredBlocks(scenario, self.results))
        self.counted, self.scored = set[str](), set[str]()
        self.total = Total()

    def stage(self, stage: str, cells: Iterable[Cell], folder: StudyFolder) -> PlannedStage:
        """A stage's row."""
        checkpoint, role = scored_after(self.scenario, STAGE[stage]), STAGE[stage].model
        model = STUDENT if role == "student" else self.scenario.default_teacher
        cells = list(cells)
        todo = [cell for cell in cells if not cell.path(folder, self.scenario).exists()]
        blocks, cost = 0, Total()
        for steps in dict.fromkeys(cell.settings.steps for cell in todo):
            costs = None
            for cell in todo:
                if cell.settings.steps != steps:
                    continue
                tried = cell.scenario(self.scenario)
                # The rate changes no cost, so the costs are those of all rates.
                costs = costs or block_costs(tried, MeasuredBlocks(tried, self.results))
                route = cell.route(tried)
                missing = [block for block in missing_blocks(route, self.state) if block.key not in self.counted]
                self.counted |= {block.key for block in missing}
                blocks += len(missing)
                cost += costs.total(missing) + self.scores.total(
                    "validation", int(route.final not in self.scored), model
                )
                self.scored.add(route.final)
        self.total += cost
        return PlannedStage(
            stage=stage,
            route=str(checkpoint),
            tries=len({cell.settings for cell in cells}),
            runs=len(cells),
            runs_done=len(cells) - len(todo),
            blocks_to_train=blocks,
            gpu_seconds=cost.rounded,
            basis=cost.basis(),
        )
