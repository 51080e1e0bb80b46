"""Exports: a leaderboard as Markdown, one HTML page, CSV, JSON, LaTeX or BibTeX; one file for each way of writing.

What: `export` writes a board's standings in a format of FORMATS, as text. Each format names errors apart, keeps
measured and reported numbers apart, and escapes what it was given.

Run `tuition leaderboard export FOLDER --format html --out page.html`.
"""

from collections.abc import Callable

from tuition.benchmarks.boards.exports.bibtex import bibtex
from tuition.benchmarks.boards.exports.html import html
from tuition.benchmarks.boards.exports.latex import latex
from tuition.benchmarks.boards.exports.markdown import markdown
from tuition.benchmarks.boards.exports.plain import comma_separated, json_text
from tuition.benchmarks.boards.loaded_board import Board
from tuition.benchmarks.boards.standings import Standings, standings

FORMATS: dict[str, Callable[[Board, Standings], str]] = {
    "md": markdown,
    "html": html,
    "csv": comma_separated,
    "json": json_text,
    "latex": latex,
    "bibtex": bibtex,
}


def export(board: Board, format: str, mix_presets: bool = False) -> str:
    """The leaderboard in a format of FORMATS (KeyError for another)."""
    return FORMATS[format](board, standings(board, mix_presets))
