"""`tuition plan`: what a search would need, before anything is trained."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from tuition.app.advice.expectation import Expectation, Foresight, parse_budgets
from tuition.app.advice.warm_start import find_warm_start
from tuition.app.costs.block_costs import names_of_bases
from tuition.app.costs.planned_passes import StagePasses, plan_passes
from tuition.app.costs.route_prices import RoutePrices
from tuition.app.costs.search_budget import check_budget, in_gpu_seconds, unknown_costs
from tuition.app.processes.progress import Reporter
from tuition.app.storage.store_upkeep import find_store
from tuition.app.studies.evaluation import Entry, base_entries, seeds_for_test
from tuition.app.studies.search_run import (
    enqueued,
    refuse_seeds,
    scenario_baselines,
    search_baselines,
    study_name,
)
from tuition.app.studies.search_sampler import DEFAULT_SAMPLER, check_sampler, queued_first
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.secret_texts import word_without_secrets
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.planner.allocation import Allocation
from tuition.planner.cost import BlockCosts, CheckpointState, Cost, Source, Total, missing_blocks, work_of
from tuition.planner.route import Block, Route, compile_route
from tuition.planner.stages import STUDENT
from tuition.planner.storage import StudyError, read_url
from tuition.runners.scenarios.memory import predict_stage
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.outline import Outline, load_to_plan
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore

TRIALS = 12  # where nothing else limits a search
MAX_PROPOSALS = 200  # our choice: a plan looks no further
ADAM_STATES = 2  # AdamW keeps two moments per weight


@dataclass(frozen=True)
class PhasePlan:
    """Blocks that a search or its test asks for, and what those would cost that are not in the store."""

    requested: int
    distinct: int
    stored: int
    to_train: int
    gpu_seconds: float | None
    """Of training and of scoring; None where a part is unknown."""
    basis: Mapping[str, Any]
    """Where the seconds come from: seconds by source, and what is unknown."""


@dataclass(frozen=True)
class PlannedCost:
    """What one block of a kind, or one score, is predicted to cost, and from what."""

    name: str
    count: int
    """So many are to be made."""
    gpu_seconds: float | None
    """Of one."""
    source: str
    basis: str


@dataclass(frozen=True)
class StageMemory:
    """Predicted peak memory of one device in a stage."""

    bytes: int
    moment: str
    """When it is needed."""
    parts: Mapping[str, int]
    """Of what, in bytes."""


@dataclass(frozen=True)
class PlannedLabels:
    """Labels that the search needs."""

    labels_budget: int
    labels_validation: int
    labels_owned: int


@dataclass(frozen=True)
class SearchPlan:
    """A priced search and its test."""

    scenario: str
    trials: int
    search: PhasePlan
    test: PhasePlan
    gpu_seconds: float | None
    """Of both, on one worker; processor time on a CPU. None where a part is unknown."""
    gpu_seconds_known: float
    """Of the parts that are known."""
    devices: int
    """That train one block together."""
    device: str
    """What is counted: "processor time" or "GPU time"."""
    basis: Mapping[str, Any]
    """Where the seconds come from: seconds by source ("measured", "estimated", "stated"), and what is unknown."""
    costs: tuple[PlannedCost, ...]
    """The predicted costs of which they are sums."""
    dearest_route: str
    """The dearest allocation of the search space; by what is known, where a part is unknown."""
    dearest_route_gpu_seconds: float | None
    """R: its full cost with its validation score; None where a part is unknown."""
    budget_gpu_seconds: float | None
    """What the search may spend, its test apart; None without a budget."""
    planned_from: str
    """Whether models and data were looked at, or the file alone."""
    peak_disk_bytes: int | None
    """None where no model's sizes are known; `memory` is then empty."""
    memory: Mapping[str, StageMemory]
    """By stage."""
    passes: tuple[StagePasses, ...]
    """How often labels and prompts are trained on."""
    commands: tuple[str, ...]
    labels: PlannedLabels
    warnings: tuple[str, ...]
    """What the models' files tell that may spoil results."""
    expected: Expectation | None = None
    """What the search is expected to find out, where that was asked for."""
    warm_start: str | None = None
    """Whose scores a new study begins with."""

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class PlanRequest:
    """What the command line asks for. Without a number of trials, as many as the budget pays for, or `TRIALS`."""

    scenario: str
    results: Path
    trials: int | None = None
    seed: int = 0
    num_test_seeds: int = 1
    study: str | None = None
    storage: str | None = None
    sampler: str | None = None
    first: str | None = None
    warm_start: str | None = None
    as_deployed: bool = False
    budget: str | None = None
    gpu_hours: float | None = None
    expect: str | None = None
    """Budgets for which the search is played in worlds of the planner's prior: "0.5R,1R"."""
    worlds: int = 10
    untrained: Mapping[str, float] = field(default_factory=dict)
    """Base models' scores that are known, fractions by name."""
    quiet: bool = True

    @property
    def options(self) -> str:
        """Those of the search."""
        trials = None if self.trials is None and (self.budget or self.gpu_hours) else self.trials or TRIALS
        named = {
            "--trials": trials,
            "--budget": self.budget,
            "--gpu-hours": self.gpu_hours,
            "--study": self.study,
            "--storage": None if self.storage is None else word_without_secrets(self.storage),
            "--sampler": self.sampler,
            "--first": self.first,
            "--warm-start": self.warm_start,
        }
        return " ".join(f"{name} {shlex.quote(str(value))}" for name, value in named.items() if value is not None)


def plan_search(request: PlanRequest) -> SearchPlan:
    """Price a search: what it would ask for, what the store already has, seconds, memory, disk, labels, commands.

    StudyError where the search would refuse its seeds, a name or a URL. Nothing is fetched: where models or data sets
    of the Hub are not on this machine, the file alone is read.
    """
    scenario, seed, results = load_to_plan(request.scenario), request.seed, request.results
    folder = ResultsFolder(results)
    name = study_name(scenario.name, seed, request.study)
    refuse_seeds(seed, request.num_test_seeds, scenario.name, folder.study(name), folder)
    check_budget(request.budget, request.gpu_hours)
    check_sampler(request.sampler, request.first)
    warm = None
    if request.warm_start is not None:
        warm = find_warm_start(request.warm_start, folder, request.sampler, request.storage)
    if request.storage is not None:
        read_url(request.storage)
    warnings = check_models(scenario)
    store, prices = find_store(results), RoutePrices(scenario, folder)
    dearest = prices.dearest()
    budget = in_gpu_seconds(dearest.total.at_least, request.budget, request.gpu_hours)
    if budget < inf and (unknown := unknown_costs(prices, request.scenario, results)) is not None:
        warnings, budget = (*warnings, unknown), inf
    proposals = _proposals(request, scenario, prices, block_states(store), budget)
    search_routes = [compile_route(allocation, scenario.recipe, seed) for allocation in proposals]
    tested = [*search_baselines(scenario).values(), *proposals[-2:]]
    entries = [*(Entry(str(a), a) for a in tested), *base_entries(scenario.default_teacher)]
    if request.as_deployed:
        entries = [entry.as_deployed() for entry in entries]
    seeds = seeds_for_test(seed, request.num_test_seeds)
    test_routes = [entry.route(scenario.recipe, s) for s in seeds for entry in entries]
    bases = names_of_bases(scenario.recipe)
    phases = [
        _Phase(search_routes, block_states(store), "validation", bases),
        _Phase(test_routes, block_states(store), "test", bases),
    ]
    search, test = (phase.total(prices) for phase in phases)
    total = search + test
    rows = tuple(_planned_costs(phases, prices))
    measure = f"tuition measure --scenario {request.scenario} --results {results}"
    return SearchPlan(
        scenario=scenario.name,
        trials=len(proposals),
        search=phases[0].plan(search),
        test=phases[1].plan(test),
        gpu_seconds=total.rounded,
        gpu_seconds_known=round(total.at_least, 1),
        devices=scenario.file.hardware.processes,
        device="processor time" if scenario.device == "cpu" else "GPU time",
        basis=total.basis(),
        costs=rows,
        dearest_route=str(dearest.allocation),
        dearest_route_gpu_seconds=dearest.total.rounded,
        budget_gpu_seconds=None if budget == inf else round(budget, 1),
        planned_from="the file alone: models and data sets on the Hub were neither fetched nor checked"
        if isinstance(scenario, Outline)
        else "models and data",
        peak_disk_bytes=peak_disk(scenario, [*search_routes, *test_routes]),
        memory=stage_memory(scenario, [*search_routes, *test_routes]),
        passes=plan_passes(scenario, seed),
        commands=(
            *([] if all(phase.is_measured(prices.blocks) for phase in phases) else [measure]),
            f"tuition doctor --scenario {request.scenario}",
            f"tuition search --scenario {request.scenario} {request.options} "
            f"--test-seeds {request.num_test_seeds} --seed {seed} --results {results}"
            f"{' --as-deployed' if request.as_deployed else ''}",
            f"tuition baselines --scenario {request.scenario} --results {results}",
        ),
        labels=PlannedLabels(
            labels_budget=len(scenario.labels),
            labels_validation=len(scenario.validation),
            labels_owned=len(scenario.labels) + len(scenario.validation),
        ),
        warnings=warnings,
        expected=_expectation(request, scenario, prices),
        warm_start=None if warm is None else warm.words,
    )


def _expectation(request: PlanRequest, scenario: Scenario, prices: RoutePrices) -> Expectation | None:
    """The search played beforehand, where that is asked for."""
    if request.expect is None:
        return None
    budgets, sampler = parse_budgets(request.expect), request.sampler or DEFAULT_SAMPLER
    if sampler != DEFAULT_SAMPLER:
        raise StudyError(f"--expect plays our own planner's searches, and --sampler is {sampler}: omit one of them")
    if request.warm_start is not None:
        raise StudyError("--expect plays searches without a warm start, whose proxy its worlds do not know: omit one")
    named, first = scenario_baselines(scenario), queued_first(sampler, request.first)
    with Reporter(request.quiet) as reporter:
        foresight = Foresight(prices, named, first, request.untrained, request.seed)
        return foresight.play(budgets, request.worlds, reporter.say)


def _proposals(
    request: PlanRequest,
    scenario: Scenario,
    prices: RoutePrices,
    state: Callable[[str], CheckpointState],
    budget: float,
) -> list[Allocation]:
    """What a search is assumed to train: its first routes, then random ones, as far as trials or money go."""
    most = request.trials or (TRIALS if budget == inf else MAX_PROPOSALS)
    first = enqueued(scenario)[:most]
    proposals = first + scenario.space.random_allocations(most - len(first), request.seed)
    if budget == inf:
        return proposals
    bought: set[str] = set()
    affordable = []
    for allocation in dict.fromkeys(proposals):
        route = compile_route(allocation, scenario.recipe, request.seed)
        missing = [block for block in missing_blocks(route, state) if block.key not in bought]
        price = prices.blocks.total(missing).at_least + (prices.score().seconds or 0.0)
        if price > budget:
            continue
        budget -= price
        bought |= {block.key for block in missing}
        affordable.append(allocation)
    return affordable


class _Phase:
    """Routes that are wanted, their blocks that are missing, and the scores of their last checkpoints.

    `bases` are the names of base models by content; a checkpoint that is none of them is a trained student.
    """

    def __init__(
        self, routes: list[Route], state: Callable[[str], CheckpointState], suite: SuiteKind, bases: Mapping[str, str]
    ) -> None:
        self.blocks = [block for route in routes for block in route.blocks]
        self.missing: dict[str, Block] = {}
        for route in routes:
            self.missing |= {block.key: block for block in missing_blocks(route, state)}
        self.suite = suite
        self.scores = Counter(bases.get(final, STUDENT) for final in {route.final for route in routes})

    def total(self, prices: RoutePrices) -> Total:
        """Of training what is missing, and of scoring."""
        scoring = (prices.scores.total(self.suite, count, model) for model, count in self.scores.items())
        return sum(scoring, prices.blocks.total(self.missing.values()))

    def is_measured(self, costs: BlockCosts) -> bool:
        """Whether the costs of all blocks that are missing were measured."""
        return all(costs.of(block).source is Source.measured for block in self.missing.values())

    def plan(self, total: Total) -> PhasePlan:
        """The phase with its counts and cost."""
        distinct = {block.key for block in self.blocks}
        return PhasePlan(
            requested=len(self.blocks),
            distinct=len(distinct),
            stored=len(distinct - self.missing.keys()),
            to_train=len(self.missing),
            gpu_seconds=total.rounded,
            basis=total.basis(),
        )


def _planned_costs(phases: Sequence[_Phase], prices: RoutePrices) -> Iterator[PlannedCost]:
    """One row for each kind of block and score of a plan."""
    missing = {key: block for phase in phases for key, block in phase.missing.items()}
    counts = Counter(work_of(block) for block in missing.values())
    for work, cost in prices.blocks.costs.items():
        if counts[work]:
            yield _row(f"{work}, a block", counts[work], cost)
    for phase in phases:
        for model, count in sorted(phase.scores.items(), key=lambda item: item[0] != STUDENT):
            name = "score" if model == STUDENT else f"score of {model}"
            yield _row(f"{name} on {phase.suite}", count, prices.score(model, phase.suite))


def _row(name: str, count: int, cost: Cost) -> PlannedCost:
    seconds = None if cost.seconds is None else round(cost.seconds, 3)
    return PlannedCost(name, count, seconds, cost.source.name, cost.basis)


def block_states(store: BlockStore | None) -> Callable[[str], CheckpointState]:
    """What a store holds of a block; nothing of any where there is no store."""
    return store.state if store is not None else lambda key: CheckpointState.absent


def stage_memory(scenario: Scenario, routes: list[Route]) -> dict[str, StageMemory]:
    """Predicted peak memory of each stage that the routes have; none of unknown shapes."""
    memory = {}
    for stage in dict.fromkeys(block.stage for route in routes for block in route.blocks):
        if (predicted := predict_stage(scenario, stage)) is not None:
            memory[stage] = StageMemory(predicted.total, predicted.moment, predicted.parts)
    return memory


def peak_disk(scenario: Scenario, routes: list[Route]) -> int | None:
    """Weights of every distinct block, and optimizer state where the scenario keeps it; None for unknown shapes."""
    distinct = {block.key: block for route in routes for block in route.blocks}
    continued = {block.parent for block in distinct.values() if block.index > 0}
    total = 0
    for key, block in distinct.items():
        shape, lora = scenario.shape(block.model), scenario.source(block.model).lora
        if shape is None:
            return None
        weights = 4 * (shape.adapter(lora.rank) if lora else shape.parameters)
        keeps = scenario.file.keep_optimizer == "all" or key not in continued
        total += weights * (1 + ADAM_STATES * keeps)
    return total
