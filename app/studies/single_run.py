"""`tuition run`: one route."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuition.app.processes.channel import logged
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.search_run import file_baselines
from tuition.benchmarks.artefacts import correct_PK, finite_fields
from tuition.benchmarks.statistics.intervals import Score, avg_at_k
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.planner.allocation import Allocation, named_allocations
from tuition.planner.route import compile_route
from tuition.runners.labels import LabelCounts
from tuition.runners.route_runner import BlockUse
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile


@dataclass(frozen=True)
class SingleRun:
    """One allocation, trained with one seed and scored."""

    scenario: str
    allocation: Allocation
    seed: int
    blocks: tuple[BlockUse, ...]
    """First to last; `executed` says which were trained now."""
    labels: LabelCounts
    gpu_seconds_full: float
    """From scratch, ignoring reuse; processor time on a CPU."""
    gpu_seconds_marginal: float
    """Spent by this call."""
    scores: Mapping[str, Score]
    """By suite and version; fractions. They exclude training variance."""
    truncated_shares: Mapping[str, float]
    """By suite and version: of the completions, those that ran into the limit."""
    weights_sha256: str
    model: Path
    """The checkpoint, a transformers folder."""
    log: Path

    def document(self) -> dict[str, Any]:
        """The run as JSON values."""
        return {
            "scenario": self.scenario,
            "allocation": str(self.allocation),
            "allocation_id": self.allocation.id,
            "seed": self.seed,
            "blocks": [_described(use) for use in self.blocks],
            "labels": asdict(self.labels),
            "gpu_seconds_full": self.gpu_seconds_full,
            "gpu_seconds_marginal": self.gpu_seconds_marginal,
            "scores": {suite: finite_fields(score) for suite, score in self.scores.items()},
            "truncated_shares": dict(self.truncated_shares),
            "weights_sha256": self.weights_sha256,
            "model": str(self.model),
            "log": str(self.log),
        }


def allocations_by_name(file: ScenarioFile, num_label_blocks: int) -> dict[str, Allocation]:
    """The paper's routes and the baselines, for the scenario's default teacher and bridge."""
    search = file.search
    paper = named_allocations(file.default_teacher, num_label_blocks, search.bridge_warmup, search.bridge_opd)
    return {**paper, **file_baselines(file, num_label_blocks)}


def find_allocation(scenario: Scenario, text: str) -> Allocation:
    """The allocation that a text says, or a route by its name; AllocationError for what is neither."""
    named = allocations_by_name(scenario.file, scenario.num_label_blocks)
    return named[text] if text in named else Allocation.parse(text)


def run_single(configuration: RunConfiguration, text: str, seed: int, test: bool) -> SingleRun:
    """Train one allocation (or a route by its name) and score it on validation, and on the test suite if asked."""
    scenario = configuration.load_scenario()
    allocation = find_allocation(scenario, text)
    warnings = check_models(scenario, [allocation])
    route = compile_route(allocation, scenario.recipe, seed)
    suites: tuple[SuiteKind, ...] = ("validation", "test") if test else ("validation",)
    log_path = configuration.folder.log(f"run-{allocation.id}-seed{seed}")
    with Reporter(configuration.quiet) as reporter, logged(log_path, reporter), Interrupts(reporter.say) as interrupts:
        reporter.check = interrupts.check
        for warning in warnings:
            reporter.say(f"warning: {warning}")
        study = f"run:{scenario.sha256[:12]}"
        with configuration.open_runner(scenario, reporter) as runner:
            run = runner.run(route, study)
            scores, truncated_shares = {}, {}
            for suite in suites:
                scored = runner.score(route.final, suite, study)
                truncated_shares[scored.suite] = round(scored.truncated_share, 4)
                scores[scored.suite] = avg_at_k(correct_PK(scored.table)[1])
    return SingleRun(
        scenario=scenario.name,
        allocation=allocation,
        seed=seed,
        blocks=run.blocks,
        labels=run.labels,
        gpu_seconds_full=round(run.gpu_seconds_full, 3),
        gpu_seconds_marginal=round(run.gpu_seconds_marginal, 3),
        scores=scores,
        truncated_shares=truncated_shares,
        weights_sha256=run.weights_sha256,
        model=run.model,
        log=log_path,
    )


def _described(use: BlockUse) -> dict[str, Any]:
    """A block as JSON values.

    Groups of GRPO, those whose completions all had one reward, and labels that its filter left out are None for other
    and for older blocks; so are draws, how often its rows hold the labels or prompts of its pool, for older ones.
    """
    counted = ("groups", "groups_zero_variance", "labels_filtered", "truncated_share")
    draws = use.record.draws if use.record is not None else None
    return {
        "key": use.key,
        "stage": use.stage,
        "index": use.index,
        "executed": use.executed,
        "gpu_seconds": use.gpu_seconds,
        "gpu_seconds_spent": use.gpu_seconds_spent,
        **{name: getattr(use.record, name, None) for name in counted},
        "draws": None if draws is None else draws.model_dump(mode="json"),
    }
