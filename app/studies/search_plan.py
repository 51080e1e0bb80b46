"""`tuition plan`: what a search would need, before anything is trained."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuition.app.storage.store_upkeep import find_store
from tuition.app.studies.block_costs import block_costs
from tuition.app.studies.evaluation import seeds_for_test
from tuition.app.studies.planned_passes import StagePasses, plan_passes
from tuition.app.studies.search_run import enqueued, search_baselines
from tuition.planner.cost import BlockCosts, CheckpointState, missing_blocks
from tuition.planner.route import Block, Route, compile_route
from tuition.runners.scenarios.memory import predict_stage
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.outline import Outline, load_to_plan
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore

ADAM_STATES = 2  # AdamW keeps two moments per weight


@dataclass(frozen=True)
class PhasePlan:
    """Blocks that a search or its test asks for, and what those would cost that are not in the store."""

    requested: int
    distinct: int
    stored: int
    to_train: int
    gpu_seconds: float
    """Of training and of scoring."""


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
    gpu_seconds: float
    """Of both, on one worker; processor time on a CPU."""
    devices: int
    """That train one block together."""
    device: str
    """What is counted: "processor time" or "GPU time"."""
    basis: str
    """What the seconds are predicted from."""
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

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)


def plan_search(scenario_name: str, trials: int, results: Path, seed: int, num_test_seeds: int) -> SearchPlan:
    """Price a search: what it would ask for, what the store already has, seconds, memory, disk, labels, commands.

    Nothing is fetched: where models or data sets of the Hub are not on this machine, the file alone is read.
    """
    scenario = load_to_plan(scenario_name)
    warnings = check_models(scenario)
    first = enqueued(scenario)[:trials]
    proposals = first + scenario.space.random_allocations(trials - len(first), seed)
    search_routes = [compile_route(allocation, scenario.recipe, seed) for allocation in proposals]
    tested = [*search_baselines(scenario).values(), *proposals[-2:]]
    test_routes = [compile_route(a, scenario.recipe, s) for s in seeds_for_test(seed, num_test_seeds) for a in tested]
    store = find_store(results)
    costs = block_costs(scenario, store)
    search = _price(scenario, search_routes, costs, store, "validation")
    test = _price(scenario, test_routes, costs, store, "test")
    return SearchPlan(
        scenario=scenario.name,
        trials=trials,
        search=search,
        test=test,
        gpu_seconds=search.gpu_seconds + test.gpu_seconds,
        devices=scenario.file.hardware.processes,
        device="processor time" if scenario.device == "cpu" else "GPU time",
        basis="from blocks measured in this results folder"
        if store and store.records()
        else "from the scenario's prior",
        planned_from="the file alone: models and data sets on the Hub were neither fetched nor checked"
        if isinstance(scenario, Outline)
        else "models and data",
        peak_disk_bytes=peak_disk(scenario, [*search_routes, *test_routes]),
        memory=stage_memory(scenario, [*search_routes, *test_routes]),
        passes=plan_passes(scenario, seed),
        commands=(
            f"tuition doctor --scenario {scenario_name}",
            f"tuition search --scenario {scenario_name} --trials {trials} --test-seeds {num_test_seeds} --seed {seed} "
            f"--results {results}",
            f"tuition baselines --scenario {scenario_name} --results {results}",
        ),
        labels=PlannedLabels(
            labels_budget=len(scenario.labels),
            labels_validation=len(scenario.validation),
            labels_owned=len(scenario.labels) + len(scenario.validation),
        ),
        warnings=warnings,
    )


def _price(
    scenario: Scenario, routes: list[Route], costs: BlockCosts, store: BlockStore | None, suite: str
) -> PhasePlan:
    """Blocks that are wanted, there and missing, and the predicted seconds of training and of scoring."""
    blocks = [block for route in routes for block in route.blocks]
    missing: dict[str, Block] = {}
    for route in routes:
        missing |= {block.key: block for block in missing_blocks(route, block_states(store))}
    distinct = {block.key for block in blocks}
    training = sum(costs.seconds(block.stage, block.model) for block in missing.values())
    scoring = len({route.final for route in routes}) * scoring_seconds(scenario, suite)
    return PhasePlan(
        requested=len(blocks),
        distinct=len(distinct),
        stored=len(distinct - missing.keys()),
        to_train=len(missing),
        gpu_seconds=round(training + scoring, 1),
    )


def block_states(store: BlockStore | None) -> Callable[[str], CheckpointState]:
    """What a store holds of a block; nothing of any where there is no store."""
    return store.state if store is not None else lambda key: CheckpointState.absent


def scoring_seconds(scenario: Scenario, suite: str) -> float:
    """Predicted seconds to score one checkpoint: the scenario's prior for 1,000 samples, times the suite's samples."""
    problems = scenario.validation if suite == "validation" else scenario.test
    source = scenario.file.validation if suite == "validation" else scenario.file.test
    return scenario.file.prior_seconds.get("score", 0.0) * len(problems) * source.samples / 1000


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
