"""Charts of the dashboard, by matplotlib: each draws one frame, for the screen (light, dark) and for a paper.

A chart is narrow enough for a phone; on a wide screen two stand side by side. Colours are Okabe and Ito's palette and
the map `cividis`, safe for colour-blind readers. Text from the data is never parsed as mathematics.
"""

import io
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from tuition.app.dashboard.data.files import records

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["png", "svg", "pdf"]
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
MARKERS = ("o", "s", "^", "D", "v", "P")
MAP = "cividis"
WIDTH = 4.8  # inches: at the width of a phone its letters still have eight pixels
_plotting = threading.Lock()  # matplotlib's fonts and settings are shared by all threads


@dataclass(frozen=True)
class Palette:
    """Colours of text, faint lines, the page, and data: the same six, the bright ones first on a dark page."""

    text: str
    faint: str
    page: str
    series: tuple[str, ...]


LIGHT = Palette("#262730", "#cccccc", "#ffffff", (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY))
DARK = Palette("#fafafa", "#555b66", "#171715", (SKY, YELLOW, GREEN, PINK, ORANGE, BLUE))
Plot = Callable[..., "Figure"]


def render(
    plot: Plot, frame: pd.DataFrame, format: Format, dark: bool = False, transparent: bool = False, **options: Any
) -> bytes:
    """A chart as the bytes of a file; for the screen (transparent) and for a paper the same, but for colours."""
    import matplotlib

    palette = DARK if dark else LIGHT
    settings: dict[Any, Any] = {
        "text.parse_math": False, "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8,
        "xtick.labelsize": 8, "ytick.labelsize": 8, "svg.hashsalt": "tuition", "pdf.fonttype": 42,
        "text.color": palette.text, "axes.labelcolor": palette.text, "axes.edgecolor": palette.text,
        "xtick.color": palette.text, "ytick.color": palette.text, "axes.facecolor": palette.page,
        "figure.facecolor": palette.page, "grid.color": palette.faint, "legend.frameon": False,
    }  # fmt: skip
    content = io.BytesIO()
    with _plotting, matplotlib.rc_context(settings):
        figure = plot(frame, palette, **options)
        metadata = {"Date": None} if format == "svg" else {"CreationDate": None} if format == "pdf" else None
        figure.savefig(content, format=format, dpi=200, metadata=metadata, transparent=transparent)
    return content.getvalue()


def new_figure(height: float, width: float = WIDTH) -> "tuple[Figure, Axes]":
    """An empty figure of one pair of axes; sizes in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def tidy(axes: "Axes", grid: Literal["x", "y", "both"] = "x") -> None:
    """Grid lines behind the data, and no frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, linewidth=0.6)
    axes.set_axisbelow(True)


def _cut(text: object, length: int = 48) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def labels_by_stage(frame: pd.DataFrame, palette: Palette) -> "Figure":
    """One bar of labels. Columns: stage, labels."""
    figure, axes = new_figure(1.25)
    left = 0.0
    colours = dict(zip(frame["stage"], (*palette.series[:2], palette.faint), strict=False))
    for stage, labels in zip(frame["stage"], frame["labels"], strict=True):
        axes.barh(0, labels, left=left, color=colours[stage], edgecolor=palette.page, label=f"{stage}: {labels:,.0f}")
        left += labels
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlim(0, max(left, 1))
    axes.set_xlabel("labels")
    figure.legend(loc="outside upper left", ncols=3, handlelength=1, columnspacing=1)
    return figure


def forest(frame: pd.DataFrame, palette: Palette, unit: str = "points", zero: bool = True) -> "Figure":
    """Means with intervals, best first. Columns: name, mean, low, high, and kind, which sets colour and marker."""
    figure, axes = new_figure(0.75 + 0.42 * max(1, len(frame)))
    kinds = list(dict.fromkeys(frame["kind"]))
    for height, row in enumerate(records(frame.iloc[::-1])):
        index = kinds.index(row["kind"]) % len(MARKERS)
        colour = palette.series[index]
        axes.hlines(height, row["low"], row["high"], color=colour, linewidth=1.6)
        axes.plot(row["mean"], height, MARKERS[index], color=colour, markersize=5)
        axes.annotate(
            _cut(row["name"], 76), (0, height), (0, 5), xycoords=("axes fraction", "data"), textcoords="offset points",
            fontsize=7.5, va="bottom",
        )  # fmt: skip
    if zero:
        axes.axvline(0, color=palette.text, linewidth=0.9, linestyle=":")
    axes.set_yticks([])
    axes.set_ylim(-0.5, max(1, len(frame)) - 0.1)
    axes.set_xlabel(unit)
    tidy(axes)
    axes.spines["left"].set_visible(False)
    return figure


def simplex(frame: pd.DataFrame, palette: Palette) -> "Figure":
    """The split of the budget as a triangle. Columns: teacher, student, unspent (shares of 1), score (%)."""
    figure, axes = new_figure(4.1)
    height = math.sqrt(3) / 2
    # The best of a split covers its others, which need not be drawn.
    best_last = frame.sort_values("score").drop_duplicates(["teacher", "student"], keep="last")
    x = best_last["student"] + best_last["unspent"] / 2
    y = best_last["unspent"] * height
    axes.plot([0, 1, 0.5, 0], [0, 0, height, 0], color=palette.text, linewidth=0.9)
    for share in (0.25, 0.5, 0.75):
        width = 1 - share
        axes.plot([share / 2, 1 - share / 2], [share * height] * 2, color=palette.faint, linewidth=0.6, zorder=0)
        for a, b in (((share, 0), (share + width / 2, width * height)), ((share, 0), (share / 2, share * height))):
            axes.plot([a[0], b[0]], [a[1], b[1]], color=palette.faint, linewidth=0.6, zorder=0)
    points = axes.scatter(
        x, y, c=best_last["score"], cmap=MAP, s=44 if len(best_last) < 300 else 14, edgecolors=palette.text,
        linewidths=0.4, rasterized=len(best_last) > 1000,
    )  # fmt: skip
    axes.text(-0.02, -0.05, "all to the teacher", ha="left", va="top")
    axes.text(1.02, -0.05, "all to the student", ha="right", va="top")
    axes.text(0.5, height + 0.03, "no labels spent", ha="center", va="bottom")
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.13, height + 0.1)
    axes.set_aspect("equal")
    axes.set_axis_off()
    figure.colorbar(points, ax=axes, orientation="horizontal", shrink=0.8, label="validation score, %", pad=0.02)
    return figure


def cost(frame: pd.DataFrame, palette: Palette) -> "Figure":
    """Score against cost with its front. Columns: gpu_seconds, score (%), error (points), front (bool), name."""
    figure, axes = new_figure(3.9)
    many = len(frame) > 300
    if not many:
        axes.errorbar(
            frame["gpu_seconds"], frame["score"], yerr=frame["error"], fmt="none", ecolor=palette.faint, zorder=1
        )
    axes.scatter(
        frame["gpu_seconds"],
        frame["score"],
        s=6 if many else 20,
        color=palette.series[0],
        zorder=2,
        rasterized=many,
        label="runs",
    )
    front = frame[frame["front"]].sort_values("gpu_seconds")
    axes.step(front["gpu_seconds"], front["score"], where="post", color=palette.series[1], linewidth=1.4, zorder=3)
    axes.plot(
        front["gpu_seconds"],
        front["score"],
        "D",
        color=palette.series[1],
        markersize=5,
        zorder=4,
        label="Pareto front",
    )
    axes.set_xlabel("full cost per run, GPU-seconds")
    axes.set_ylabel("validation score, %")
    tidy(axes, "both")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def parallel(frame: pd.DataFrame, palette: Palette) -> "Figure":
    """Parallel coordinates. All columns but the last are axes, the last is the score (%) that colours a line."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    figure, axes = new_figure(3.6)
    ordered = frame.sort_values(frame.columns[-1])
    score = ordered.iloc[:, -1]
    numbers = ordered.iloc[:, :-1].astype(float)
    low, high = numbers.min(), numbers.max()
    heights = ((numbers - low) / (high - low).where(high > low, 1)).to_numpy()
    norm = Normalize(float(score.min()), max(float(score.max()), float(score.min()) + 1e-9))
    lines = [np.column_stack([range(heights.shape[1]), row]) for row in heights]
    axes.add_collection(
        LineCollection(
            lines, colors=colormaps[MAP](norm(score.to_numpy())), linewidths=1.3 if len(frame) < 300 else 0.4,
            rasterized=len(frame) > 1000,
        )
    )  # fmt: skip
    for index, name in enumerate(numbers.columns):
        axes.axvline(index, color=palette.faint, linewidth=0.8, zorder=0)
        axes.text(index, 1.03, f"{high[name]:g}", ha="center", va="bottom", fontsize=8)
        axes.text(index, -0.03, f"{low[name]:g}", ha="center", va="top", fontsize=8)
    axes.set_xlim(-0.2, max(1, heights.shape[1] - 1) + 0.2)
    axes.set_ylim(-0.12, 1.12)
    axes.set_xticks(range(heights.shape[1]), [name.replace("_", "\n") for name in numbers.columns], fontsize=7)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    figure.colorbar(ScalarMappable(norm, MAP), ax=axes, orientation="horizontal", shrink=0.8, label=frame.columns[-1])
    return figure


def bars(frame: pd.DataFrame, palette: Palette, unit: str = "%") -> "Figure":
    """Grouped means with errors. Columns: group, name, mean, error."""
    names, groups = list(dict.fromkeys(frame["name"])), list(dict.fromkeys(frame["group"]))
    figure, axes = new_figure(0.9 + len(groups) * (0.2 + 0.16 * len(names)))
    thick = 0.8 / max(1, len(names))
    for index, name in enumerate(names):
        own = frame[frame["name"] == name]
        heights = [-groups.index(group) - (index - (len(names) - 1) / 2) * thick for group in own["group"]]
        axes.barh(heights, own["mean"], thick * 0.9, color=palette.series[index % len(MARKERS)], label=_cut(name, 30))
        axes.errorbar(own["mean"], heights, xerr=own["error"], fmt="none", ecolor=palette.text, linewidth=0.9)
    axes.set_yticks([-index for index in range(len(groups))], [_cut(group, 24) for group in groups])
    axes.set_xlabel(unit)
    tidy(axes)
    figure.legend(loc="outside upper left", ncols=2 if len(names) > 1 else 1)
    return figure


def curves(frame: pd.DataFrame, palette: Palette, value: str, label: str) -> "Figure":
    """One curve for each stage over the steps of a route. Columns: step, stage, and `value`."""
    figure, axes = new_figure(2.4)
    for index, (stage, part) in enumerate(frame.groupby("stage", sort=False)):
        known = part.dropna(subset=[value])
        if len(known):
            axes.plot(
                known["step"],
                known[value],
                color=palette.series[index % len(MARKERS)],
                linewidth=1.3,
                label=_cut(stage, 24),
            )
    axes.set_xlabel("optimizer step of the route")
    axes.set_ylabel(label)
    tidy(axes, "both")
    figure.legend(loc="outside upper left", ncols=3, handlelength=1.2, columnspacing=1)
    return figure


def race(frame: pd.DataFrame, palette: Palette) -> "Figure":
    """Regret of planners against cost. Columns: planner, answer, budget (R), regret, low, high (points).

    A line a planner with the band of its interval; dashed and without one where it names what it has not trained.
    """
    figure, axes = new_figure(3.6)
    for index, (planner, part) in enumerate(frame.groupby("planner")):  # the same colour in every figure
        colour, round_ = palette.series[index % len(palette.series)], index // len(palette.series)
        for answer, line in part.sort_values("budget").groupby("answer"):
            named = answer == "named"
            axes.plot(
                line["budget"], line["regret"], color=colour, linestyle="--" if named else "-", linewidth=1.2,
                marker=MARKERS[(index + round_) % len(MARKERS)], markersize=4, markerfacecolor=colour if round_ == 0
                else palette.page, label=_cut(f"{planner}, named" if named else planner), clip_on=False, zorder=3,
            )  # fmt: skip
            if not named and line["low"].notna().all():
                axes.fill_between(line["budget"], line["low"], line["high"], color=colour, alpha=0.1, linewidth=0)
    shown = sorted(frame["budget"].unique())
    axes.set_xscale("log")
    axes.set_xticks(shown, [f"{budget:g}" for budget in shown])
    axes.minorticks_off()
    highest = frame["regret"].max() if len(frame) else 1.0
    axes.set_ylim(0, 1.1 * max(highest, 0.1))
    axes.set_xlabel("spent, in R (the dearest single route)")
    axes.set_ylabel("points lost to the best split")
    tidy(axes, "both")
    figure.legend(loc="outside upper left", ncols=3, handlelength=1.6, columnspacing=1)
    return figure


def tree(frame: pd.DataFrame, palette: Palette) -> "Figure":
    """Blocks as a tree from left to right. Columns: node, parent (-1), depth, row, label, uses, score (%)."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    rows = int(frame["row"].max()) + 1 if len(frame) else 1
    figure, axes = new_figure(min(12.0, 1.4 + (0.42 if rows < 20 else 0.24) * rows))
    by_node, parents = frame.set_index("node"), set(frame["parent"])
    known = frame["score"].dropna()
    norm = Normalize(known.min() if len(known) else 0, known.max() if len(known) else 1)
    for block in records(frame):
        if block["parent"] in by_node.index:
            parent = by_node.loc[block["parent"]]
            axes.plot(
                [parent["depth"], parent["depth"] + 0.5, parent["depth"] + 0.5, block["depth"]],
                [-parent["row"], -parent["row"], -block["row"], -block["row"]],
                color=palette.faint, linewidth=0.9, zorder=1,
            )  # fmt: skip
        colour = palette.faint if math.isnan(block["score"]) else colormaps[MAP](norm(block["score"]))
        axes.plot(
            block["depth"], -block["row"], "o", color=colour, markeredgecolor=palette.text, markeredgewidth=0.5,
            markersize=min(11, 4 + 1.2 * math.log2(1 + block["uses"])), zorder=2,
        )  # fmt: skip
        # The rest of a stage follows from where it begins.
        if len(frame) <= 60 and (block["label"].endswith("[0]") or block["node"] not in parents):
            axes.annotate(
                block["label"], (block["depth"], -block["row"]), (-3, 7), textcoords="offset points", fontsize=7
            )
    axes.set_yticks([])
    axes.set_ylim(-rows + 0.3, 0.8)
    axes.set_xlabel("blocks from the base model")
    axes.spines[:].set_visible(False)
    if len(known):
        label = "best validation score downstream, %"
        figure.colorbar(ScalarMappable(norm, MAP), ax=axes, orientation="horizontal", shrink=0.8, label=label)
    return figure
