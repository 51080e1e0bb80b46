"""LaTeX: booktabs tables, one for each suite and preset; reported numbers in separate tables."""

from tuition.benchmarks.boards.exports.bibtex import escape
from tuition.benchmarks.boards.exports.cell_text import (
    CAPTION,
    REPORTED,
    cite,
    cost,
    errors,
    level,
    percent,
    points,
    protocol,
    short,
)
from tuition.benchmarks.boards.loaded_board import Board
from tuition.benchmarks.boards.standings import MeasuredTable, ReportedTable, Standings


def latex(board: Board, shown: Standings) -> str:
    """Tables to be put into a paper; they need \\usepackage{booktabs} and a compiler that reads UTF-8."""
    head = f"% {escape(cite(board.manifest))}\n% Needs \\usepackage{{booktabs}}."
    parts = [_measured(table) for table in shown.measured] + [_reported(table) for table in shown.reported]
    return "\n\n".join([head, *parts]) + "\n"


def _table(caption: str, columns: str, heading: str, lines: list[str]) -> str:
    body = "\n".join(f"    {line} \\\\" for line in lines)
    return (
        f"\\begin{{table}}\n  \\centering\n  \\caption{{{caption}}}\n  \\begin{{tabular}}{{{columns}}}\n    \\toprule\n"
        f"    {heading} \\\\\n    \\midrule\n{body}\n    \\bottomrule\n  \\end{{tabular}}\n\\end{{table}}"
    )


def _measured(table: MeasuredTable) -> str:
    lines = []
    for row in table.rows:
        entry = row.entry
        error_text = " ".join(f"$\\pm${error} {name}" for error, name in errors(entry.score))
        difference = points(row.difference, row.reference).replace("-", "$-$").replace("+", "$+$")
        trained = "" if entry.labels_trained is None else f"{entry.labels_trained}"
        name = escape(entry.name) + (f" ({escape(entry.suite)}, {escape(entry.preset.name)})" if _mixed(table) else "")
        cells = [row.rank.replace("-", "--")] if table.ranked else []
        cells += [name, f"{percent(entry.score.mean)} {error_text}", difference, trained]
        lines.append(" & ".join([*cells, cost(row), f"\\texttt{{{short(row.listed.id)}}}"]))
    notes = "".join(f" \\textbf{{{escape(note)}.}}" for note in table.notes)
    caption = f"Measured: {escape(table.title)}, {protocol(table)}. {escape(CAPTION)}{notes}"
    rank, column = ("rank & ", "l") if table.ranked else ("", "")
    heading = f"{rank}entry & score & minus {escape(table.reference)} [{escape(level(table) or 'interval')}]"
    return _table(caption, f"{column}lllrrl", f"{heading} & labels trained & GPU-s & id", lines)


def _mixed(table: MeasuredTable) -> bool:
    return len(table.presets) > 1 or len({row.entry.suite for row in table.rows}) > 1


def _reported(table: ReportedTable) -> str:
    lines = []
    for name, by_suite in table.rows:
        cells = []
        for suite in table.suites:
            score = by_suite[suite][1].score if suite in by_suite else None
            error = "" if score is None or score.error is None else f" $\\pm$ {percent(score.error)}"
            cells.append("" if score is None else f"{percent(score.mean)}{error}")
        lines.append(" & ".join([escape(name), *cells]))
    about = f"{escape(table.citation)}, {escape(table.table)}. {escape(REPORTED)} {escape(table.error_meaning)}."
    heading = " & ".join(["entry", *map(escape, table.suites)])
    return _table(f"Reported: {about}", "l" + "r" * len(table.suites), heading, lines)
