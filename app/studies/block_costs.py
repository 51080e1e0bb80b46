"""What blocks cost, and how many of those that routes ask for are distinct."""

import platform
from typing import Any

from tuition.app.studies.study_report import ExpectedReuse
from tuition.planner.cost import BlockCosts, charge
from tuition.planner.route import Route, compile_route
from tuition.planner.stages import STAGES
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore

EXPECTED_REUSE_DRAWS = 20


def block_costs(scenario: Scenario, store: BlockStore | None) -> BlockCosts:
    """Block costs measured on this host, in the results folder, on top of the scenario's prior."""
    prior = scenario.file.prior_seconds
    costs = BlockCosts(
        {
            (stage.name, stage.trained_model(teacher)): prior[stage.name]
            for stage in STAGES
            for teacher in scenario.file.teachers
            if stage.name in prior
        }
    )
    for record in store.records() if store is not None else []:
        if record.host != platform.node():
            continue
        # With its rollouts, whether this block was the one that drew them or not: a median over blocks is wanted.
        (seconds,) = charge([record.price])
        if seconds > 0:
            costs.record(record.stage, record.model, seconds)
    return costs


def count_blocks(routes: list[Route], costs: BlockCosts) -> dict[str, Any]:
    """Blocks that routes ask for and distinct ones among them, in number and in predicted GPU-seconds."""
    blocks = [block for route in routes for block in route.blocks]
    distinct = {block.key: block for block in blocks}
    seconds = {key: costs.seconds(block.stage, block.model) for key, block in distinct.items()}
    return {
        "requested": len(blocks),
        "distinct": len(distinct),
        "predicted_gpu_seconds_requested": round(sum(seconds[block.key] for block in blocks), 1),
        "predicted_gpu_seconds_distinct": round(sum(seconds.values()), 1),
    }


def expected_reuse(scenario: Scenario, num_allocations: int, seed: int, costs: BlockCosts) -> ExpectedReuse:
    """Distinct over requested blocks for as many random allocations: the mean over several draws of such sets."""
    by_blocks, by_seconds = [], []
    for draw in range(EXPECTED_REUSE_DRAWS if num_allocations else 0):
        allocations = scenario.space.random_allocations(num_allocations, seed=draw)
        counts = count_blocks([compile_route(a, scenario.recipe, seed) for a in allocations], costs)
        by_blocks.append(counts["distinct"] / counts["requested"])
        by_seconds.append(counts["predicted_gpu_seconds_distinct"] / counts["predicted_gpu_seconds_requested"])
    mean = [sum(values) / len(values) if values else None for values in (by_blocks, by_seconds)]
    return ExpectedReuse(distinct_over_requested_blocks=mean[0], distinct_over_requested_seconds=mean[1])
