"""Processes that are forked from a server which has imported what trains, once for all of them. For a CPU.

They start at once and die with the process that asked for them. With CUDA no process may be forked after it was looked
for, and the imports look for it.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from types import ModuleType

PRELOADED = ["tuition.runners.training.execution", "tuition.runners.training.stages.preloaded"]
"""What the server has imported; the last keeps all of it from the garbage collector."""


def forked() -> ForkServerContext:
    """How processes are forked from the server, which is started where there is none."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # The terminal's Ctrl-C reaches the server too, which must not die of it while it imports.
    with _ignored(signal.SIGINT):
        forkserver.ensure_running()
    return context


@contextmanager
def _ignored(number: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


def start(process: BaseProcess) -> None:
    """Start a process of multiprocessing, without this one's main module."""
    with without_main():
        process.start()


@contextmanager
def without_main() -> Iterator[None]:
    """While processes are started: without this one's main module.

    It would be imported again there; a user's script that does not check its `__name__` would train once more.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def enter(environment: dict[str, str]) -> None:
    """In a process that was started so, first: take its parent's environment, and die with the parent."""
    # One that is forked has the server's, of earlier.
    os.environ.clear()
    os.environ.update(environment)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def die_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=die_with_parent, daemon=True).start()
