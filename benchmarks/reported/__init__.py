"""Reported numbers that ship with Tuition: one YAML file for each source, in percent as it prints them.

What: `reported_entries` makes leaderboard entries of a file. They are never ranked among measured ones.

Simplified: one preset, "as in the source", because a source rarely prints every field of its decoding.
Run `tuition leaderboard add FOLDER --reported arxiv-2605.12483` to put them into a leaderboard.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from tuition.benchmarks.boards.entries import EntryError, ReportedEntry, validate_entry

FOLDER = Path(__file__).parent
PRINTED = re.compile(r"([0-9]{1,3}\.[0-9]+)±([0-9]{1,2}\.[0-9]+)")


def reported_sources() -> list[str]:
    """Names of the sources that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def reported_entries(source: str) -> list[ReportedEntry]:
    """Every number of a source, in its order: one entry for each row and suite. EntryError for an unknown source."""
    if source not in reported_sources():
        raise EntryError(f"reported source {source!r:.80} is unknown; choose from {', '.join(reported_sources())}")
    document: dict[str, Any] = yaml.safe_load((FOLDER / f"{source}.yaml").read_text(encoding="utf-8"))
    entries = []
    for table in document["tables"]:
        for row in table["rows"]:
            for suite, printed in zip(document["suites"], row["printed"], strict=True):
                entry = validate_entry(_entry(document, table["table"], row, suite, printed), f"{source}.yaml")
                assert isinstance(entry, ReportedEntry), entry
                entries.append(entry)
    return entries


def _entry(
    document: dict[str, Any], table: str, row: dict[str, Any], suite: dict[str, Any], printed: str
) -> dict[str, Any]:
    match = PRINTED.fullmatch(printed)
    if match is None:
        raise EntryError(f"{table}, {row['name']}: {printed!r} is not printed as mean±error, in percent")
    # Decimal: 75.9 % is 0.759, and not 0.7590000000000001.
    mean, error = (float(Decimal(text) / 100) for text in match.groups())
    return {
        "kind": "reported",
        "name": row["name"],
        "suite": suite["suite"],
        "preset": {"name": "as in the source", "fields": {"num_samples": document["num_samples"]}},
        "model": row["model"],
        "allocation": row["allocation"],
        "score": {"mean": mean, "error": error, "error_meaning": document["error_meaning"]},
        "num_problems": suite["num_problems"],
        "num_samples": document["num_samples"],
        "num_training_runs": document["num_training_runs"],
        "source": {**document["source"], "table": table},
    }
