"""Ctrl-C and SIGTERM: once finishes the current block and stops, twice stops now.

Either way nothing that is in the store is lost, and the same command resumes.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The search was asked to stop and is at a point where nothing is lost."""


class Interrupts:
    """While active, the first signal is remembered and the second raises KeyboardInterrupt at once.

    `on_first` is called with a line for the user (from the signal handler, so it must only print).
    """

    def __init__(self, on_first: Callable[[str], None], passed_on: Callable[[int], None] | None = None):
        self.requested = False
        self._on_first = on_first
        self._passed_on = passed_on
        self._previous: dict[int, Any] = {}
        self._main = os.getpid()

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._main:
            raise KeyboardInterrupt  # a forked child of a library: not ours to keep alive
        if self._passed_on is not None:
            self._passed_on(number)
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._on_first("finishing the current block; press Ctrl-C again to stop now")

    def check(self) -> None:
        """Raise Stopped if a stop was requested. Called between blocks."""
        if self.requested:
            raise Stopped
