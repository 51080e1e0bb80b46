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
    Role,
    missing_checkpoints,
    read_table,
    role_of,
    validation_means,
)
from tuition.planner.cost import charge

COLUMNS = (
    "allocation", "name", "teacher", "seed", "role", "validation", "test", "labels_trained", "gpu_seconds_full",
    "validation_gpu_seconds", "test_gpu_seconds", "weights_sha256",
)  # fmt: skip


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
    """A recorded table in numbers: routes, seeds, hours, and the best validation score of each role."""
    table = read_table(path)
    header = table.header
    prices = {block.key: block.price for run in table.rows for block in run.blocks}
    scoring = sum(run.validation_gpu_seconds + run.test_gpu_seconds for run in table.rows)
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
        "seeds": [
            {
                "seed": seed,
                "role": role_of(seed),
                "routes": sum(run.seed == seed for run in table.runs),
                "missing": len(missing_checkpoints(table, seed)),
            }
            for seed in table.seeds()
        ],
        "blocks_distinct": len(prices),
        "gpu_seconds_training": round(sum(charge(prices.values())), 1),
        "gpu_seconds_scoring": round(scoring, 1),
        "gpu_seconds_if_nothing_were_shared": round(scoring + sum(run.gpu_seconds_full for run in table.runs), 1),
        "best": {role: _best(table, role) for role in ("draw", "judge") if table.seeds(role)},
        "noise_floor": _noise_floor(table, None),
        "noise_floor_of_leading": _noise_floor(table, LEADING),
        "hosts": sorted({run.host for run in table.runs}),
        "devices": sorted({run.device for run in table.runs}),
        "dates": [min(run.date for run in table.runs), max(run.date for run in table.runs)] if table.runs else [],
        "code_versions": sorted({run.code_version for run in table.runs}),
        "commands": sorted({run.command for run in table.runs}),
        "names": dict(header.names),
    }


def _best(table: RecordedTable, role: Role) -> dict[str, Any] | None:
    """The allocation with the best mean validation score over all seeds of a role; None when none has all of them."""
    means = validation_means(table, role)
    if not means:
        return None
    best = max(means, key=means.__getitem__)
    return {
        "allocation": str(best),
        "validation": round(means[best], 4),
        "seeds": len(table.seeds(role)),
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
