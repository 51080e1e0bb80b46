"""Progress of a command on standard error: bars on a terminal, plain lines elsewhere, nothing with --quiet.

Hears the engine (blocks, steps, scoring) and the study (trials), and says what is reused, what labels were spent and
when it will be done; or counts the samples and answers of one long piece of work. The time that is left is predicted
from what was done so far.
"""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from planner.route import Block

SECONDS_BETWEEN_LINES = 10.0
# What the bars' remaining time is predicted from; a run of a search may take minutes.
SECONDS_REMEMBERED = 600.0


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
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            speed_estimate_period=SECONDS_REMEMBERED,
            disable=not self.live,
        )
        self._study = self.bars.add_task("runs", total=None, visible=False)
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
        self.bars.update(self._study, description=title, completed=done, total=total, visible=True)
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

    def count(self, name: str, noun: str, total: int | None, before: int = 0) -> "CountView":
        """What shows one long piece of work: `total` samples or answers (None: unknown), `before` of them done."""
        return CountView(self, name, noun, total, before)

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


class CountView:
    """Counts one long piece of work on a bar of its own; without a terminal in a line every ten seconds."""

    def __init__(self, reporter: Reporter, name: str, noun: str, total: int | None, before: int):
        self._reporter = reporter
        self._name, self._noun = name, noun
        self._total, self._before = total, before
        self._started = self._said = time.monotonic()
        self._bar = reporter.bars.add_task(name, total=total, completed=before)

    def update(self, done: int) -> None:
        """So many are done, with those of before."""
        self._reporter.bars.update(self._bar, completed=done)
        now = time.monotonic()
        if self._reporter.live or now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        rate = (done - self._before) / (now - self._started)
        of_total = left = ""
        if self._total is not None:
            of_total = f"/{self._total}"
            left = f", about {duration((self._total - done) / rate)} left" if rate > 0 else ""
        self._reporter.say(f"{self._name}: {done}{of_total} {self._noun} ({rate:,.1f} a second){left}")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    import json

    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
