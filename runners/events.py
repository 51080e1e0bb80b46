"""Progress as data: what engines and commands tell while they work, and the event logs that keep it.

A listener is a callable that takes one event. An event log is a JSON-lines file beside a log for people; a line is

    {"version": 1, "time": 1753869000.12, "writer": "host-4711-9f86d081", "event": {"kind": "step_done", ...}}

Several processes may append to one log: each line is one write. Progress is no result: where a line cannot be written,
it is left out, and readers pass over lines that are torn or of a version that they do not know.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuition.planner.route import Block

MAX_READ_BYTES = 64 << 20  # our choice: some 200,000 steps


Count = Annotated[int, Field(ge=0, le=2**53)]


class _Frozen(BaseModel):
    # A diverged loss is NaN, which JSON has no word for.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class BlockStarted(_Frozen):
    """Block `position` (from 1) of the `total` that a route still has to train begins.

    A listener may raise here to stop: between blocks a stop loses nothing.
    """

    kind: Literal["block_started"] = "block_started"
    key: str
    stage: str
    index: Count
    model: str
    position: Count
    total: Count
    labels_new: Count

    @classmethod
    def of(cls, block: Block, position: int, total: int) -> "BlockStarted":
        """The event for a block."""
        return cls(
            key=block.key,
            stage=block.stage,
            index=block.index,
            model=block.model,
            position=position,
            total=total,
            labels_new=len(block.new_labels),
        )


class StepDone(_Frozen):
    """Optimizer step `step` (from 1) of the `steps` of a block is done, with the step's curves by name."""

    kind: Literal["step_done"] = "step_done"
    key: str
    step: Count
    steps: Count
    curves: dict[str, float]


class BlockDone(_Frozen):
    """A block is in the store: trained now, with its GPU-seconds, or reused."""

    kind: Literal["block_done"] = "block_done"
    key: str
    gpu_seconds: float
    reused: bool


class Scoring(_Frozen):
    """`done` of the `total` samples of a suite are drawn."""

    kind: Literal["scoring"] = "scoring"
    suite: str
    done: Count
    total: Count


class PhaseBegan(_Frozen):
    """A phase of `total` runs begins (None: nobody knows how many), `done` of which are done already."""

    kind: Literal["phase_began"] = "phase_began"
    title: str
    done: Count
    total: Count | None


class RunDone(_Frozen):
    """A run is done, with its result in words; `done_before` of the `done` runs were done when the phase began."""

    kind: Literal["run_done"] = "run_done"
    name: str
    result: str
    done: Count
    total: Count | None
    done_before: Count = 0


class Said(_Frozen):
    """One line for people."""

    kind: Literal["said"] = "said"
    text: str


Event = BlockStarted | StepDone | BlockDone | Scoring | PhaseBegan | RunDone | Said
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that does nothing."""


class LoggedEvent(_Frozen):
    """An event with who wrote it, and when (seconds since 1970)."""

    version: Literal[1] = 1
    time: float
    writer: str
    event: Annotated[Event, Field(discriminator="kind")]


class EventLog:
    """Appends events to a file; its `write` is a listener."""

    def __init__(self, path: Path, writer: str = ""):
        self.writer = writer
        self._descriptor: int | None = None
        self._torn = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            size = os.fstat(self._descriptor).st_size
            # A killed writer, or a full disk, may have left half a line.
            self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        except OSError:
            return

    def write(self, event: Event) -> None:
        """Append one line, in one write: safe in a signal handler, and whole beside other writers' lines."""
        if self._descriptor is None:
            return
        line = LoggedEvent(time=round(time.time(), 3), writer=self.writer, event=event).model_dump_json() + "\n"
        content = ("\n" * self._torn + line).encode()
        try:
            self._torn = os.write(self._descriptor, content) < len(content)
        except OSError:
            self._torn = True

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_events(path: Path, start: int = 0) -> tuple[list[LoggedEvent], int]:
    """The events from byte `start` of a log on, and the byte after its last whole line; none where there is no file.

    Links are not followed. Lines that are no events are passed over, a line that is still being written is left for the
    next call.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:  # refuses a folder
            file.seek(start)
            content = file.read(MAX_READ_BYTES)
    except OSError:
        return [], start
    whole = content.rfind(b"\n") + 1
    events = []
    for line in content[:whole].split(b"\n"):
        try:
            events.append(LoggedEvent.model_validate_json(line))
        except ValidationError:
            continue
    return events, start + whole
