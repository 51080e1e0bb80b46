"""What a process tells while it works: kept in its log's events, then shown or sent on.

The command's own process shows it (`tuition.app.processes.progress.Reporter`), a worker sends it there
(`tuition.app.processes.workers.Remote`).
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tuition.app.processes.liveness import alive, process_name
from tuition.benchmarks.results_folder import events_beside, writers_beside
from tuition.runners.events import BlockStarted, Event, EventLog, Said


class Channel(ABC):
    """Hears all events of one process; `hear` is a listener."""

    def __init__(self) -> None:
        self.check: Callable[[], None] = lambda: None
        """Called where a stop loses nothing; raises when one was asked for."""
        self.log: EventLog | None = None
        """Where events are kept now; set by `logged`."""

    def hear(self, event: Event) -> None:
        """Keep an event and pass it on."""
        if isinstance(event, BlockStarted):
            self.check()
        if self.log is not None:
            self.log.write(event)
        self.pass_on(event)

    @abstractmethod
    def pass_on(self, event: Event) -> None:
        """Show an event, or send it to who does."""

    def say(self, text: str) -> None:
        """One line for people."""
        self.hear(Said(text=text))


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Of a full disk: a log is no result, and a traceback for each line would hide what matters."""


@contextmanager
def logged(path: Path, channel: Channel) -> Iterator[None]:
    """Meanwhile all that is logged goes to a file, appended, and all that the channel hears to the events beside it.

    The folder is made if it is not there. Several processes may log into one file; each holds a lock, so that others
    can see who writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level, before = root.level, channel.log
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    with ExitStack() as stack:
        try:
            writer = stack.enter_context(alive(writers_beside(path)))
        except OSError:  # of a full disk: progress is no result
            writer = process_name()
        channel.log = EventLog(events_beside(path), writer)
        try:
            yield
        finally:
            channel.log.close()
            channel.log = before
            root.setLevel(level)
            root.removeHandler(handler)
            with suppress(OSError):  # what a full disk did not take
                handler.close()
