"""What a search has asked for, trained and spent: its report before its test."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuition.app.costs.block_costs import block_costs, count_blocks, expected_reuse
from tuition.app.studies.study_report import (
    BlockAccount,
    LabelAccount,
    SearchReport,
    TrialReport,
    ValidationScore,
    read_report,
)
from tuition.benchmarks.artefacts import FileError
from tuition.benchmarks.provenance import command_line
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.planner.trials import LABELS_OUTSIDE, ON_THE_WAY_OF, OUTSIDE
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario


def make_report(
    study: optuna.Study, scenario: Scenario, runner: RouteRunner, seed: int, trained_now: Iterable[str], seconds: float
) -> SearchReport:
    """The study before its test: blocks, labels, seconds, and every trial."""
    trials = study.get_trials(deepcopy=False)
    proposed = [trial for trial in trials if not {ON_THE_WAY_OF, OUTSIDE} & trial.user_attrs.keys()]
    requested = [
        compile_route(Allocation.parse(t.user_attrs["allocation"]), scenario.recipe, seed)
        for t in proposed
        if t.state is TrialState.COMPLETE
    ]
    costs = block_costs(scenario, MeasuredBlocks(scenario, runner.results))
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
            gpu_seconds_requested=round(sum(float(t.user_attrs.get("gpu_seconds_full", 0.0)) for t in proposed), 1),
            gpu_seconds_executed=round(sum(spent for _, spent in trained), 1),
            expected_of_random_allocations=expected_reuse(scenario, len(requested), seed, costs),
        ),
        labels=LabelAccount(
            labels_budget=len(scenario.labels),
            labels_trained=max((int(t.user_attrs.get("labels_trained", 0)) for t in trials), default=0),
            labels_validation=len(scenario.validation),
            labels_owned=runner.ledger.owned(study.study_name) + len(scenario.validation),
            labels_outside=max((int(t.user_attrs.get(LABELS_OUTSIDE, 0)) for t in trials), default=0),
        ),
        seconds=round(seconds, 1),
        gpu_seconds=round(sum(spent for _, spent in runner.ledger.trainings(study.study_name)), 1),
        trials=tuple(map(_trial_report, trials)),
        leaderboard=None,
    )


def kept_test(path: Path) -> dict[str, Any]:
    """What of a study's report its next one keeps until there is another test; nothing where none was made."""
    try:
        before = read_report(path)
    except (FileNotFoundError, FileError):
        return {}
    if not isinstance(before, SearchReport) or before.test is None:
        return {}
    tested_trials = before.tested_trials if before.tested_trials is not None else len(before.proposals)
    kept = {name: getattr(before, name) for name in ("leaderboard", "test", "test_gpu_seconds")}
    return {**kept, "tests": before.looks, "tested_trials": tested_trials}


def _trial_report(trial: FrozenTrial) -> TrialReport:
    attributes = {key: value for key, value in trial.user_attrs.items() if key not in ("se_problems", "se_samples")}
    if "repeat_of" in attributes:  # it took the outcome of another trial and spent nothing
        attributes |= {"gpu_seconds_marginal": 0.0, "blocks_executed": 0}
    score = None
    if trial.value is not None:
        errors = {name: trial.user_attrs.get(name) for name in ("se_problems", "se_samples")}
        score = ValidationScore(mean=trial.value, **errors)
    return TrialReport(number=trial.number, state=trial.state.name.lower(), score=score, **attributes)
