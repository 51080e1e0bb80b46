"""The marginal value of the next label block, by stage: what one more block buys where a stage has so many.

What: along each stage of one split, the others left as they are, the difference between two neighbouring allocations,
drawn together from the posterior. The curves go beyond the study's labels as far as `tuition what-if` speaks of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.what_if import World, label_stages, with_blocks
from tuition.app.dashboard.charts import MARKERS, WIDTH, Palette, tidy
from tuition.planner.allocation import Allocation
from tuition.planner.planning.advice import intervals

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def next_block_frame(opened: OpenedStudy) -> pd.DataFrame:
    """Columns: stage, label_blocks and labels that the stage has before, allocation (with the block), gain_points,
    low_points, high_points, and next: whether the allocation is the recommended split and one block more."""
    world, rows = World(opened, None), []
    split = _split(opened, world)
    for stage in label_stages(split):
        has, others = getattr(split, stage), split.label_blocks - getattr(split, stage)
        least = 1 if split.replay and not others else 0  # there is no replay without labels
        chain = [with_blocks(split, stage, blocks) for blocks in range(least, world.furthest - others + 1)]
        nodes = [node for node in map(world.view.grid.index, chain) if node >= 0]
        gains = intervals(np.diff(world.draws(nodes), axis=1))
        for blocks, (mean, low, high) in enumerate(zip(*gains, strict=True), start=least):
            rows.append(
                {
                    "stage": stage,
                    "label_blocks": blocks,
                    "labels": blocks * world.per_block,
                    "allocation": str(with_blocks(split, stage, blocks + 1)),
                    "gain_points": mean,
                    "low_points": low,
                    "high_points": high,
                    "next": blocks == has,
                }
            )
    return pd.DataFrame(rows)


def _split(opened: OpenedStudy, world: World) -> Allocation:
    """The recommended one; the best of those that can be spoken of, where it has more labels than these."""
    best = opened.view.grid.checkpoint(opened.view.choice.best)
    assert isinstance(best, Allocation)
    if best.label_blocks < world.furthest:
        return best
    return world.allocation(world.best(world.labels < world.furthest))


def draw_next_block(frame: pd.DataFrame, palette: Palette) -> Figure:
    """A panel a stage, the next block of the split marked."""
    from matplotlib.figure import Figure

    stages = list(frame["stage"].unique())
    figure = Figure(figsize=(WIDTH * len(stages), 3.2), layout="constrained")
    panels = figure.subplots(1, len(stages), squeeze=False, sharey=True)[0]
    for place, (axes, stage) in enumerate(zip(panels, stages, strict=True)):
        mine, colour = frame[frame["stage"] == stage], palette.series[place]
        x, marked = mine["label_blocks"], mine[mine["next"]]
        axes.fill_between(x, mine["low_points"], mine["high_points"], color=colour, alpha=0.13, linewidth=0)
        axes.plot(x, mine["gain_points"], color=colour, linewidth=1.3)
        axes.errorbar(
            marked["label_blocks"], marked["gain_points"], color=colour, fmt=MARKERS[place], markersize=6, capsize=3,
            yerr=[marked["gain_points"] - marked["low_points"], marked["high_points"] - marked["gain_points"]],
            label="the next block of the recommended split",
        )  # fmt: skip
        axes.axhline(0, color=palette.text, linewidth=0.9, linestyle=":")
        axes.set_title(stage, loc="left")
        axes.set_xlabel("label blocks that the stage has")
        axes.legend(loc="upper right")
        tidy(axes, "both")
    panels[0].set_ylabel("one more block buys, points")
    return figure
