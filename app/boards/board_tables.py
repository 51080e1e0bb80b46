"""What a leaderboard folder shows on the terminal, and as JSON values."""

from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from tuition.app.processes.terminal import terminal
from tuition.benchmarks.boards.exports import cell_text
from tuition.benchmarks.boards.exports.plain import document
from tuition.benchmarks.boards.loaded_board import load_board
from tuition.benchmarks.boards.standings import MeasuredTable, ReportedTable, standings


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
    shown.caption, shown.caption_justify = (
        Text(f"{cell_text.protocol(table)}. {cell_text.CAPTION}", style="dim"),
        "left",
    )
    if table.ranked:
        shown.add_column("rank", no_wrap=True)
    shown.add_column("entry, id", min_width=20)
    shown.add_column("score, % ± s.e. over", no_wrap=True)
    shown.add_column(Text(f"minus {table.reference},\npoints [{cell_text.level(table) or 'interval'}]"), min_width=14)
    shown.add_column("labels", no_wrap=True)
    shown.add_column("GPU-s,\nfull", justify="right", no_wrap=True)
    shown.add_column("seeds")
    mixed = len(table.presets) > 1 or len({row.entry.suite for row in table.rows}) > 1
    for row in table.rows:
        entry = row.entry
        about = f"\n{entry.suite}, {entry.preset.name}" if mixed else ""
        about = f"\n{cell_text.subject(entry)}{about}" if cell_text.subject(entry) else about
        name = Text(entry.name, style="bold").append(f"\n{row.listed.short}{about}", style="not bold dim")
        errors = "\n      ".join(f"±{error} {name}" for error, name in cell_text.errors(entry.score))
        shown.add_row(
            *([row.rank] if table.ranked else []), name, f"{cell_text.percent(entry.score.mean):>5} {errors}",
            Text(cell_text.points(row.difference, row.reference).replace(" [", "\n[")),
            cell_text.labels(entry).replace(", ", "\n"),
            cell_text.cost(row), cell_text.seeds(entry).replace(", ", "\n"),
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
            error = "" if score is None or score.error is None else f" ±{cell_text.percent(score.error)}"
            cells.append("" if score is None else f"{cell_text.percent(score.mean)}{error}")
        shown.add_row(Text(name), *cells)
    return shown
