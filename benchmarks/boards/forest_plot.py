"""What all forest plots share: how their axes look, and how the file is written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from tuition.benchmarks.artefacts import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def tidy(axes: Axes) -> None:
    """Vertical grid lines behind the points, and no frame but the lower one."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def write_figure(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the path's ending (.png, .pdf, .svg); it appears whole."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix("."), dpi=200)
    write_bytes(path, content.getvalue())
