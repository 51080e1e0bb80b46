"""What a leaderboard folder shows on the terminal, and what its verification found, as JSON values and in words."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from app.leaderboard import read_golds
from app.report import _console as terminal
from benchmarks.boards import MAX_SAMPLES_BYTES, load_board, open_regular, verify_board
from benchmarks.entries import SHORT_ID, MeasuredEntry
from benchmarks.exports import words
from benchmarks.exports.plain import document
from benchmarks.grading import Grader
from benchmarks.outcomes import regrade
from benchmarks.standings import MeasuredTable, ReportedTable, standings


def board_document(folder: Path, mix_presets: bool) -> dict[str, Any]:
    """A leaderboard folder as JSON values."""
    board = load_board(folder)
    return document(board, standings(board, mix_presets))


def show_board(folder: Path, mix_presets: bool) -> None:
    """A leaderboard folder on the terminal."""
    board = load_board(folder)
    shown, console = standings(board, mix_presets), terminal()
    manifest = board.manifest
    console.print(f"{manifest.title}, version {manifest.version} ({manifest.changelog[-1].date})", markup=False)
    for measured in shown.measured:
        console.print(_measured_table(measured))
    for reported in shown.reported:
        console.print(_reported_table(reported))
    if not board.entries:
        console.print("no entries")


def _measured_table(table: MeasuredTable) -> Table:
    title = "\n".join([table.title, *table.notes])
    shown = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown.caption, shown.caption_justify = Text(f"{words.protocol(table)}. {words.CAPTION}", style="dim"), "left"
    shown.add_column("rank", no_wrap=True)
    shown.add_column("entry, id", min_width=20)
    shown.add_column("score, % ± s.e. over", no_wrap=True)
    shown.add_column(Text(f"minus {table.reference},\npoints [{words.level(table) or 'interval'}]"), min_width=14)
    shown.add_column("labels", no_wrap=True)
    shown.add_column("GPU-s,\nfull", justify="right", no_wrap=True)
    shown.add_column("seeds")
    mixed = len(table.presets) > 1 or len({row.entry.suite for row in table.rows}) > 1
    for row in table.rows:
        entry = row.entry
        about = f"\n{entry.suite}, {entry.preset.name}" if mixed else ""
        name = Text(entry.name, style="bold").append(f"\n{row.listed.short}{about}", style="not bold dim")
        errors = "\n      ".join(f"±{error} {name}" for error, name in words.errors(entry.score))
        shown.add_row(
            row.rank, name, f"{words.percent(entry.score.mean):>5} {errors}",
            Text(words.points(row.difference, row.reference).replace(" [", "\n[")),
            words.labels(entry).replace(", ", "\n"),
            words.cost(entry), words.seeds(entry).replace(", ", "\n"),
        )  # fmt: skip
    return shown


def _reported_table(table: ReportedTable) -> Table:
    title = f"{table.table}\n{table.citation}\nreported, in percent; {table.error_meaning}"
    shown = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("entry (reported)")
    for suite in table.suites:
        shown.add_column(Text(suite), no_wrap=True)
    for name, by_suite in table.rows:
        cells = []
        for suite in table.suites:
            score = by_suite[suite][1].score if suite in by_suite else None
            error = "" if score is None or score.error is None else f" ±{words.percent(score.error)}"
            cells.append("" if score is None else f"{words.percent(score.mean)}{error}")
        shown.add_row(Text(name), *cells)
    return shown


def verify_document(folder: Path, problems: Sequence[Path]) -> dict[str, Any]:
    """What `verify_board` found, as JSON values; with files of answers, what the current grader says as well."""
    found = verify_board(folder)
    return {
        "folder": str(folder),
        "measured": found.measured,
        "reported": found.reported,
        "mismatches": [
            {"id": m.id, "field": m.field, "stated": m.stated, "recomputed": m.recomputed} for m in found.mismatches
        ],
        "notes": found.notes,
        "regraded": _regrade(folder, problems) if problems and not found.mismatches else [],
    }


def _regrade(folder: Path, problems: Sequence[Path]) -> list[dict[str, Any]]:
    golds: dict[str, str] = {}
    for path in problems:
        golds |= read_golds(path)
    documents = []
    with Grader() as grader:
        for listed in load_board(folder).entries:
            for file in listed.entry.samples if isinstance(listed.entry, MeasuredEntry) else ():
                path = folder / "samples" / f"{file.sha256}.parquet"
                assert isinstance(listed.entry, MeasuredEntry), listed
                with open_regular(path, MAX_SAMPLES_BYTES) as samples:
                    graded = regrade(listed.entry, samples, golds, grader)
                documents.append({"id": listed.id, "training_seed": file.training_seed, **asdict(graded)})
    return documents


def show_verified(found: dict[str, Any]) -> None:
    """What was recomputed, and what differs."""
    console = terminal()
    for m in found["mismatches"]:
        line = f"{m['id'][:SHORT_ID]} {m['field']}: stated {m['stated']}, recomputed {m['recomputed']}"
        console.print(line, markup=False, soft_wrap=True)
    for note in found["notes"]:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for graded in found["regraded"]:
        seed = "" if graded["training_seed"] is None else f" (seed {graded['training_seed']})"
        line = f"{graded['id'][:SHORT_ID]}{seed}: {len(graded['changes'])} of {graded['num_samples']} verdicts differ"
        console.print(f"{line}, {graded['grader_then']} then, {graded['grader_now']} now", markup=False, soft_wrap=True)
    console.print(
        f"Recomputed: {found['measured']} measured entries; {found['reported']} reported ones have no samples. "
        f"{len(found['mismatches']) or 'No'} mismatches.",
        soft_wrap=True,
    )
