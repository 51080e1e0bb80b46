"""`tuition store why`: which blocks of a route are reused, and for the others which field of the scenario differs."""

from pathlib import Path
from typing import Any, get_args

from tuition.app.storage.store_upkeep import open_store
from tuition.app.studies.single_run import find_allocation
from tuition.app.studies.study_report import SearchReport, read_report
from tuition.benchmarks.artefacts import FileError
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.planner.route import Route, compile_route
from tuition.runners.labels import Ledger
from tuition.runners.reuse import Explained, explain_route
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.score_reuse import explain_score
from tuition.runners.store.block_store import BlockStore, StoreError

DEFAULT_SCENARIO = "micro"


def explain_reuse(
    results: Path, text: str, scenario_name: str | None, study: str | None, seed: int | None
) -> dict[str, Any]:
    """Why the blocks of a route are reused or not; a JSON-able account.

    Args:
        results: the results folder.
        text: an allocation, or a route by its name, as `tuition run` takes.
        scenario_name: the scenario; None for that of the study, or for micro.
        study: a study of the results folder, whose own scenario and seed are taken where none are given.
        seed: training seed; None for that of the study, or for 0.
    """
    folder, store = ResultsFolder(results), open_store(results)
    if study is not None:
        kept = folder.named_study(study)
        scenario_name = scenario_name or _scenario_of(kept)
        seed = _seed_of(kept) if seed is None else seed
    scenario = Scenario.load(scenario_name or DEFAULT_SCENARIO)
    route = compile_route(find_allocation(scenario, text), scenario.recipe, seed or 0)
    ledger = Ledger(folder.ledger) if folder.ledger.exists() else None
    blocks = explain_route(route, scenario, store, lambda key: ledger is not None and ledger.price(key) is not None)
    return {
        "scenario": scenario.name,
        "allocation": str(route.allocation),
        "seed": route.seed,
        "study": study,
        "blocks": [_described(one) for one in blocks],
        "blocks_to_train": sum(one.trained for one in blocks),
        "scores": _scores(scenario, route, store, ScoreStore(folder.scores)),
    }


def _scenario_of(study: StudyFolder) -> str:
    if not study.path.is_dir():
        raise StoreError(f"no study {study.name!r} in {study.path.parent}: correct --study, or omit it")
    if not study.scenario.exists():
        raise StoreError(f"study {study.name!r} was started by a version that kept no scenario: give it as --scenario")
    return str(study.scenario)


def _seed_of(study: StudyFolder) -> int:
    try:
        report = read_report(study.report)
    except (FileNotFoundError, FileError):
        return 0
    return report.seed if isinstance(report, SearchReport) else 0


def _scores(scenario: Scenario, route: Route, store: BlockStore, scores: ScoreStore) -> list[dict[str, Any]]:
    """Whether the route's last checkpoint is scored; nothing of one that is not stored."""
    record = store.record(route.final) if route.blocks else None
    if route.blocks and record is None:
        return []
    weights = route.final if record is None else record.weights_sha256
    explained = [explain_score(scenario, kind, weights, scores) for kind in get_args(SuiteKind)]
    return [
        {"suite": one.suite, "stored": one.stored, "reasons": list(one.reasons), "nearest": one.nearest}
        for one in explained
    ]


def _described(one: Explained) -> dict[str, Any]:
    return {
        "block": one.block.name,
        "model": one.block.model,
        "key": one.block.key,
        "status": one.status,
        "to_train": one.trained,
        "reasons": list(one.reasons),
        "nearest": one.nearest,
    }
