"""What a recorded table holds: in numbers, as `tuition recorded` shows it, and as a frame."""

from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from tuition.benchmarks.artefacts import finite_fields
from tuition.benchmarks.tables.noise_floor import LEADING, noise_floor
from tuition.benchmarks.tables.recorded_table import (
    RecordedError,
    RecordedTable,
    leading_splits,
    read_table,
    role_of,
    space_checkpoints,
    split_means,
)
from tuition.planner.cost import charge

COLUMNS = (
    "allocation", "name", "teacher", "seed", "role", "validation", "test", "labels_trained", "gpu_seconds_full",
    "validation_gpu_seconds", "test_gpu_seconds", "weights_sha256",
)  # fmt: skip


MISSING_SHOWN = 5


def table_frame(table: RecordedTable) -> pd.DataFrame:
    """One row for each allocation and seed: COLUMNS. Scores are means over problems and samples."""
    names = {allocation: name for name, allocation in reversed(table.header.names.items())}
    header = table.header
    rows = [
        {
            **{name: getattr(run, name) for name in COLUMNS if name not in ("name", "validation", "test")},
            "name": names.get(run.allocation),
            "validation": fmean(run.validation_correct) / header.validation.samples,
            "test": fmean(run.test_correct) / header.test.samples,
        }
        for run in table.runs
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def describe_table(path: Path) -> dict[str, Any]:
    """A recorded table in numbers: what it holds of which seeds, hours, noise floors, and how it was recorded."""
    table = read_table(path)
    header = table.header
    prices = {block.key: block.price for run in table.rows for block in run.blocks}
    scoring = sum(run.validation_gpu_seconds + run.test_gpu_seconds for run in table.rows)
    seeds = _seeds(table)
    return {
        "table": str(path),
        "bytes": path.stat().st_size,
        "scenario": header.scenario,
        "scenario_sha256": header.scenario_sha256,
        "validation": f"{header.validation.name}, {header.validation.samples} samples",
        "test": f"{header.test.name}, {header.test.samples} samples",
        "grader": header.grader,
        "rows": len(table.rows),
        "routes": len(table.allocations),
        "teachers": len({run.allocation for run in table.teachers}),
        "checkpoints_of_space": len(space_checkpoints(header.space)),
        "complete": bool(seeds) and not any(row["missing"] for row in seeds),
        "seeds": seeds,
        "base_models": sorted(header.untrained),
        "blocks_distinct": len(prices),
        "gpu_seconds_training": round(sum(charge(prices.values())), 1),
        "gpu_seconds_scoring": round(scoring, 1),
        "gpu_seconds_if_nothing_were_shared": round(scoring + sum(run.gpu_seconds_full for run in table.runs), 1),
        "best_by_draws": _best(table),
        "noise_floor": _noise_floor(table, None),
        "noise_floor_of_leading": _noise_floor(table, LEADING),
        "hosts": sorted({run.host for run in table.rows}),
        "devices": sorted({run.device for run in table.rows}),
        "dates": [min(run.date for run in table.rows), max(run.date for run in table.rows)] if table.rows else [],
        "code_versions": sorted({run.code_version for run in table.rows}),
        "commands": sorted({run.command for run in table.rows}),
        "names": dict(header.names),
    }


def _seeds(table: RecordedTable) -> list[dict[str, Any]]:
    """Of every seed what is recorded, what of the search space is missing, and its hours of blocks and scores."""
    space, found = space_checkpoints(table.header.space), []
    for seed in table.seeds():
        rows = [run for run in table.rows if run.seed == seed]
        prices = {block.key: block.price for run in rows for block in run.blocks}
        missing = [str(checkpoint) for checkpoint in space if (checkpoint, seed) not in table.index]
        found.append(
            {
                "seed": seed,
                "role": role_of(seed),
                "routes": sum(run.seed == seed for run in table.runs),
                "teachers": sum(run.seed == seed for run in table.teachers),
                "missing": len(missing),
                "missing_first": missing[:MISSING_SHOWN],
                "gpu_seconds_training": round(sum(charge(prices.values())), 1),
                "gpu_seconds_scoring": round(sum(r.validation_gpu_seconds + r.test_gpu_seconds for r in rows), 1),
            }
        )
    return found


def _best(table: RecordedTable) -> dict[str, Any] | None:
    """The allocation of the search space with the best mean validation score over all draw seeds.

    None when none has all of them. What is best on the judge seeds is not shown: picked by them, it could not be judged
    by them.
    """
    means = split_means(table)
    if not means:
        return None
    best = leading_splits(table)[0]
    return {
        "allocation": str(best),
        "validation": round(means[best], 4),
        "seeds": len(table.seeds("draw")),
        "of": len(means),
    }


def _noise_floor(table: RecordedTable, leading: int | None) -> dict[str, Any]:
    """The table's noise floors without the allocations' means, as JSON values; `missing` says why there are none."""
    try:
        floor = noise_floor(table, leading)
    except RecordedError as error:
        return {"missing": str(error)}
    return {
        "missing": None,
        "allocations": len(floor.judge_means),
        "draw_seeds": list(floor.draw_seeds),
        "judge_seeds": list(floor.judge_seeds),
        "judge_seeds_left_out": list(floor.left_out),
        "judge_error": round(floor.error, 6),
        "kept_by_shrinking": round(floor.kept, 6),
        "shrunken_error": round(floor.shrunken_error, 6),
        "loss_of_all_draw_seeds": finite_fields(floor.all_draws),
        "loss_of_one_draw_seed": finite_fields(floor.one_draw),
    }
