"""The figure of the evidence: for every table the curve over the teacher's share, and the paper's claims.

What: `plot` draws a row for each table. Left, test scores over the teacher's share with 95 % intervals over training
seeds, a line for each teacher; what needs no split (direct GRPO, base models) as levels. Right, the paired differences
of the claims by verdict, contradicted ones on top, with their 95 % intervals for other seeds and problems.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuition.benchmarks.baselines import DIRECT, RAW_TEACHER, UNTRAINED_STUDENT
from tuition.benchmarks.boards.forest_plot import tidy, write_figure
from tuition.benchmarks.evidence.claims import VERDICTS, Judged, Verdict
from tuition.benchmarks.evidence.table_evidence import Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, distinguishable by colour-blind readers; the markers differ as well.
_LINES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))
_LEVELS = {
    DIRECT: ("direct GRPO", "--"),
    UNTRAINED_STUDENT: ("untrained student", ":"),
    RAW_TEACHER: ("raw teacher", "-."),
}
_VERDICTS: dict[Verdict, tuple[str, str]] = {
    "contradicted": ("#D55E00", "s"),
    "undecided": ("#888888", "D"),
    "seen": ("#0072B2", "o"),
}

# Inside, there is no place that no curve, reference or interval crosses on every bench.
_BESIDE_THE_TITLE: dict[str, Any] = {
    "fontsize": 7,
    "frameon": False,
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0.1,
}


def plot(found: Sequence[Evidence], path: Path) -> None:
    """Write the figure. The format follows the path's ending (.png, .pdf, .svg); it appears whole."""
    from matplotlib.figure import Figure

    heights = [max(3.2, 0.8 + 0.36 * len(_shown(evidence))) for evidence in found]
    figure = Figure(figsize=(12.5, 0.3 + sum(heights)), layout="constrained")
    rows = figure.subplots(len(found), 2, squeeze=False, width_ratios=(1, 1), height_ratios=heights)
    for (left, right), evidence in zip(rows, found, strict=True):
        _draw_curves(left, evidence)
        _draw_claims(right, evidence)
    write_figure(figure, path)


def _draw_curves(axes: Axes, evidence: Evidence) -> None:
    for curve, (colour, marker) in zip(evidence.curves, _LINES * len(evidence.curves), strict=False):
        axes.plot(
            [point.teacher_blocks for point in curve.points],
            [100 * point.score.score.mean for point in curve.points],
            color=colour,
            marker=marker,
            markersize=4,
            label=f"all labels, bridge of {curve.teacher}",
        )
        sure = [(p.teacher_blocks, p.score.low, p.score.high) for p in curve.points]
        for blocks, low, high in sure:
            if low is not None and high is not None:
                axes.vlines(blocks, 100 * low, 100 * high, color=colour, linewidth=1.2)
    for name, (label, style) in _LEVELS.items():
        if entry := evidence.entry(name):
            axes.axhline(100 * entry.score.mean, color="#444444", linewidth=0.9, linestyle=style, label=label)
    blocks = max((curve.num_label_blocks for curve in evidence.curves), default=1)
    axes.set_xticks(range(blocks + 1))
    axes.set_xlabel("label blocks on the teacher, before the bridge (the others on the student, after it)", fontsize=8)
    axes.set_ylabel("test score, % (95 % over seeds)", fontsize=8)
    axes.set_title(evidence.table, fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=2, **_BESIDE_THE_TITLE)


def _shown(evidence: Evidence) -> list[Judged]:
    """Claims with a difference, contradicted ones first."""
    judged = [judged for judged in evidence.claims if judged.compared is not None]
    return sorted(judged, key=lambda judged: VERDICTS.index(judged.verdict))


def _label(judged: Judged) -> str:
    """The claim in lines of which none breaks the names of the entries."""
    pair = f"({judged.claim.a} - {judged.claim.b})".replace(" ", "\N{NO-BREAK SPACE}")
    return textwrap.fill(f"{judged.claim.says} {pair}", 66, break_on_hyphens=False)


def _draw_claims(axes: Axes, evidence: Evidence) -> None:
    from matplotlib.lines import Line2D

    rows = _shown(evidence)[::-1]
    for height, judged in enumerate(rows):
        assert judged.compared is not None
        colour, marker = _VERDICTS[judged.verdict]
        difference = judged.compared.difference
        axes.hlines(height, 100 * difference.low, 100 * difference.high, color=colour, linewidth=1.4)
        axes.plot(100 * difference.mean, height, marker, color=colour, markersize=5)
    axes.axvline(0, color="#666666", linewidth=0.8, linestyle=":")
    labels = [_label(judged) for judged in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=6.5)
    axes.set_ylim(-0.6, max(1, len(rows)) - 0.4)
    axes.set_xlabel(f"paired difference on {evidence.suite}, points, 95 %", fontsize=8)
    axes.set_title("what the paper says", fontsize=9, loc="left")
    tidy(axes)
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.4, markersize=5, label=verdict)
        for verdict, (colour, marker) in _VERDICTS.items()
    ]
    axes.legend(handles=handles, ncols=3, **_BESIDE_THE_TITLE)
