"""Reports of studies as the pipeline writes them, made up: a test names what it is about."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuition.app.studies.study_report import (
    BaselinesReport,
    BlockAccount,
    EvaluatedBlocks,
    EvaluatedRun,
    EvaluatedScenario,
    Evaluation,
    ExpectedReuse,
    LabelAccount,
    SearchReport,
    write_report,
)

SHARED: dict[str, Any] = {"study": "s", "scenario": "made", "scenario_sha256": "0" * 64, "command": "tuition"}


def search_report(**changes: Any) -> SearchReport:
    """Of a search that has done nothing yet."""
    made: dict[str, Any] = {
        **SHARED,
        "seed": 0,
        "versions": {},
        "overlaps": (),
        "blocks": BlockAccount(
            requested=0,
            distinct=0,
            executed=0,
            executed_by_this_call=0,
            predicted_gpu_seconds_requested=0,
            predicted_gpu_seconds_distinct=0,
            gpu_seconds_requested=0,
            gpu_seconds_executed=0,
            expected_of_random_allocations=ExpectedReuse(
                distinct_over_requested_blocks=None, distinct_over_requested_seconds=None
            ),
        ),
        "labels": LabelAccount(labels_budget=16, labels_trained=16, labels_validation=20, labels_owned=36),
        "seconds": 0,
        "gpu_seconds": 0,
        "trials": (),
        "leaderboard": None,
    }
    return SearchReport(**{**made, **changes})


def evaluation(runs: Mapping[str, Sequence[Mapping[str, Any]]], **changes: Any) -> Evaluation:
    """A test of these runs by row; what a run leaves out is made up."""
    run = {"seed": 1000, "blocks": (), "weights_sha256": "w", "score": "0" * 64, "gpu_seconds_full": 1.0}
    made: dict[str, Any] = {
        "blocks": EvaluatedBlocks(requested=0, executed=0, distinct=0),
        "runs": {
            name: tuple(EvaluatedRun(**{**run, "labels_trained": 8, **one}) for one in several)
            for name, several in runs.items()
        },
        "command": "tuition baselines",
        "code_version": "0.1.0",
        "versions": {},
        "scenario": EvaluatedScenario(name="made", sha256="0" * 64),
        "accelerator": "cpu",
        "intervals": {},
        "pairwise": (),
    }
    return Evaluation(**{**made, **changes})


def write_tested(path: Path, test: Evaluation, leaderboard: dict[str, Any] | None = None, **changes: Any) -> None:
    """Write the report of tested baselines; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {**SHARED, "command": test.command, **changes}
    write_report(BaselinesReport(**made, leaderboard=leaderboard or {}, test=test), path)
