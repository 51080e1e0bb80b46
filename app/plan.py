"""`tuition plan`: what a search would need, before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.accounts import block_costs
from app.evaluation import test_seeds
from app.search import enqueued, search_baselines
from planner.cost import BlockCosts, CheckpointState, missing_blocks
from planner.route import Block, Route, compile_route
from runners.scenario import Scenario
from runners.store import BlockStore

ADAM_STATES = 2  # AdamW keeps two moments per weight


def plan_search(scenario_name: str, trials: int, results: Path, seed: int, num_test_seeds: int) -> dict[str, Any]:
    """Price a search: what it would ask for, what the store already has, seconds, disk, labels."""
    scenario = Scenario.load(scenario_name)
    first = enqueued(scenario)[:trials]
    proposals = first + scenario.space.random_allocations(trials - len(first), seed)
    search_routes = [compile_route(allocation, scenario.recipe, seed) for allocation in proposals]
    tested = [*search_baselines(scenario).values(), *proposals[-2:]]
    test_routes = [compile_route(a, scenario.recipe, s) for s in test_seeds(seed, num_test_seeds) for a in tested]
    store = BlockStore(results / "store") if (results / "store").is_dir() else None
    costs = block_costs(scenario, store)
    search = _price(scenario, search_routes, costs, store, "validation")
    test = _price(scenario, test_routes, costs, store, "test")
    return {
        "scenario": scenario.name,
        "trials": trials,
        "search": search,
        "test": test,
        "gpu_seconds": search["gpu_seconds"] + test["gpu_seconds"],
        "device": "processor time" if scenario.device == "cpu" else "GPU time",
        "basis": "from blocks measured in this results folder"
        if store and store.records()
        else "from the scenario's prior",
        "peak_disk_bytes": peak_disk(scenario, [*search_routes, *test_routes]),
        "labels": {
            "labels_budget": len(scenario.labels),
            "labels_validation": len(scenario.validation),
            "labels_owned": len(scenario.labels) + len(scenario.validation),
        },
    }


def _price(
    scenario: Scenario, routes: list[Route], costs: BlockCosts, store: BlockStore | None, suite: str
) -> dict[str, Any]:
    """Blocks that are wanted, there and missing, and the predicted seconds of training and of scoring."""
    blocks = [block for route in routes for block in route.blocks]
    missing: dict[str, Block] = {}
    for route in routes:
        missing |= {block.key: block for block in missing_blocks(route, block_states(store))}
    distinct = {block.key for block in blocks}
    training = sum(costs.seconds(block.stage, block.model) for block in missing.values())
    scoring = len({route.final for route in routes}) * scoring_seconds(scenario, suite)
    return {
        "requested": len(blocks),
        "distinct": len(distinct),
        "stored": len(distinct - missing.keys()),
        "to_train": len(missing),
        "gpu_seconds": round(training + scoring, 1),
    }


def block_states(store: BlockStore | None) -> Callable[[str], CheckpointState]:
    """What a store holds of a block; nothing of any where there is no store."""
    return store.state if store is not None else lambda key: CheckpointState.absent


def scoring_seconds(scenario: Scenario, suite: str) -> float:
    """Predicted seconds to score one checkpoint: the scenario's prior for 1,000 samples, times the suite's samples."""
    problems = scenario.validation if suite == "validation" else scenario.test
    source = scenario.file.validation if suite == "validation" else scenario.file.test
    return scenario.file.prior_seconds.get("score", 0.0) * len(problems) * source.samples / 1000


def peak_disk(scenario: Scenario, routes: list[Route]) -> int:
    """Weights of every distinct block, and optimizer state where the scenario keeps it."""
    distinct = {block.key: block for route in routes for block in route.blocks}
    continued = {block.parent for block in distinct.values() if block.index > 0}
    total = 0
    for key, block in distinct.items():
        weights = _trained_bytes(scenario, block.model)
        keeps = scenario.file.keep_optimizer == "all" or key not in continued
        total += weights * (1 + ADAM_STATES * keeps)
    return total


def _trained_bytes(scenario: Scenario, model: str) -> int:
    """Bytes of the weights that a block of this model stores: all of them, or its adapter (in float32)."""
    from safetensors import safe_open

    files = sorted(scenario.base_folder(model).glob("*.safetensors"))
    lora = scenario.source(model).lora
    if lora is None:
        return sum(file.stat().st_size for file in files)
    total = 0
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no dictionary
                shape = tensors.get_slice(name).get_shape()
                if len(shape) == 2 and "embed" not in name and "lm_head" not in name:
                    total += 4 * lora.rank * (shape[0] + shape[1])
    return total
