"""Progress of a search on standard error: bars on a terminal, plain lines elsewhere, nothing with --quiet.

Hears the engine (blocks, steps, scoring) and the study (trials), and says what is reused, what labels were spent and
when it will be done. The time that is left is predicted from what the trials so far have cost.
"""

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from planner.route import Block


class Reporter:
    """Listens to one command. Use as a context manager."""

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.live = self.console.is_terminal and not quiet
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self._study = self._bars.add_task("runs", total=None)
        self._block = self._bars.add_task("", total=None, visible=False)
        self._started = time.monotonic()
        self._blocks_trained = 0
        self._blocks_reused = 0
        self._scoring_shown = ""

    def __enter__(self) -> "Reporter":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False, soft_wrap=not self.live)

    def begin(self, title: str, done: int, total: int | None) -> None:
        """A phase of `total` runs begins, `done` of which are done already."""
        self._started = time.monotonic()
        self._bars.update(self._study, description=title, completed=done, total=total)
        self.say(f"{title}: {done} of {total if total is not None else '?'} runs done")

    def run_done(self, name: str, result: str, done: int, total: int | None, done_before: int) -> None:
        """A run is done: say its result, what was reused so far, and the time that is left."""
        left = ""
        if total is not None and done > done_before:
            seconds = (time.monotonic() - self._started) / (done - done_before) * max(0, total - done)
            left = f", about {_duration(seconds)} left" if total > done else ""
        self._bars.update(self._study, completed=done)
        blocks = f"{self._blocks_trained} blocks trained, {self._blocks_reused} reused"
        self.say(f"[{done}/{total if total is not None else '?'}] {name}: {result} ({blocks}{left})")

    # What the engine tells (runners.engine.Listener).

    def block_started(self, block: Block, position: int, total: int) -> None:
        """A block begins to train."""
        text = f"  block {position}/{total} {block.stage}[{block.index}] of {block.model}"
        if block.new_labels:
            text += f", {len(block.new_labels)} new labels"
        self._bars.update(self._block, description=text, completed=0, total=None, visible=True)
        if not self.live:
            self.say(text)

    def block_step(self, block: Block, step: int, steps: int) -> None:
        """A step of it is done."""
        self._bars.update(self._block, completed=step, total=steps)

    def block_done(self, block: Block, gpu_seconds: float, reused: bool) -> None:
        """It is in the store."""
        self._blocks_reused += reused
        self._blocks_trained += not reused
        self._bars.update(self._block, visible=False)

    def scoring(self, suite: str, done: int, total: int) -> None:
        """Samples of a suite are drawn."""
        self._bars.update(
            self._block, description=f"  scoring {suite}", completed=done, total=total, visible=done < total
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    import json

    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
