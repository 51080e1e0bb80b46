"""The regret of deciding, against what the study had spent: what a decision after each trial would have risked.

What: two curves. "Expected then" is by how much the best was expected to be better than the split that would have been
named, by the scores of that time; "as seen now" is the same split's regret by all scores of today. The second does not
come from the scores that named the split alone, so it shows whether the first could be believed.

Simplified: trials count in the order of their numbers; of many trials, `MOST_LOOKS` are looked at, as each takes a fit.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tuition.app.advice.decision import LEAST_SCORES, MARGIN
from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.pictures.hours import hours_axis
from tuition.app.dashboard.charts import MARKERS, Palette, new_figure, tidy
from tuition.planner.cost import SECONDS_PER_HOUR
from tuition.planner.planning.advice import EACH, Rivals, intervals, standing
from tuition.planner.scores.observations import untrained
from tuition.planner.trials import gpu_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LOOKS = 16


def regret_frame(opened: OpenedStudy) -> pd.DataFrame:
    """Columns: trial (number of the last one), gpu_hours (spent), scores (of checkpoints), allocation (named then),
    expected_points, probability_good_enough; and now_points, now_low_points, now_high_points of the same split."""
    spent, rows = _spent(opened), []
    numbers = sorted({one.trial for one in opened.observed})
    chosen = np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), MOST_LOOKS)).round().astype(int))
    for number in (numbers[place] for place in chosen.tolist()):
        view = opened.view.planner.view([one for one in opened.observed if one.trial <= number])
        if view.num_scores < LEAST_SCORES:
            continue
        rivals = Rivals.of(view)
        stands = standing(rivals.draws, rivals.named, MARGIN)
        rows.append(
            {
                "trial": number,
                "gpu_hours": spent[number] / SECONDS_PER_HOUR,
                "scores": view.num_scores,
                "node": int(rivals.nodes[rivals.named]),
                "expected_points": stands.regret,
                "probability_good_enough": stands.good_enough,
            }
        )
    frame = pd.DataFrame(rows)
    nodes = np.union1d(Rivals.of(opened.view).nodes, frame["node"])
    draws = opened.view.posterior.draws(nodes, EACH)
    losses = draws.max(1, keepdims=True) - draws[:, np.searchsorted(nodes, frame["node"])]
    frame["now_points"], frame["now_low_points"], frame["now_high_points"] = intervals(losses)
    names = [str(opened.view.grid.checkpoint(node)) for node in frame.pop("node").tolist()]
    frame.insert(3, "allocation", names)
    return frame


def _spent(opened: OpenedStudy) -> list[float]:
    """Device-seconds when each trial was over; base models' scores before the first."""
    base = sum(score.gpu_seconds for score in untrained(opened.study).values())
    return [base + sum_ for sum_ in accumulate(map(gpu_seconds, opened.study.get_trials(deepcopy=False)))]


def draw_regret(frame: pd.DataFrame, palette: Palette) -> Figure:
    """Two lines over what was spent."""
    figure, axes = new_figure(3.2, 6.4)
    x, unit = hours_axis(frame["gpu_hours"])
    then, now = palette.series[0], palette.series[1]
    axes.fill_between(x, frame["now_low_points"], frame["now_high_points"], color=now, alpha=0.13, linewidth=0)
    axes.plot(x, frame["now_points"], color=now, marker=MARKERS[1], markersize=4.5, linestyle="--",
              label="regret of the same split, as seen now")  # fmt: skip
    axes.plot(x, frame["expected_points"], color=then, marker=MARKERS[0], markersize=4.5,
              label="regret of deciding, expected then")  # fmt: skip
    axes.set_xlabel(f"spent by the study, {unit}")
    axes.set_ylabel("regret, points")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    tidy(axes, "both")
    figure.legend(loc="outside upper left", ncols=2)
    return figure
