"""Curves of the posterior with the scores that lie on them, as rows of a frame and as lines with bands.

A frame of curves has, a row for each point:

| column | meaning |
|---|---|
| panel, curve, teacher | where the point belongs; "none" without a teacher |
| label_blocks, labels | of the stage on the horizontal axis |
| checkpoint | an allocation, a teacher's checkpoint, or a base model |
| kind | "posterior", or "score" for what the study has observed |
| score_percent | posterior mean, or the score |
| low_percent, high_percent | the posterior's interval at `LEVEL`; empty for scores |
| se_points | a score's standard error over samples; empty for the posterior |
| outside | whether the study was told the score, and trained nothing |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.dashboard.charts import MARKERS, Palette, tidy
from tuition.planner.planning.advice import EACH, intervals
from tuition.planner.planning.grid import NO_TEACHER, TEACHER, Grid, Ints
from tuition.planner.planning.planner import POINTS
from tuition.planner.planning.sampler import base_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Curve:
    """A row of nodes: its panel, its name, and the label blocks at which its nodes stand."""

    panel: str
    name: str
    nodes: Ints
    label_blocks: Ints


def checkpoint_text(grid: Grid, node: int) -> str:
    """A node in words; a raw teacher is `base:NAME`."""
    if grid.is_teacher[node] and not grid.depth[node]:
        return f"base:{grid.space.teachers[grid.counts[node, TEACHER]]}"
    return str(grid.checkpoint(node))


def teacher_of(grid: Grid, node: int) -> str:
    """The teacher's name; "none" without one."""
    place = int(grid.counts[node, TEACHER])
    return "none" if place == NO_TEACHER else grid.space.teachers[place]


@dataclass(frozen=True)
class Seen:
    """A score of the study: percent, points, and whether it was told from outside."""

    score: float
    se: float
    outside: bool = False


def seen_scores(opened: OpenedStudy) -> dict[int, Seen]:
    """All scores of a study by node, base models' among them."""
    grid, found = opened.view.grid, {}
    for model, (value, error) in base_scores(opened.study).items():
        found[grid.base_model(model)] = Seen(POINTS * value, POINTS * error)
    for one in opened.observed:
        error = math.nan if one.se_samples is None else one.se_samples
        found[grid.index(one.checkpoint)] = Seen(POINTS * one.value, POINTS * error, one.outside)
    found.pop(-1, None)  # a checkpoint that no allocation of the space passes
    return found


def curve_rows(opened: OpenedStudy, curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """The posterior along curves, and the scores on them: rows of a frame."""
    seen, rows = seen_scores(opened), []
    # Drawn together, so that no point of one curve comes from other draws than another's.
    nodes = np.unique(np.concatenate([curve.nodes for curve in curves]))
    spread = dict(
        zip(nodes.tolist(), zip(*intervals(opened.view.posterior.draws(nodes, EACH)), strict=True), strict=True)
    )
    for curve in curves:
        for node, blocks in zip(curve.nodes.tolist(), curve.label_blocks.tolist(), strict=True):
            place = place_of(opened, (curve.panel, curve.name), node, blocks)
            mean, low, high = spread[node]
            rows.append(_posterior(place, mean, low, high))
            if node in seen:
                rows.append(score_row(place, seen[node]))
    return rows


def place_of(opened: OpenedStudy, curve: tuple[str, str], node: int, label_blocks: int) -> dict[str, Any]:
    """The columns that say where a point belongs. `curve`: its panel and its name."""
    grid, (panel, name) = opened.view.grid, curve
    return {
        "panel": panel,
        "curve": name,
        "teacher": teacher_of(grid, node),
        "label_blocks": label_blocks,
        "labels": label_blocks * opened.scenario.recipe.labels_per_block,
        "checkpoint": checkpoint_text(grid, node),
    }


def _posterior(place: Mapping[str, Any], mean: float, low: float, high: float) -> dict[str, Any]:
    return {
        **place, "kind": "posterior", "score_percent": mean, "low_percent": low, "high_percent": high,
        "se_points": math.nan, "outside": False,
    }  # fmt: skip


def score_row(place: Mapping[str, Any], seen: Seen, kind: str = "score") -> dict[str, Any]:
    """A row of a score."""
    return {
        **place, "kind": kind, "score_percent": seen.score, "low_percent": math.nan, "high_percent": math.nan,
        "se_points": seen.se, "outside": seen.outside,
    }  # fmt: skip


def draw_curves(axes: Axes, frame: pd.DataFrame, palette: Palette, styles: Mapping[str, int]) -> None:
    """Lines with bands, and scores with their standard errors. `styles`: place in the palette of each curve."""
    for name, part in frame.groupby("curve", sort=False):
        style = styles[str(name)]
        colour, marker = palette.series[style % len(palette.series)], MARKERS[style % len(MARKERS)]
        line, scores = part[part["kind"] == "posterior"], part[part["kind"] == "score"]
        x = line["label_blocks"]
        axes.fill_between(x, line["low_percent"], line["high_percent"], color=colour, alpha=0.13, linewidth=0)
        axes.plot(x, line["score_percent"], color=colour, linewidth=1.3, label=str(name))
        axes.errorbar(
            scores["label_blocks"], scores["score_percent"], yerr=scores["se_points"].fillna(0), fmt=marker,
            color=colour, markersize=4.5, elinewidth=0.9, zorder=3,
        )  # fmt: skip
    axes.set_xticks(sorted(frame["label_blocks"].unique()))
    tidy(axes, "both")
