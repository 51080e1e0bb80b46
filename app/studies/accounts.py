"""What a study has asked for, trained and spent: the numbers of its report."""

import platform
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuition.app.studies.study_report import (
    BlockAccount,
    ExpectedReuse,
    LabelAccount,
    SearchReport,
    TrialReport,
    ValidationScore,
)
from tuition.benchmarks.provenance import command_line
from tuition.planner.allocation import Allocation
from tuition.planner.cost import BlockCosts, charge
from tuition.planner.route import Route, compile_route
from tuition.planner.stages import STAGES
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore

EXPECTED_REUSE_DRAWS = 20


def make_report(
    study: optuna.Study, scenario: Scenario, runner: RouteRunner, seed: int, trained_now: Iterable[str], seconds: float
) -> SearchReport:
    """The study before its test: blocks, labels, seconds, and every trial."""
    trials = study.get_trials(deepcopy=False)
    requested = [
        compile_route(Allocation.parse(t.user_attrs["allocation"]), scenario.recipe, seed)
        for t in trials
        if t.state is TrialState.COMPLETE
    ]
    costs = block_costs(scenario, runner.store)
    wanted = {block.key for route in requested for block in route.blocks}
    trained = [(key, spent) for key, spent in runner.ledger.trainings(study.study_name) if key in wanted]
    return SearchReport(
        study=study.study_name,
        scenario=scenario.name,
        scenario_sha256=scenario.sha256,
        command=command_line(),
        seed=seed,
        versions=runner.trainer.versions,
        overlaps=tuple(map(str, scenario.overlaps)),
        blocks=BlockAccount(
            **count_blocks(requested, costs),
            executed=len(trained),
            executed_by_this_call=sum(key in wanted for key in trained_now),
            gpu_seconds_requested=round(sum(float(t.user_attrs.get("gpu_seconds_full", 0.0)) for t in trials), 1),
            gpu_seconds_executed=round(sum(spent for _, spent in trained), 1),
            expected_of_random_allocations=expected_reuse(scenario, len(requested), seed, costs),
        ),
        labels=LabelAccount(
            labels_budget=len(scenario.labels),
            labels_trained=max((int(t.user_attrs.get("labels_trained", 0)) for t in trials), default=0),
            labels_validation=len(scenario.validation),
            labels_owned=runner.ledger.owned(study.study_name) + len(scenario.validation),
        ),
        seconds=round(seconds, 1),
        gpu_seconds=round(sum(spent for _, spent in runner.ledger.trainings(study.study_name)), 1),
        trials=tuple(map(_trial_report, trials)),
        leaderboard=None,
    )


def _trial_report(trial: FrozenTrial) -> TrialReport:
    attributes = {key: value for key, value in trial.user_attrs.items() if key not in ("se_problems", "se_samples")}
    if "repeat_of" in attributes:  # it took the outcome of another trial and spent nothing
        attributes |= {"gpu_seconds_marginal": 0.0, "blocks_executed": 0}
    score = None
    if trial.value is not None:
        errors = {name: trial.user_attrs.get(name) for name in ("se_problems", "se_samples")}
        score = ValidationScore(mean=trial.value, **errors)
    return TrialReport(number=trial.number, state=trial.state.name.lower(), score=score, **attributes)


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
