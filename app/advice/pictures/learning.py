"""Learning curves by stage: what each further label block has bought, and is expected to buy.

What: a panel for the teachers' own labels, from the raw model on, and one for the student's: the student alone, and
after the bridge of each teacher's best split by the posterior.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.pictures.curves import Curve, curve_rows, draw_curves
from tuition.app.advice.pictures.splits import bridge_text, leading_split, like
from tuition.app.dashboard.charts import WIDTH, Palette
from tuition.planner.planning.grid import FIELDS, REPLAY, RL, SFT, STUDENT_RL, TEACHER
from tuition.planner.planning.planner import View
from tuition.planner.stages import STUDENT

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_frame(opened: OpenedStudy) -> pd.DataFrame:
    """The columns of `curves`; a panel is a stage."""
    view = opened.view
    return pd.DataFrame(curve_rows(opened, [*_teachers(view), *_students(view)]))


def _teachers(view: View) -> list[Curve]:
    grid, found = view.grid, []
    for place, name in enumerate(grid.space.teachers):
        for field, other in ((RL, SFT), (SFT, RL)):
            mine = grid.is_teacher & (grid.counts[:, TEACHER] == place) & (grid.counts[:, other] == 0)
            nodes = np.flatnonzero(mine)
            if grid.counts[nodes, field].any():
                nodes = nodes[np.argsort(grid.counts[nodes, field], kind="stable")]
                found.append(Curve(FIELDS[field], name, nodes, grid.counts[nodes, field]))
    return found


def _students(view: View) -> list[Curve]:
    grid = view.grid
    starts = {"student alone": grid.base_model(STUDENT)}
    for place, name in enumerate(grid.space.teachers):
        best = leading_split(view, grid.allowed & (grid.counts[:, TEACHER] == place))
        if best is not None:
            taught = [f"{FIELDS[field]}={grid.counts[best, field]}" for field in (RL, SFT) if grid.counts[best, field]]
            starts[f"after {' '.join([name, *taught, bridge_text(grid, best)])}"] = best
    found = []
    for text, node in starts.items():
        nodes = np.flatnonzero(like(grid, node) & (grid.counts[:, REPLAY] == 0))
        nodes = nodes[np.argsort(grid.counts[nodes, STUDENT_RL], kind="stable")]
        found.append(Curve(FIELDS[STUDENT_RL], text, nodes, grid.counts[nodes, STUDENT_RL]))
    return found


def draw_learning(frame: pd.DataFrame, palette: Palette) -> Figure:
    """A panel a stage; a teacher has the same colour in all of them."""
    from matplotlib.figure import Figure

    stages, teachers = list(frame["panel"].unique()), list(frame["teacher"].unique())
    figure = Figure(figsize=(WIDTH * len(stages), 3.6), layout="constrained")
    for axes, stage in zip(figure.subplots(1, len(stages), squeeze=False, sharey=True)[0], stages, strict=True):
        mine = frame[frame["panel"] == stage]
        first = mine.drop_duplicates("curve")
        styles = dict(zip(first["curve"], map(teachers.index, first["teacher"]), strict=True))
        draw_curves(axes, mine, palette, styles)
        axes.set_title(f"{stage}", loc="left")
        axes.set_xlabel("label blocks of the stage")
        axes.legend(loc="lower right")
    figure.axes[0].set_ylabel("validation score, %")
    return figure
