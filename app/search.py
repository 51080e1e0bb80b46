"""`tuition search`: study, blocks, scores, then the test protocol, and one report of all of it.

Results of a study lie in `<results>/studies/<study>/`: `study.db` (Optuna), `logs/` (one per run), `report.json`,
`leaderboard.json` and `leaderboard.png`. Blocks and scores are shared by all studies of a results folder.
"""

import logging
import math
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from app.evaluation import Entry, evaluate, merge_entries, test_seeds
from app.progress import Reporter
from benchmarks.baselines import baseline_allocations
from benchmarks.leaderboard import Meta, RankedRow, plot, to_json
from benchmarks.records import correct_PK, write_json
from benchmarks.statistics import avg_at_k
from planner.allocation import Allocation
from planner.cost import BlockCosts
from planner.route import Route, compile_route
from planner.sampler import SAMPLERS
from planner.space import SpaceError
from planner.study import Outcome, StudyError, StudyLimits, finalists, open_study, search
from runners.engine import LocalEngine
from runners.scenario import Scenario
from runners.store import BlockStore

EXPECTED_REUSE_DRAWS = 20


@dataclass(frozen=True)
class SearchRequest:
    """What the command line asks for."""

    scenario: str
    results: Path
    study: str | None
    seed: int
    limits: StudyLimits
    sampler: str
    storage: str | None
    num_test_seeds: int
    mix_versions: bool
    quiet: bool


@dataclass(frozen=True)
class SearchResult:
    """The report as JSON, and the leaderboard (None when the test was skipped)."""

    report: dict[str, Any]
    ranked: list[RankedRow] | None
    meta: Meta | None
    folder: Path


def study_folder(results: Path, study: str) -> Path:
    """Where a study's own files lie."""
    return results / "studies" / study


def run_search(request: SearchRequest) -> SearchResult:
    """Search, then test. Everything that was done before is reused; a second call trains nothing."""
    started = time.monotonic()
    scenario = Scenario.load(request.scenario)
    name = request.study or f"{scenario.name}-seed{request.seed}"
    folder = study_folder(request.results, name)
    study = _open(request, scenario, name, folder)
    with Reporter(request.quiet) as reporter:
        _announce(scenario, reporter)
        engine = LocalEngine(scenario, request.results, reporter, request.mix_versions)
        try:
            _search(study, scenario, engine, request, folder, reporter)
            report = make_report(study, scenario, engine, request, time.monotonic() - started)
            # Written before the test as well: a baseline that fails must not cost the search its report.
            write_json(report, folder / "report.json")
            ranked, meta = None, None
            if request.num_test_seeds:
                ranked, meta, account = _test(study, scenario, engine, request, folder, reporter)
                report |= {"leaderboard": to_json(ranked, meta), "test": account}
                write_json(report["leaderboard"], folder / "leaderboard.json")
                plot(ranked, folder / "leaderboard.png")
        finally:
            engine.close()
        report["seconds"] = round(time.monotonic() - started, 1)
        write_json(report, folder / "report.json")
    return SearchResult(report, ranked, meta, folder)


def _open(request: SearchRequest, scenario: Scenario, name: str, folder: Path) -> optuna.Study:
    """Open the study; what can be wrong is found before a folder is made."""
    if request.sampler not in SAMPLERS:
        raise StudyError(f"--sampler {request.sampler!r}: choose from {', '.join(SAMPLERS)}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sha256 = scenario.sha256
    enqueued(scenario)  # space and baselines are checked by making them
    if request.storage is None:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    study = open_study(
        name, request.storage or f"sqlite:///{folder / 'study.db'}", sha256, request.seed, request.sampler
    )
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    return study


def _announce(scenario: Scenario, reporter: Reporter) -> None:
    reporter.say(
        f"scenario {scenario.name}: {len(scenario.labels)} labels in {scenario.recipe.num_label_blocks} blocks, "
        f"teachers {', '.join(scenario.file.teachers)}; a search needs these labels "
        f"and {len(scenario.validation)} for validation"
    )
    for overlap in scenario.overlaps:
        if overlap.ngram:
            reporter.say(f"contamination: {overlap}")


def scenario_baselines(scenario: Scenario) -> dict[str, Allocation]:
    """The baselines of a scenario, with its default teacher and bridge."""
    search_settings = scenario.file.search
    return baseline_allocations(
        scenario.default_teacher,
        scenario.recipe.num_label_blocks,
        search_settings.bridge_warmup,
        search_settings.bridge_opd,
        search_settings.prompts,
    )


def _search(
    study: optuna.Study,
    scenario: Scenario,
    engine: LocalEngine,
    request: SearchRequest,
    folder: Path,
    reporter: Reporter,
) -> None:
    done_before = _finished(study)
    total = request.limits.trials
    reporter.begin(f"search {study.study_name}", done_before, total)

    def evaluate_route(number: int, allocation: Allocation, route: Route) -> Outcome:
        log_path = folder / "logs" / f"trial-{number:04d}.log"
        with logged(log_path):
            try:
                return evaluate_on_validation(engine, route, study.study_name, log_path)
            except Exception as error:
                logging.getLogger(__name__).exception("trial %d failed", number)
                error.log_path = log_path  # type: ignore[attr-defined]
                raise

    def on_trial(_: optuna.Study, trial: FrozenTrial) -> None:
        reporter.run_done(
            f"#{trial.number} {trial.user_attrs.get('allocation', '')}",
            _result(trial),
            _finished(study),
            total,
            done_before,
        )

    search(
        study,
        scenario.space,
        lambda allocation: compile_route(allocation, scenario.recipe, request.seed),
        evaluate_route,
        request.limits,
        enqueued(scenario),
        on_trial,
        spent=lambda: sum(gpu_seconds for _, gpu_seconds in engine.ledger.trainings(study.study_name)),
    )


def enqueued(scenario: Scenario) -> list[Allocation]:
    """Baselines and the paper's rule first, as far as the scenario's space holds them."""
    allocations = []
    for allocation in scenario_baselines(scenario).values():
        try:
            scenario.space.params_of(allocation)
        except SpaceError:
            continue  # the raw bridge and the replay control are no proposals; the test has them
        allocations.append(allocation)
    return allocations


def evaluate_on_validation(engine: LocalEngine, route: Route, study: str, log_path: Path) -> Outcome:
    """Run a route, score it on the validation suite, and say what both cost."""
    run = engine.run(route, study)
    scored = engine.score(route.final, "validation", study)
    score = avg_at_k(correct_PK(scored.table)[1])
    return Outcome(
        score.mean,
        {
            "se_problems": finite(score.se_problems),
            "se_samples": finite(score.se_samples),
            "labels_trained": run.labels.labels_trained,
            "gpu_seconds": round(run.gpu_seconds_marginal + scored.gpu_seconds, 3),
            "gpu_seconds_full": round(run.gpu_seconds_full, 3),
            "gpu_seconds_marginal": round(run.gpu_seconds_marginal, 3),
            "blocks_requested": len(run.blocks),
            "blocks_executed": sum(use.executed for use in run.blocks),
            "weights_sha256": run.weights_sha256,
            "log": str(log_path),
        },
    )


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Everything that is logged meanwhile goes to a file, appended."""
    root = logging.getLogger()
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def _test(
    study: optuna.Study,
    scenario: Scenario,
    engine: LocalEngine,
    request: SearchRequest,
    folder: Path,
    reporter: Reporter,
) -> tuple[list[RankedRow], Meta, dict[str, Any]]:
    chosen = [
        Entry(f"search #{trial.number}", Allocation.parse(trial.user_attrs["allocation"]), True, trial.value)
        for trial in finalists(study)
    ]
    entries = merge_entries(scenario_baselines(scenario), chosen)
    with logged(folder / "logs" / "test.log"):
        return evaluate(
            engine, scenario, study.study_name, entries, test_seeds(request.seed, request.num_test_seeds), reporter
        )


def _finished(study: optuna.Study) -> int:
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def _result(trial: FrozenTrial) -> str:
    if trial.state is not TrialState.COMPLETE:
        return str(trial.user_attrs.get("error", "infeasible" if trial.state is TrialState.PRUNED else "failed"))
    repeat = f", repeats #{trial.user_attrs['repeat_of']}" if "repeat_of" in trial.user_attrs else ""
    return f"validation {trial.value:.1%} ± {trial.user_attrs['se_problems']:.1%} over problems{repeat}"


def finite(value: float) -> float | None:
    """The number, or None where JSON has none (NaN, infinities)."""
    return value if math.isfinite(value) else None


def make_report(
    study: optuna.Study, scenario: Scenario, engine: LocalEngine, request: SearchRequest, seconds: float
) -> dict[str, Any]:
    """The study as one JSON document: blocks, labels, seconds, and every trial."""
    trials = study.get_trials(deepcopy=False)
    requested = [
        compile_route(Allocation.parse(t.user_attrs["allocation"]), scenario.recipe, request.seed)
        for t in trials
        if t.state is TrialState.COMPLETE
    ]
    costs = block_costs(scenario, engine.store)
    wanted = {block.key for route in requested for block in route.blocks}
    trained = [(key, spent) for key, spent in engine.ledger.trainings(study.study_name) if key in wanted]
    return {
        "study": study.study_name,
        "scenario": scenario.name,
        "scenario_sha256": scenario.sha256,
        "seed": request.seed,
        "command": shlex.join(["tuition", *sys.argv[1:]]),
        "versions": engine.trainer.versions,
        "overlaps": [str(overlap) for overlap in scenario.overlaps],
        "blocks": {
            **count_blocks(requested, costs),
            "executed": len(trained),
            "executed_by_this_call": sum(key in wanted for key in engine.trained),
            "gpu_seconds_requested": round(sum(float(t.user_attrs.get("gpu_seconds_full", 0.0)) for t in trials), 1),
            "gpu_seconds_executed": round(sum(spent for _, spent in trained), 1),
            "expected_of_random_allocations": expected_reuse(scenario, len(requested), request.seed, costs),
        },
        "labels": {
            "labels_budget": len(scenario.labels),
            "labels_trained": max((int(t.user_attrs.get("labels_trained", 0)) for t in trials), default=0),
            "labels_validation": len(scenario.validation),
            "labels_owned": engine.ledger.owned(study.study_name) + len(scenario.validation),
        },
        "seconds": round(seconds, 1),
        "gpu_seconds": round(sum(spent for _, spent in engine.ledger.trainings(study.study_name)), 1),
        "trials": [_trial_document(trial) for trial in trials],
        "leaderboard": None,
    }


def _trial_document(trial: FrozenTrial) -> dict[str, Any]:
    attributes = {key: value for key, value in trial.user_attrs.items() if key not in ("se_problems", "se_samples")}
    if "repeat_of" in attributes:  # it took the outcome of another trial and spent nothing
        attributes |= {"gpu_seconds_marginal": 0.0, "blocks_executed": 0}
    score = None
    if trial.value is not None:
        score = {
            "mean": trial.value,
            "se_problems": trial.user_attrs.get("se_problems"),
            "se_samples": trial.user_attrs.get("se_samples"),
        }
    return {"number": trial.number, "state": trial.state.name.lower(), "score": score, **attributes}


def block_costs(scenario: Scenario, store: BlockStore | None) -> BlockCosts:
    """Block costs measured in the results folder, on top of the scenario's prior."""
    models = {"student": ("warmup", "opd", "transfer_sft", "student_rl")} | dict.fromkeys(
        scenario.file.teachers, ("teacher_rl", "teacher_sft")
    )
    prior = scenario.file.prior_seconds
    costs = BlockCosts(
        {(stage, model): prior[stage] for model, stages in models.items() for stage in stages if stage in prior}
    )
    for record in store.records() if store is not None else []:
        # With its rollouts, whether this block was the one that drew them or not: a median over blocks is wanted.
        seconds = record["gpu_seconds"] + (record.get("rollouts") or {}).get("gpu_seconds", 0.0)
        if seconds > 0:
            costs.record(record["stage"], record["model"], seconds)
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


def expected_reuse(scenario: Scenario, num_allocations: int, seed: int, costs: BlockCosts) -> dict[str, float | None]:
    """Distinct over requested blocks for as many random allocations: the mean over several draws of such sets."""
    by_blocks, by_seconds = [], []
    for draw in range(EXPECTED_REUSE_DRAWS if num_allocations else 0):
        allocations = scenario.space.random_allocations(num_allocations, seed=draw)
        counts = count_blocks([compile_route(a, scenario.recipe, seed) for a in allocations], costs)
        by_blocks.append(counts["distinct"] / counts["requested"])
        by_seconds.append(counts["predicted_gpu_seconds_distinct"] / counts["predicted_gpu_seconds_requested"])
    mean = [sum(values) / len(values) if values else None for values in (by_blocks, by_seconds)]
    return {"distinct_over_requested_blocks": mean[0], "distinct_over_requested_seconds": mean[1]}
