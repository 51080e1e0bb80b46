"""`tuition plan` and `tuition scenarios`: what a search would need, before anything is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.evaluation import test_seeds
from app.search import block_costs, enqueued, scenario_baselines
from app.single import allocations_by_name
from planner.cost import BlockCosts, CheckpointState
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
    tested = [*scenario_baselines(scenario).values(), *proposals[-2:]]
    test_routes = [compile_route(a, scenario.recipe, s) for s in test_seeds(seed, num_test_seeds) for a in tested]
    store = BlockStore(results / "store") if (results / "store").is_dir() else None
    costs = block_costs(scenario, store)
    search = _price(search_routes, costs, store)
    test = _price(test_routes, costs, store)
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
        "peak_disk_bytes": _peak_disk(scenario, [*search_routes, *test_routes]),
        "labels": {
            "labels_budget": len(scenario.labels),
            "labels_validation": len(scenario.validation),
            "labels_owned": len(scenario.labels) + len(scenario.validation),
        },
    }


def _price(routes: list[Route], costs: BlockCosts, store: BlockStore | None) -> dict[str, Any]:
    blocks = [block for route in routes for block in route.blocks]
    distinct: Mapping[str, Block] = {block.key: block for block in blocks}
    stored = {key for key in distinct if store is not None and store.state(key) is not CheckpointState.absent}
    to_train = [block for key, block in distinct.items() if key not in stored]
    return {
        "requested": len(blocks),
        "distinct": len(distinct),
        "stored": len(stored),
        "to_train": len(to_train),
        "gpu_seconds": round(sum(costs.seconds(block.stage, block.model) for block in to_train), 1),
    }


def _peak_disk(scenario: Scenario, routes: list[Route]) -> int:
    """Weights of every distinct block, and optimizer state where the scenario keeps it."""
    distinct = {block.key: block for route in routes for block in route.blocks}
    continued = {block.parent for block in distinct.values() if block.index > 0}
    total = 0
    for key, block in distinct.items():
        weights = sum(f.stat().st_size for f in scenario.base_folder(block.model).glob("*.safetensors"))
        keeps = scenario.file.keep_optimizer == "all" or key not in continued
        total += weights * (1 + ADAM_STATES * keeps)
    return total


def describe_scenario(name: str) -> dict[str, Any]:
    """Load and check a scenario, and say what is in it."""
    scenario = Scenario.load(name)
    return {
        "name": scenario.name,
        "description": scenario.file.description,
        "sha256": scenario.sha256,
        "student": scenario.file.student.path or scenario.file.student.hub,
        "teachers": ", ".join(scenario.file.teachers) + f" (named routes use {scenario.default_teacher})",
        "labels": f"{len(scenario.labels)} in blocks of {scenario.file.labels_per_block}",
        "prompts": f"{len(scenario.prompts)} without answers",
        "validation": f"{len(scenario.validation)} problems × {scenario.file.validation.samples} samples",
        "test": f"{len(scenario.test)} problems × {scenario.file.test.samples} samples",
        "device": scenario.device,
        "contamination": "; ".join(str(overlap) for overlap in scenario.overlaps),
        "routes": {route: str(allocation) for route, allocation in allocations_by_name(scenario).items()},
    }
