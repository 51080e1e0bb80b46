"""Writing the pictures of an advice: for each a PNG, and beside it the frame that it is drawn from, as CSV.

The frame is all that a drawing sees, so picture and numbers cannot differ. Its columns name their units; the modules
say what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tuition.app.advice.decision import LEAST_SCORES
from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.pictures.front import draw_front, front_frame
from tuition.app.advice.pictures.learning import draw_learning, learning_frame
from tuition.app.advice.pictures.next_block import draw_next_block, next_block_frame
from tuition.app.advice.pictures.regret import draw_regret, regret_frame
from tuition.app.advice.pictures.share import draw_share, share_frame
from tuition.app.dashboard.charts import Plot, render
from tuition.app.dashboard.words import csv
from tuition.benchmarks.artefacts import write_bytes


class PictureError(ValueError):
    """Pictures that cannot be drawn or written; one line with the reason."""


@dataclass(frozen=True)
class Picture:
    """What is drawn: the name of its files, the frame of a study, and the drawing of a frame."""

    name: str
    frame: Callable[[OpenedStudy], pd.DataFrame]
    draw: Plot


PICTURES = (
    Picture("share", share_frame, draw_share),
    Picture("learning", learning_frame, draw_learning),
    Picture("next_block", next_block_frame, draw_next_block),
    Picture("front", front_frame, draw_front),
    Picture("regret", regret_frame, draw_regret),
)


def write_pictures(opened: OpenedStudy, folder: Path) -> list[Path]:
    """Write all pictures and their numbers; the folder is made where there is none.

    Returns:
        The pictures' files; the numbers of each have the same name and end in .csv.

    Raises:
        PictureError: for a study with too few scores, or a folder that cannot be.
    """
    if opened.view.num_scores < LEAST_SCORES:
        raise PictureError(
            f"--plots: the study has {opened.view.num_scores} scores, and {LEAST_SCORES} are needed; omit --plots"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"--plots {folder}: {error.strerror}; give a folder that can be written") from None
    written = []
    for picture in PICTURES:
        frame, path = picture.frame(opened), folder / f"{picture.name}.png"
        write_bytes(path, render(picture.draw, frame, "png"))
        write_bytes(path.with_suffix(".csv"), csv(frame))
        written.append(path)
    return written
