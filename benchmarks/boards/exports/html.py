"""HTML: one page that opens without a network, on a phone or wide, light or dark; its plots are inline SVG.

What: `html` fills `page.html.j2`. Every text is escaped by the template engine, and the page's own content security
policy forbids scripts, frames and every request, should an escape ever be missed.

Simplified: no script, so the tables cannot be sorted; the CSV can. Names in the plots are cut to what fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tuition.benchmarks.boards.exports import cell_text
from tuition.benchmarks.boards.exports.bibtex import board_record, entry_record
from tuition.benchmarks.boards.loaded_board import Board
from tuition.benchmarks.boards.standings import MeasuredTable, Standing, Standings

WIDTH = 400.0  # of a plot, in SVG units; a phone shows about one unit as one pixel
MARGIN = 14.0
ROW_HEIGHT = 34.0


@dataclass(frozen=True)
class PlotRow:
    """One row of a plot, in SVG units: its point, and from where to where its thin and its thick line reach."""

    name: str
    y: float
    point: float | None
    thin: tuple[float, float] | None
    thick: tuple[float, float] | None
    reference: bool


@dataclass(frozen=True)
class Plot:
    """A forest plot. `ticks` are (x, text); `zero` is where a difference of zero lies."""

    label: str
    height: float
    rows: tuple[PlotRow, ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float | None


def html(board: Board, shown: Standings) -> str:
    """The leaderboard as one HTML page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "manifest": board.manifest,
        "changelog": list(reversed(board.manifest.changelog)),
        "shown": shown,
        "plots": [_plots(table) for table in shown.measured],
        "cell_text": cell_text,
        "board_record": board_record(board.manifest),
        "records": {listed.id: entry_record(board.manifest, listed) for listed in board.entries},
    }
    return environment.get_template("page.html.j2").render(fields)


def _plots(table: MeasuredTable) -> list[Plot]:
    several = any(row.entry.score.se_seeds is not None for row in table.rows)
    thick = "; thick: over training seeds" if several else ""
    plots = [_plot(f"score, % (thin: ± s.e. over problems{thick})", table.rows, [_score(row) for row in table.rows])]
    if any(row.difference is not None for row in table.rows):
        label = f"difference to {table.reference}, points ({cell_text.level(table)} interval, paired)"
        plots.append(_plot(label, table.rows, [_difference(row) for row in table.rows], zero=True))
    return plots


Values = tuple[float | None, tuple[float, float] | None, tuple[float, float] | None]  # point, thin, thick; percent


def _score(row: Standing) -> Values:
    score = row.entry.score
    mean = 100 * score.mean

    def around(error: float | None) -> tuple[float, float] | None:
        return None if error is None else (mean - 100 * error, mean + 100 * error)

    return mean, around(score.se_problems), around(score.se_seeds)


def _difference(row: Standing) -> Values:
    if row.difference is None:
        return (0.0 if row.reference else None), None, None
    return 100 * row.difference.mean, (100 * row.difference.low, 100 * row.difference.high), None


def _plot(label: str, rows: Sequence[Standing], values: Sequence[Values], zero: bool = False) -> Plot:
    from matplotlib.ticker import MaxNLocator

    points = [
        x for point, *lines in values for x in (point, *(x for line in lines for x in line or ())) if x is not None
    ]
    ticks = [float(tick) for tick in MaxNLocator(4).tick_values(min(points), max(points))]
    low, high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 1)

    def line(ends: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if ends is None else (x(ends[0]), x(ends[1]))

    drawn = [
        PlotRow(
            _cut(row.entry.name if row.rank_first is None else f"{row.rank}  {row.entry.name}"),
            ROW_HEIGHT * place,
            None if point is None else x(point),
            line(thin),
            line(thick),
            row.reference,
        )
        for place, (row, (point, thin, thick)) in enumerate(zip(rows, values, strict=True))
    ]
    texts = tuple((x(tick), f"{tick:+g}" if zero and tick else f"{tick:g}") for tick in ticks)
    return Plot(label, ROW_HEIGHT * len(rows) + 24, tuple(drawn), texts, x(0) if zero else None)


def _cut(text: str, letters: int = 52) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
