"""Markdown: one table for each suite and preset, reported numbers in separate sections."""

import re

from tuition.benchmarks.boards.exports.bibtex import board_record
from tuition.benchmarks.boards.exports.cell_text import (
    CAPTION,
    REPORTED,
    cite,
    cost,
    errors,
    labels,
    level,
    percent,
    points,
    protocol,
    seeds,
    short,
    subject,
)
from tuition.benchmarks.boards.loaded_board import Board
from tuition.benchmarks.boards.standings import MeasuredTable, ReportedTable, Standings


def escape(text: object) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no end of a table's cell."""
    shown = re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", str(text))
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown(board: Board, shown: Standings) -> str:
    """The leaderboard as Markdown."""
    manifest = board.manifest
    parts = [f"# {escape(manifest.title)}", f"Version {manifest.version}, {manifest.changelog[-1].date}."]
    if shown.measured:
        parts += ["## Measured", CAPTION]
        parts += [part for table in shown.measured for part in _measured(table)]
    if shown.reported:
        parts += ["## Reported", REPORTED]
        parts += [part for table in shown.reported for part in _reported(table)]
    parts += ["## Cite", escape(cite(manifest)), f"```bibtex\n{board_record(manifest)}\n```"]
    parts += ["## Changelog", "\n".join(f"- {c.version} ({c.date}): {escape(c.change)}" for c in manifest.changelog)]
    return "\n\n".join(parts) + "\n"


def _measured(table: MeasuredTable) -> list[str]:
    mixed = len(table.presets) > 1 or len({row.entry.suite for row in table.rows}) > 1
    columns = [
        *(["rank"] if table.ranked else []),
        "entry",
        "score ± s.e.",
        f"minus {escape(table.reference)}, points [{level(table) or 'interval'}]",
    ]
    columns += ["labels", "GPU-s, full", "training seeds", *(["suite and preset"] if mixed else []), "id"]
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for row in table.rows:
        entry = row.entry
        error_text = ", ".join(f"±{error} {name}" for error, name in errors(entry.score))
        cells = [row.rank] if table.ranked else []
        cells += [f"{escape(entry.name)} ({escape(subject(entry))})" if subject(entry) else escape(entry.name)]
        cells += [f"{percent(entry.score.mean)} {error_text}", points(row.difference, row.reference), labels(entry)]
        cells += [cost(row), seeds(entry)]
        cells += [escape(f"{entry.suite}, {entry.preset.name}")] if mixed else []
        lines.append(f"| {' | '.join([*cells, f'`{short(row.listed.id)}`'])} |")
    notes = [f"**{escape(note)}**" for note in table.notes]
    return [f"### {escape(table.title)}", "; ".join([protocol(table), *notes]) + ".", "\n".join(lines)]


def _reported(table: ReportedTable) -> list[str]:
    lines = [f"| entry | {' | '.join(map(escape, table.suites))} |", "|" + " --- |" * (1 + len(table.suites))]
    for name, by_suite in table.rows:
        cells = []
        for suite in table.suites:
            listed, entry = by_suite.get(suite, (None, None))
            if listed is None or entry is None:
                cells.append("")
                continue
            error = "" if entry.score.error is None else f" ±{percent(entry.score.error)}"
            cells.append(f"{percent(entry.score.mean)}{error} `{short(listed.id)}`")
        lines.append(f"| {escape(name)} | {' | '.join(cells)} |")
    about = f"{escape(table.citation)}, {table.url}. In percent; {escape(table.error_meaning)}."
    return [f"### {escape(table.table)}", about, "\n".join(lines)]
