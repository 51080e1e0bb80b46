"""Progress of a command on standard error: bars on a terminal, plain lines elsewhere, nothing with --quiet.

Shows events (blocks, steps, scoring, runs) as text: what is reused, what labels were spent and when it will be done; or
counts the samples and answers of one long piece of work. The time that is left is predicted from what was done so far.
"""

import time
from types import TracebackType

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

from tuition.app.processes.channel import Channel
from tuition.runners.events import BlockDone, BlockStarted, Event, PhaseBegan, RunDone, Said, Scoring, StepDone

SECONDS_BETWEEN_LINES = 10.0
# What the bars' remaining time is predicted from; a run of a search may take minutes.
SECONDS_REMEMBERED = 600.0


class Reporter(Channel):
    """Shows what one command and its workers report. Use as a context manager."""

    def __init__(self, quiet: bool = False):
        super().__init__()
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.live = self.console.is_terminal and not quiet
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left at this pace"),
            console=self.console,
            transient=True,
            speed_estimate_period=SECONDS_REMEMBERED,
            disable=not self.live,
        )
        self._study = self.bars.add_task("runs", total=None, visible=False)
        self._started = time.monotonic()
        self._views: dict[int | None, BlockView] = {}
        self.trained_keys: list[str] = []
        """Keys of the blocks that were trained under this reporter, by any worker."""
        self._blocks_reused = 0

    def __enter__(self) -> "Reporter":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def pass_on(self, event: Event) -> None:
        """Show an event of this process."""
        self.show(event)

    def show(self, event: Event, worker: int | None = None) -> None:
        """Show an event of this process, or of one of its workers."""
        match event:
            case Said():
                self.print(event.text)
            case PhaseBegan():
                self._begin(event)
            case RunDone():
                self._run_done(event)
            case BlockStarted() | StepDone() | BlockDone() | Scoring():
                if isinstance(event, BlockDone) and event.reused:
                    self._blocks_reused += 1
                elif isinstance(event, BlockDone):
                    self.trained_keys.append(event.key)
                self._view(worker).show(event)

    def print(self, text: str) -> None:
        """One line that is not an event."""
        self.console.print(text, markup=False, soft_wrap=not self.live)

    def _begin(self, phase: PhaseBegan) -> None:
        self._started = time.monotonic()
        self.bars.update(self._study, description=phase.title, completed=phase.done, total=phase.total, visible=True)
        self.print(f"{phase.title}: {phase.done} of {_number(phase.total)} runs done so far")

    def _run_done(self, run: RunDone) -> None:
        """Say its result, what was reused so far, and the time that is left."""
        left = ""
        if run.total is not None and run.done > run.done_before:
            each = (time.monotonic() - self._started) / (run.done - run.done_before)
            if run.total > run.done:
                left = f", about {duration(each * (run.total - run.done))} left at this pace"
        self.bars.update(self._study, completed=run.done)
        blocks = f"{len(self.trained_keys)} blocks trained, {self._blocks_reused} reused"
        self.print(f"[{run.done}/{_number(run.total)}] {run.name}: {run.result} ({blocks}{left})")

    def count(self, name: str, noun: str, total: int | None, before: int = 0) -> "CountView":
        """What shows one long piece of work: `total` samples or answers (None: unknown), `before` of them done."""
        return CountView(self, name, noun, total, before)

    def _view(self, worker: int | None) -> "BlockView":
        """What shows the blocks of this process, or of one worker."""
        if worker not in self._views:
            self._views[worker] = BlockView(self, "" if worker is None else f"worker {worker}: ")
        return self._views[worker]


class BlockView:
    """Shows what one runner does, on its own bar."""

    def __init__(self, reporter: Reporter, prefix: str):
        self._reporter = reporter
        self._prefix = prefix
        self._bar = reporter.bars.add_task("", total=None, visible=False)

    def show(self, event: BlockStarted | StepDone | BlockDone | Scoring) -> None:
        """Show an event of the runner."""
        update = self._reporter.bars.update
        match event:
            case BlockStarted():
                text = (
                    f"  {self._prefix}block {event.position}/{event.total} {event.stage}[{event.index}] of "
                    f"{event.model}"
                )
                if event.labels_new:
                    text += f", {event.labels_new} new labels"
                update(self._bar, description=text, completed=0, total=None, visible=True)
                if not self._reporter.live:
                    self._reporter.print(text)
            case StepDone():
                update(self._bar, completed=event.step, total=event.steps)
            case BlockDone():
                update(self._bar, visible=False)
            case Scoring():
                text = f"  {self._prefix}scoring {event.suite}"
                unfinished = event.done < event.total
                update(self._bar, description=text, completed=event.done, total=event.total, visible=unfinished)


class CountView:
    """Counts one long piece of work on its own bar; without a terminal in a line every ten seconds."""

    def __init__(self, reporter: Reporter, name: str, noun: str, total: int | None, before: int):
        self._reporter = reporter
        self._name, self._noun = name, noun
        self._total, self._before = total, before
        self._started = self._said = time.monotonic()
        self._bar = reporter.bars.add_task(name, total=total, completed=before)

    def update(self, done: int) -> None:
        """`done` are finished, including those from before."""
        self._reporter.bars.update(self._bar, completed=done)
        now = time.monotonic()
        if self._reporter.live or now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        rate = (done - self._before) / (now - self._started)
        of_total = left = ""
        if self._total is not None:
            of_total = f"/{self._total}"
            left = f", about {duration((self._total - done) / rate)} left at this pace" if rate > 0 else ""
        self._reporter.print(f"{self._name}: {done}{of_total} {self._noun} ({rate:,.1f} per second){left}")


def _number(total: int | None) -> str:
    return "?" if total is None else str(total)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
