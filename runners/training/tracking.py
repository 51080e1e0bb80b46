"""Trackers: the curves of every block, also sent to TensorBoard, W&B or trackio while it trains.

The choice stands in the environment, because workers and the processes of one block inherit it. It changes no result
and is in no key. W&B writes offline and trackio locally, unless their own variables say otherwise.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tuition.planner.route import Block

VARIABLE = "TUITION_TRACK"
PROJECT = "tuition"
# The packages that provide a tracker; the first one is named where none is installed.
TRACKERS = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}


class TrackerError(ValueError):
    """A tracker that is unknown or not installed; one line with the fix."""


def start_tracking(tracker: str | None, folder: Path) -> None:
    """Let this process, and all that it starts, send curves to a tracker whose files are kept in `folder`.

    A variable of the tracker that is set already is kept: WANDB_MODE=online sends them to W&B's servers.

    Raises:
        TrackerError: for an unknown tracker and for one that is not installed.
    """
    if tracker is None:
        return
    if tracker not in TRACKERS:
        raise TrackerError(f"unknown tracker {tracker!r}: choose from {', '.join(TRACKERS)}")
    packages = TRACKERS[tracker]
    if not any(find_spec(package) for package in packages):
        raise TrackerError(f"{tracker} is not installed: pip install {packages[0]}")
    os.environ[VARIABLE] = tracker
    place = folder.absolute() / tracker
    defaults = {
        "tensorboard": {"TENSORBOARD_LOGGING_DIR": str(place)},
        "wandb": {"WANDB_DIR": str(place), "WANDB_MODE": "offline", "WANDB_PROJECT": PROJECT, "WANDB_SILENT": "true"},
        "trackio": {"TRACKIO_DIR": str(place)},
    }
    place.mkdir(parents=True, exist_ok=True)
    for name, value in defaults[tracker].items():
        os.environ.setdefault(name, value)


def tracked_callbacks(block: Block) -> list[Any]:
    """The tracker's callback for one block: none, where none was chosen. A block is one run of the tracker."""
    tracker = os.environ.get(VARIABLE)
    if tracker is None:
        return []
    from transformers import integrations

    if tracker != "tensorboard":
        return [integrations.WandbCallback() if tracker == "wandb" else integrations.TrackioCallback()]
    callback = integrations.TensorBoardCallback()
    callback.logging_dir = str(Path(os.environ["TENSORBOARD_LOGGING_DIR"]) / run_name(block))
    return [callback]


def run_name(block: Block) -> str:
    """How a tracker names a block: `teacher_rl-0-big-1a2b3c4d5e6f`."""
    return f"{block.stage}-{block.index}-{block.model}-{block.key[:12]}"


def end_run() -> None:
    """Close the block's run: W&B would continue it in the next block."""
    if os.environ.get(VARIABLE) == "wandb":
        import wandb

        wandb.finish()
