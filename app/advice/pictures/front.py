"""The Pareto front of predicted score and full price, and which splits cannot be distinguished from the best.

What: the front is that of posterior means over all allocations of the space. A split cannot be distinguished where the
interval of its difference to the recommended one holds zero; that is asked of the front and of the `MOST_RIVALS` best
by mean and spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.pictures.hours import hours_axis
from tuition.app.advice.recommendation import full_prices, labels_of
from tuition.app.dashboard.charts import Palette, new_figure, tidy
from tuition.planner.cost import SECONDS_PER_HOUR
from tuition.planner.planning.advice import EACH, Rivals, intervals, posterior_means
from tuition.planner.planning.grid import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def front_frame(opened: OpenedStudy) -> pd.DataFrame:
    """Columns: allocation, labels, gpu_hours (from scratch, with its score; empty where a cost is unknown), price_r (in
    units of the dearest route), score_percent, low_percent, high_percent, behind_points, behind_low_points,
    behind_high_points (the recommended split minus this one), front, distinguished, trained, recommended."""
    view = opened.view
    rivals, full = Rivals.of(view), full_prices(view)
    best = int(rivals.nodes[rivals.named])
    allowed = np.flatnonzero(view.grid.allowed)
    front = allowed[undominated(full[allowed], posterior_means(view, view.grid.allowed)[allowed])]
    nodes = np.union1d(rivals.nodes, front)
    draws = view.posterior.draws(nodes, EACH)
    score, low, high = intervals(draws)
    behind, behind_low, behind_high = intervals(draws[:, [int(np.searchsorted(nodes, best))]] - draws)
    return pd.DataFrame(
        {
            "allocation": [str(view.grid.checkpoint(node)) for node in nodes.tolist()],
            "labels": [labels_of(opened, view, node) for node in nodes.tolist()],
            "gpu_hours": np.nan if opened.prices.unknown else full[nodes] / SECONDS_PER_HOUR,
            "price_r": full[nodes] / full[allowed].max(),
            "score_percent": score,
            "low_percent": low,
            "high_percent": high,
            "behind_points": behind,
            "behind_low_points": behind_low,
            "behind_high_points": behind_high,
            "front": np.isin(nodes, front),
            "distinguished": (behind_low > 0) | (behind_high < 0),
            "trained": view.state[nodes] > 0,
            "recommended": nodes == best,
        }
    ).sort_values("price_r", kind="stable")


def undominated(prices: Floats, scores: Floats) -> Ints:
    """Places of those that nothing cheaper or as cheap equals, cheapest first."""
    order = np.lexsort((-scores, prices))
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(scores[order])[:-1]])
    found: Ints = order[scores[order] > best_before]
    return found


def draw_front(frame: pd.DataFrame, palette: Palette) -> Figure:
    """The front as steps with its intervals; full marks cannot be distinguished from the recommended split."""
    figure, axes = new_figure(4.0, 6.4)
    if frame["gpu_hours"].isna().any():
        x, label = frame["price_r"], "full price, in that of the dearest route (some costs are unknown)"
    else:
        x, unit = hours_axis(frame["gpu_hours"])
        label = f"full price from scratch, {unit}"
    colour, faint = palette.series[1], palette.series[0]
    same, front = ~frame["distinguished"], frame["front"]
    for mask, filled, text in (
        (~front & ~same, False, "worse, distinguished"),
        (~front & same, True, "not distinguished from the recommended"),
    ):
        axes.plot(
            x[mask], frame["score_percent"][mask], "o", markersize=3, color=faint, alpha=0.6, label=text, zorder=1,
            markerfacecolor=faint if filled else "none", markeredgewidth=0.6, rasterized=True,
        )  # fmt: skip
    edge = frame[front]
    axes.step(x[front], edge["score_percent"], where="post", color=colour, linewidth=1.3, zorder=2)
    for mask, filled, text in (
        (front & ~same, False, "Pareto front, distinguished"),
        (front & same, True, "Pareto front, not distinguished"),
    ):
        part = frame[mask]
        axes.errorbar(
            x[mask], part["score_percent"], fmt="D", color=colour, markersize=5, elinewidth=0.8, zorder=3, label=text,
            yerr=[part["score_percent"] - part["low_percent"], part["high_percent"] - part["score_percent"]],
            markerfacecolor=colour if filled else palette.page,
        )  # fmt: skip
    chosen = frame["recommended"]
    axes.plot(x[chosen], frame["score_percent"][chosen], "*", color=palette.text, markersize=11, zorder=4,
              label="recommended")  # fmt: skip
    axes.set_xlabel(label)
    axes.set_ylabel("predicted validation score, %")
    tidy(axes, "both")
    figure.legend(loc="outside upper left", ncols=2)
    return figure
