"""What `tuition record` trains, in which order, and what it will cost.

The choice depends on the scenario and on the number of routes only: the same for all seeds, whatever the store holds.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from tuition.app.costs.block_costs import ScoreCosts, block_costs
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.storage.store_upkeep import find_store
from tuition.app.studies.direct_compute import extended, foreseen_replay, replays_of_direct
from tuition.app.studies.search_plan import block_states, peak_disk
from tuition.app.studies.search_run import scenario_baselines
from tuition.app.studies.single_run import find_allocation
from tuition.benchmarks.baselines import UPSTREAM
from tuition.benchmarks.grading.policies import PolicyError, refuse_mixed
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import RecordingFolder
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.benchmarks.tables.recorded_table import (
    FIRST_RECORDED_SEED,
    RecordedBlock,
    RecordedError,
    RecordedRun,
    RecordedTable,
    read_table,
    recorded_seeds,
    role_of,
    selected_split,
    table_bytes,
)
from tuition.benchmarks.tables.table_header import Header, RecordedRecipe, RecordedSuite
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import BlockCosts, Total, missing_blocks
from tuition.planner.coverage import candidates, cover
from tuition.planner.route import Block, Route, compile_checkpoint, compile_route
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario

logger = logging.getLogger(__name__)

LEAST_RUN_SECONDS = 0.1  # a run costs something, where the scenario foresees no seconds for scores
LEAST_RUN_SHARE = 1 / 600  # of a block, where it foresees none for blocks either
CHOICE_SEED = 0


@dataclass(frozen=True)
class RecordRequest:
    """What the command line asks for."""

    run: RunConfiguration
    num_seeds: int
    num_routes: int
    out: Path | None
    only_named: bool
    complete: bool = False
    only: tuple[str, ...] = ()
    """The routes to record, by name or as allocations; empty for what the scenario and the other fields determine."""

    def table_path(self, scenario: Scenario) -> Path:
        """Where the table lies."""
        return self.out or self.run.folder.recorded_table(scenario.name)


def scenario_label(scenario: Scenario) -> str:
    """A scenario's name and version: the version is the beginning of its content hash."""
    return f"{scenario.name}@{scenario.sha256[:12]}"


def header_of(scenario: Scenario) -> Header:
    """What all rows of the scenario's table share."""

    def suite(kind: SuiteKind) -> RecordedSuite:
        source, problems = (
            (scenario.file.validation, scenario.validation)
            if kind == "validation"
            else (scenario.file.test, scenario.test)
        )
        return RecordedSuite(
            name=scenario.suite_name(kind), samples=source.samples, problem_ids=tuple(p.id for p in problems)
        )

    return Header(
        scenario=scenario_label(scenario),
        scenario_sha256=scenario.sha256,
        recipe=RecordedRecipe.of(scenario.recipe),
        space=scenario.space,
        names={name: str(allocation) for name, allocation in scenario_baselines(scenario).items()},
        states_kept=tuple(sorted(scenario.stages_keeping_states)),
        validation=suite("validation"),
        test=suite("test"),
        decoding=scenario.file.decoding.model_dump(),
    )


def existing_table(path: Path, scenario: Scenario) -> RecordedTable | None:
    """The table that is to be completed, None where there is none; RecordedError for one of another scenario."""
    if not path.exists():
        return None
    table = read_table(path)
    try:
        refuse_mixed([table.header.grader, scenario.policy.version])
    except PolicyError as error:
        raise RecordedError(
            f"{path} and the scenario: {error} (`grading` in the scenario's file), or choose another --out"
        ) from None
    if table.header.scenario_sha256 != scenario.sha256:
        raise RecordedError(
            f"{path} holds {table.header.scenario}, but the scenario is {scenario_label(scenario)}: choose another "
            "--out, or use the scenario of the table"
        )
    return table


def read_rows(folder: RecordingFolder) -> list[RecordedRun]:
    """The rows in a recording's folder; a damaged file is skipped with a warning, and its run recorded again."""
    rows = []
    for path in folder.rows():
        try:
            rows.append(RecordedRun.model_validate_json(path.read_bytes()))
        except (ValueError, RecursionError) as error:
            logger.warning("%s is damaged (%s): its run is recorded again", path, one_line(error, 200))
    return rows


def chosen_checkpoints(scenario: Scenario, request: RecordRequest, table: RecordedTable | None) -> list[Checkpoint]:
    """What is to be trained and scored with every seed: some routes, or with `complete` every checkpoint of all.

    AllocationError for what is neither the name of a route nor an allocation in `only`.
    """
    if request.only:
        return list(dict.fromkeys(find_allocation(scenario, text) for text in request.only))
    if request.complete:
        return complete(scenario, named_rows(scenario, table))
    return [*chosen_allocations(scenario, request.num_routes, request.only_named, table)]


def complete(scenario: Scenario, named: Sequence[Allocation]) -> list[Checkpoint]:
    """The named allocations, all of the search space, and every checkpoint that these pass on the way."""
    whole = dict.fromkeys([*named, *scenario.space.allocations()])
    passed: dict[Checkpoint, None] = {}
    for allocation in whole:
        passed |= dict.fromkeys(allocation.checkpoints())
    return list(passed)


def chosen_allocations(
    scenario: Scenario, num_routes: int, only_named: bool, table: RecordedTable | None
) -> list[Allocation]:
    """What is to be trained with every seed: the named routes first, then a cover of the search space.

    Named are the baselines and the chain of direct GRPO and replay blocks that `direct-compute` is chosen from, as long
    as it is in the table or, where there is none, foreseen to be; with `only_named` also the best split of the table.
    Then, for every teacher, all splits of the whole budget with the scenario's bridge, and what `cover` adds.
    """
    # What is stated alone: measured costs would change the choice from one call to the next.
    costs, scores = block_costs(scenario, None), ScoreCosts(scenario, None)
    least = LEAST_RUN_SECONDS if costs.costs else LEAST_RUN_SHARE
    blocks = scenario.recipe.num_label_blocks
    first = named_rows(scenario, table)
    if only_named:
        best = selected_split(table) if table else None
        return list(dict.fromkeys([*first, *([best] if best else [])]))
    settings = scenario.file.search
    for teacher in scenario.file.teachers:
        first += [
            Allocation(
                teacher=teacher,
                teacher_rl=upstream,
                warmup=settings.bridge_warmup,
                opd=settings.bridge_opd,
                student_rl=blocks - upstream,
                prompts=settings.prompts,
            )
            for upstream in range(blocks + 1)
        ]

    def compile_it(allocation: Allocation) -> Route:
        return compile_route(allocation, scenario.recipe, FIRST_RECORDED_SEED)

    pool = candidates(scenario.space, compile_it, CHOICE_SEED)
    chosen = cover(
        scenario.space,
        pool,
        [compile_it(allocation) for allocation in dict.fromkeys(first)],
        num_routes,
        costs.relative,
        max(least, scoring_of_runs(scores, 1).at_least),
    )
    return [route.allocation for route in chosen]


def named_rows(scenario: Scenario, table: RecordedTable | None) -> list[Allocation]:
    """The baselines that are chains of blocks, and the chain of direct GRPO and replay blocks."""
    blocks, baselines = scenario.recipe.num_label_blocks, scenario_baselines(scenario)
    recorded = replays_of_direct(table.allocations, blocks) if table else []
    costs = block_costs(scenario, None)
    length = max(recorded, default=0) or foreseen_replay(scenario, costs, baselines[UPSTREAM])
    return [*baselines.values(), *(extended(blocks, replay) for replay in range(1, length + 1))]


def scoring_of_runs(scores: ScoreCosts, count: int) -> Total:
    """What it costs to score so many checkpoints on both suites."""
    return scores.total("validation", count) + scores.total("test", count)


def training_order(routes: Sequence[Route], workers: int) -> list[Route]:
    """The routes, so that nothing is trained twice and workers seldom wait for each other's blocks.

    First the longest training of every teacher, whose blocks hold all shorter ones. Then groups of routes that share
    their teacher's checkpoint, one after the other, so that a store can be pruned behind them; in a group the longest
    first, because a chain that is never extended needs no optimizer state. Neighbours are of different groups, as many
    as there are workers.
    """
    ordered = sorted(routes, key=lambda route: (-len(route.blocks), str(route.allocation)))
    heads: dict[tuple[str, str], Route] = {}
    for route in sorted(ordered, key=lambda route: -route.allocation.teacher_label_blocks):
        heads.setdefault(_trained_teacher(route), route)
    first = list({route.key: route for route in heads.values()}.values())
    groups: dict[tuple[str, str, int], list[Route]] = {}
    for route in ordered:
        if route in first:
            continue
        groups.setdefault((*_trained_teacher(route), route.allocation.teacher_label_blocks), []).append(route)
    several = [groups[key] for key in sorted(groups)]
    streams = [list(chain.from_iterable(several[start::workers])) for start in range(workers)]
    return [*first, *(route for several in zip_longest(*streams) for route in several if route is not None)]


def _trained_teacher(route: Route) -> tuple[str, str]:
    """The teacher of a route and the stage that trains it, "" for none."""
    stage = route.allocation.teacher_stage
    return route.allocation.teacher or "", stage.name if stage is not None else ""


def plan_recording(request: RecordRequest) -> dict[str, Any]:
    """Price a recording before it runs: routes, blocks, seconds, disk, bytes of the table. Writes nothing."""
    scenario = request.run.load_scenario()
    check_models(scenario)
    path = request.table_path(scenario)
    table = existing_table(path, scenario)
    checkpoints = chosen_checkpoints(scenario, request, table)
    seeds = recorded_seeds(request.num_seeds)
    wanted = [compile_checkpoint(checkpoint, scenario.recipe, seed) for seed in seeds for checkpoint in checkpoints]
    recorded = [*(table.rows if table else ()), *read_rows(request.run.folder.recording(scenario.sha256))]
    done = {(run.allocation, run.seed): run for run in recorded}
    todo = [route for route in wanted if (str(route.checkpoint), route.seed) not in done]
    store = find_store(request.run.results)
    measured = MeasuredBlocks(scenario, request.run.folder)
    costs, scores = block_costs(scenario, measured), ScoreCosts(scenario, measured)
    missing: dict[str, Block] = {}
    for route in todo:
        missing |= {block.key: block for block in missing_blocks(route, block_states(store))}
    training, scoring = costs.total(missing.values()), scoring_of_runs(scores, len(todo))
    total = training + scoring
    written = [*done.values(), *(made_up_run(scenario, route, costs) for route in todo)]
    return {
        "scenario": scenario_label(scenario),
        "table": str(path),
        "seeds": [{"seed": seed, "role": role_of(seed)} for seed in seeds],
        "routes": sum(isinstance(checkpoint, Allocation) for checkpoint in checkpoints),
        "teachers": sum(not isinstance(checkpoint, Allocation) for checkpoint in checkpoints),
        "allocations": [str(checkpoint) for checkpoint in checkpoints],
        "rows_recorded": len(wanted) - len(todo),
        "rows_to_record": len(todo),
        "blocks_requested": sum(len(route.blocks) for route in todo),
        "blocks_to_train": len(missing),
        "gpu_seconds_training": training.rounded,
        "gpu_seconds_scoring": scoring.rounded,
        "gpu_seconds": total.rounded,
        "gpu_seconds_known": round(total.at_least, 1),
        "device": "processor time" if scenario.device == "cpu" else "GPU time",
        "basis": total.basis(),
        "peak_disk_bytes": peak_disk(scenario, todo),
        "table_bytes": len(table_bytes(header_of(scenario), written)),
    }


def made_up_run(scenario: Scenario, route: Route, costs: BlockCosts) -> RecordedRun:
    """A row with drawn counts, as large as a real one, to foresee the size of a table; it is never written."""
    rng = np.random.default_rng(int(route.key[:8], 16))

    def counts(problems: int, samples: int) -> tuple[int, ...]:
        return tuple(int(count) for count in rng.binomial(samples, rng.beta(0.5, 0.5, size=problems)))

    return RecordedRun(
        scenario=scenario_label(scenario),
        allocation=str(route.checkpoint),
        teacher=route.allocation.teacher,
        seed=route.seed,
        role=role_of(route.seed),
        validation_correct=counts(len(scenario.validation), scenario.file.validation.samples),
        test_correct=counts(len(scenario.test), scenario.file.test.samples),
        blocks=tuple(
            RecordedBlock(
                key=block.key,
                stage=block.stage,
                gpu_seconds=round(costs.relative(block) * int(block.key[:4], 16) / 2**15, 3),
            )
            for block in route.blocks
        ),
        weights_sha256=hashlib.sha256(route.key.encode()).hexdigest(),
        validation_gpu_seconds=round(float(rng.random()), 3),
        test_gpu_seconds=round(float(rng.random()), 3),
        labels_trained=len(route.labels_trained),
        labels_validation=len(scenario.validation),
        labels_owned=len(scenario.labels) + len(scenario.validation),
        host="host",
        device=scenario.device,
        date="2000-01-01T00:00:00+00:00",
        command="tuition record",
        code_version="0",
        versions={},
    )
