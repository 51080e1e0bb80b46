"""Progress of a search on standard error: bars on a terminal, plain lines elsewhere, nothing with --quiet.

Hears the engine (blocks, steps, scoring) and the study (trials), and says what is reused, what labels were spent and
when it will be done. The time that is left is predicted from what the trials so far have cost.
"""

import sys
import time
from collections.abc import Callable
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
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self._study = self.bars.add_task("runs", total=None)
        self._started = time.monotonic()
        self._views: dict[int, BlockView] = {}
        self.blocks = BlockView(self)
        """Shows the blocks of the engine in this process."""
        self.trained_keys: list[str] = []
        """Keys of the blocks that were trained under this reporter, by any worker."""
        self.blocks_reused = 0
        self.check: Callable[[], None] = lambda: None
        """Called where a stop loses nothing; raises when one was asked for."""

    def __enter__(self) -> "Reporter":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False, soft_wrap=not self.live)

    def begin(self, title: str, done: int, total: int | None) -> None:
        """A phase of `total` runs begins, `done` of which are done already."""
        self._started = time.monotonic()
        self.bars.update(self._study, description=title, completed=done, total=total)
        self.say(f"{title}: {done} of {total if total is not None else '?'} runs done")

    def run_done(self, name: str, result: str, done: int, total: int | None, done_before: int) -> None:
        """A run is done: say its result, what was reused so far, and the time that is left."""
        left = ""
        if total is not None and done > done_before:
            seconds = (time.monotonic() - self._started) / (done - done_before) * max(0, total - done)
            left = f", about {duration(seconds)} left" if total > done else ""
        self.bars.update(self._study, completed=done)
        blocks = f"{len(self.trained_keys)} blocks trained, {self.blocks_reused} reused"
        self.say(f"[{done}/{total if total is not None else '?'}] {name}: {result} ({blocks}{left})")

    def view(self, worker: int) -> "BlockView":
        """What shows the blocks of one worker."""
        if worker not in self._views:
            self._views[worker] = BlockView(self, f"worker {worker}: ")
        return self._views[worker]


class BlockView:
    """Shows what one engine does (a `runners.engine.Listener`), on a bar of its own."""

    def __init__(self, reporter: Reporter, prefix: str = ""):
        self._reporter = reporter
        self._prefix = prefix
        self._bar = reporter.bars.add_task("", total=None, visible=False)

    def block_started(self, block: Block, position: int, total: int) -> None:
        """A block begins to train: the place where a stop loses nothing."""
        self._reporter.check()
        text = f"  {self._prefix}block {position}/{total} {block.stage}[{block.index}] of {block.model}"
        if block.new_labels:
            text += f", {len(block.new_labels)} new labels"
        self._reporter.bars.update(self._bar, description=text, completed=0, total=None, visible=True)
        if not self._reporter.live:
            self._reporter.say(text)

    def block_step(self, block: Block, step: int, steps: int) -> None:
        """A step of it is done."""
        self._reporter.bars.update(self._bar, completed=step, total=steps)

    def block_done(self, block: Block, gpu_seconds: float, reused: bool) -> None:
        """It is in the store."""
        if reused:
            self._reporter.blocks_reused += 1
        else:
            self._reporter.trained_keys.append(block.key)
        self._reporter.bars.update(self._bar, visible=False)

    def scoring(self, suite: str, done: int, total: int) -> None:
        """Samples of a suite are drawn."""
        text = f"  {self._prefix}scoring {suite}"
        self._reporter.bars.update(self._bar, description=text, completed=done, total=total, visible=done < total)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    import json

    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
