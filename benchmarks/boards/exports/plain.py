"""CSV and JSON: every field of every entry, numbers as fractions and seconds, at full precision.

The CSV has one row for an entry. No cell begins like a formula: entries refuse such texts, and numbers are numbers.
"""

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from tuition.benchmarks.boards.entries import MeasuredEntry, RepeatableEntry
from tuition.benchmarks.boards.loaded_board import Board
from tuition.benchmarks.boards.standings import ComparedPair, MeasuredTable, Standing, Standings

COLUMNS = (
    "kind", "id", "name", "suite", "preset", "preset_fields", "rank_first", "rank_last", "mean", "se_problems",
    "se_samples", "se_seeds", "difference", "difference_low", "difference_high", "difference_to", "reported_error",
    "reported_error_meaning", "num_problems", "num_samples", "training_seeds", "labels_trained", "labels_validation",
    "labels_owned", "gpu_seconds", "price_unchecked", "accelerator", "model", "allocation", "shuffled", "scenario",
    "command", "code_version", "grader", "contamination", "citation", "url", "table", "notes",
)  # fmt: skip


def document(board: Board, shown: Standings) -> dict[str, Any]:
    """The leaderboard as JSON values: the manifest, ranked tables, and reported entries apart."""
    reported = [listed for listed in board.entries if not isinstance(listed.entry, MeasuredEntry)]
    return {
        "leaderboard": board.manifest.model_dump(mode="json"),
        "measured": [
            {
                "suite": table.suite,
                "presets": list(table.presets),
                "notes": list(table.notes),
                "reference": table.reference,
                "rows": [_standing(row) for row in table.rows],
                "pairs": [_pair(pair, {row.listed.id: row.entry.name for row in table.rows}) for pair in table.pairs],
            }
            for table in shown.measured
        ],
        "reported": [{"id": listed.id, "entry": listed.entry.model_dump(mode="json")} for listed in reported],
    }


def _pair(pair: ComparedPair, names: dict[str, str]) -> dict[str, Any]:
    ends = {"a": names[pair.a], "b": names[pair.b], "id_a": pair.a, "id_b": pair.b}
    return {**ends, **asdict(pair.difference), "p_value_holm": pair.p_value_holm}


def _standing(row: Standing) -> dict[str, Any]:
    return {
        "id": row.listed.id,
        "rank_first": row.rank_first,
        "rank_last": row.rank_last,
        "price_unchecked": row.price_unchecked,
        "difference": None if row.difference is None else asdict(row.difference),
        "entry": row.entry.model_dump(mode="json"),
    }


def json_text(board: Board, shown: Standings) -> str:
    """`document` as text."""
    return json.dumps(document(board, shown), indent=1, allow_nan=False) + "\n"


def rows(shown: Standings) -> list[dict[str, Any]]:
    """One row for an entry, measured first, by COLUMNS; those that an entry has not are left out."""
    found = [_measured_row(table, row) for table in shown.measured for row in table.rows]
    for reported in shown.reported:
        for name, by_suite in reported.rows:
            for listed, entry in by_suite.values():
                found.append(
                    {
                        "kind": "reported", "id": listed.id, "name": name, "suite": entry.suite,
                        "preset": entry.preset.name, "preset_fields": entry.preset.text(), "mean": entry.score.mean,
                        "reported_error": entry.score.error, "reported_error_meaning": entry.score.error_meaning,
                        "num_problems": entry.num_problems, "num_samples": entry.num_samples,
                        "labels_trained": entry.labels_trained, "labels_validation": entry.labels_validation,
                        "labels_owned": entry.labels_owned, "gpu_seconds": entry.gpu_seconds, "model": entry.model,
                        "allocation": entry.allocation, "citation": reported.citation, "url": reported.url,
                        "table": reported.table,
                    }
                )  # fmt: skip
    return found


def comma_separated(board: Board, shown: Standings) -> str:
    """`rows` as text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows(shown):
        written = {"training_seeds": " ".join(map(str, row.get("training_seeds", ())))}
        written |= {name: str(cell).lower() for name, cell in row.items() if isinstance(cell, bool)}
        writer.writerow({**row, **written})
    return text.getvalue()


def _measured_row(table: MeasuredTable, row: Standing) -> dict[str, Any]:
    entry, difference = row.entry, row.difference
    cells: dict[str, Any] = {
        "kind": "measured", "id": row.listed.id, "name": entry.name, "suite": entry.suite, "preset": entry.preset.name,
        "preset_fields": entry.preset.text(), "rank_first": row.rank_first, "rank_last": row.rank_last,
        "price_unchecked": row.price_unchecked, **entry.score.model_dump(), "num_problems": entry.num_problems,
        "num_samples": entry.num_samples, "training_seeds": entry.seeds,
        "labels_trained": entry.labels_trained, "labels_validation": entry.labels_validation,
        "labels_owned": entry.labels_owned, "gpu_seconds": entry.gpu_seconds, "model": entry.model,
        "allocation": entry.allocation, "shuffled": entry.shuffled, "accelerator": entry.accelerator,
        "scenario": entry.scenario.name if entry.scenario else None, "command": entry.command,
        "code_version": entry.code_version, "grader": entry.grader,
        "contamination": entry.contamination if isinstance(entry, RepeatableEntry) else None,
        "notes": "; ".join(table.notes),
    }  # fmt: skip
    if difference is not None:
        cells |= {"difference": difference.mean, "difference_low": difference.low, "difference_high": difference.high}
        cells["difference_to"] = table.reference
    return cells
