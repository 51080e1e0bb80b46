"""The score over the teacher's share: how the whole budget of labels is best split between teacher and student.

What: for every teacher the splits of all the study's labels with one bridge, that of its best split by the posterior;
and the student alone, as a level. Scores of other bridges with as many labels are shown hollow: they lie beside the
curve, not on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.pictures.curves import (
    Curve,
    curve_rows,
    draw_curves,
    place_of,
    score_row,
    seen_scores,
    teacher_of,
)
from tuition.app.advice.pictures.splits import bridge_text, budget_splits, leading_split, like
from tuition.app.dashboard.charts import MARKERS, Palette, new_figure, tidy
from tuition.planner.planning.grid import NO_TEACHER, RL, SFT, TEACHER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHER = "score of another bridge"
ALONE = "student alone"


def share_frame(opened: OpenedStudy) -> pd.DataFrame:
    """The columns of `curves`; the label blocks are the teacher's, the student has the others."""
    view = opened.view
    grid, whole, curves = view.grid, budget_splits(view), []
    taught = grid.counts[:, RL] + grid.counts[:, SFT]
    for place, name in enumerate(grid.space.teachers):
        best = leading_split(view, whole & (grid.counts[:, TEACHER] == place))
        if best is None:
            continue
        nodes = np.flatnonzero(whole & like(grid, best, apart_from=(RL, SFT)))
        nodes = nodes[np.argsort(taught[nodes], kind="stable")]
        curves.append(Curve("share", f"{name}, {bridge_text(grid, best)}", nodes, taught[nodes]))
    alone = np.flatnonzero(whole & (grid.counts[:, TEACHER] == NO_TEACHER))[:1]
    curves.append(Curve("share", ALONE, alone, taught[alone]))
    shown = set(np.concatenate([curve.nodes for curve in curves]).tolist())
    beside = [
        score_row(place_of(opened, ("share", teacher_of(grid, node)), node, int(taught[node])), seen, OTHER)
        for node, seen in seen_scores(opened).items()
        if whole[node] and node not in shown
    ]
    return pd.DataFrame([*curve_rows(opened, curves), *beside])


def draw_share(frame: pd.DataFrame, palette: Palette) -> Figure:
    """A line a teacher with its band, scores on it and beside it."""
    figure, axes = new_figure(3.6, 6.4)
    on_curves = frame[(frame["kind"] != OTHER) & (frame["curve"] != ALONE)]
    styles = {str(name): place for place, name in enumerate(on_curves["curve"].unique())}
    teachers = list(on_curves["teacher"].unique())
    draw_curves(axes, on_curves, palette, styles)
    for teacher, part in frame[frame["kind"] == OTHER].groupby("teacher", sort=False):
        style = teachers.index(teacher) if teacher in teachers else len(teachers)
        axes.plot(
            part["label_blocks"], part["score_percent"], MARKERS[style % len(MARKERS)], markerfacecolor="none",
            markersize=4.5, color=palette.series[style % len(palette.series)], label=f"{teacher}, another bridge",
        )  # fmt: skip
    alone = frame[frame["curve"] == ALONE]
    level, scores = alone[alone["kind"] == "posterior"], alone[alone["kind"] == "score"]
    axes.axhline(level["score_percent"].iloc[0], color=palette.text, linewidth=1, linestyle="--", label=ALONE)
    axes.errorbar(
        scores["label_blocks"], scores["score_percent"], yerr=scores["se_points"].fillna(0), fmt="x",
        color=palette.text, elinewidth=0.9, zorder=3,
    )  # fmt: skip
    if len(on_curves):
        total = int(on_curves["label_blocks"].max())
        axes.set_xticks(range(total + 1))
        axes.set_xlabel(f"label blocks on the teacher, of {total} (the others on the student)")
    axes.set_ylabel("validation score, %")
    tidy(axes, "both")
    figure.legend(loc="outside upper left", ncols=2)
    return figure
