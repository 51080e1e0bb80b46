"""The leaderboard of a tested study: read from its folder, and shown."""

import json
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tuition.app.processes.terminal import terminal
from tuition.app.studies.study_report import ranked_rows
from tuition.benchmarks.artefacts import read_json
from tuition.benchmarks.boards.ranked_rows import from_json, render
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder


class ReportError(ValueError):
    """A report that is missing or cannot be read; one line with the path and the fix."""


def tested_studies(results: Path) -> list[str]:
    """Names of the tested studies of a results folder."""
    return [folder.name for folder in ResultsFolder(results).study_folders() if folder.leaderboard.exists()]


def load_leaderboard(results: Path, study: str) -> dict[str, Any]:
    """Read a study's leaderboard; ReportError when there is none or it is damaged."""
    path = ResultsFolder(results).named_study(study).leaderboard
    try:
        document: dict[str, Any] = read_json(path)
        _check_leaderboard(document)
    except FileNotFoundError:
        known = ", ".join(tested_studies(results)) or "none"
        raise ReportError(f"no leaderboard of study {study!r} in {results} (tested studies: {known})") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ReportError(
            f"{path} is damaged ({one_line(repr(error), 200)}): rerun the search, which trains nothing and rewrites it"
        ) from None
    return document


def _check_leaderboard(document: dict[str, Any]) -> None:
    """One of several errors for what could not be shown or printed as JSON: types, sizes, texts."""
    ranked_rows(document)
    json.dumps(document, allow_nan=False)
    console = Console(file=TextIOWrapper(BytesIO(), encoding="utf-8"), width=110)
    _print_leaderboard(console, document)


def show_leaderboard(document: dict[str, Any]) -> None:
    """A stored leaderboard; that of the baselines also says what each is matched by."""
    _print_leaderboard(terminal(), document)


def _print_leaderboard(console: Console, document: dict[str, Any]) -> None:
    console.print(render(*from_json(document)))
    if "matched" in document:
        table = Table(title="what each entry is matched by", box=box.SIMPLE_HEAD)
        for column in ("entry", "matched by", "updates: teacher", "student"):
            table.add_column(column, justify="left" if column in ("entry", "matched by") else "right")
        for name, row in document["matched"].items():
            table.add_row(name, row["by"], str(row["updates_teacher"]), str(row["updates_student"]))
        console.print(table)
    for note in document.get("notes", []):
        console.print(note, markup=False)
