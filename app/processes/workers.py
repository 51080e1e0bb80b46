"""Worker processes: one thread or one device each, one pipe each to the process that started them.

A worker dies with its parent, is started again when it is killed, and stops after its current block when the parent
is asked to stop. Work is never handed over in memory: blocks, scores and trials lie in the results folder, where locks
keep two workers from training one block. There is no queue that all share, because a process that is killed while it
holds the lock of such a queue would hang the others.

Without a GPU workers are forked from a server that has imported the libraries, once for all of them; with one, where a
fork is not allowed, each is a new interpreter.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any

from tuition.app.processes.channel import Channel
from tuition.app.processes.interrupts import Interrupts, Stopped
from tuition.app.processes.progress import Reporter
from tuition.runners import fork_server
from tuition.runners.events import Event

MAX_RESTARTS = 3


class WorkerError(RuntimeError):
    """A worker failed; one line with its error."""


class _AsksForTask:
    """A worker's question for its next task; the answer is a number, or None."""


@dataclass(frozen=True)
class _Ended:
    """A worker's last message, with its error if it failed."""

    error: str | None = None


class Remote(Channel):
    """A worker's channel: its events are shown by the parent."""

    def __init__(self, pipe: Connection):
        super().__init__()
        self._pipe = pipe

    def pass_on(self, event: Event) -> None:
        """Send an event to the parent."""
        self._pipe.send(event)

    def tasks(self) -> Iterator[int]:
        """Numbers of the tasks that the parent hands to this worker, until there are no more."""
        while True:
            self.check()
            self._pipe.send(_AsksForTask())
            task = self._pipe.recv()
            if task is None:
                return
            yield int(task)


def _enter(
    target: Callable[..., None], arguments: Sequence[Any], pipe: Connection, environment: dict[str, str]
) -> None:
    fork_server.enter(environment)
    # A separate group: the terminal's Ctrl-C reaches the parent alone, which passes it on, once.
    os.setpgid(0, 0)
    from tuition.app.processes.libraries import silence_libraries

    silence_libraries()
    remote = Remote(pipe)
    try:
        with Interrupts(lambda text: None) as interrupts:
            remote.check = interrupts.check
            target(*arguments, remote)
            pipe.send(_Ended())
    except KeyboardInterrupt:
        pipe.send(_Ended())
    except Exception as error:
        pipe.send(_Ended(f"{type(error).__name__}: {error}"))
        sys.exit(1)


class _Worker:
    """A worker process with its pipe, and how often it has been started."""

    def __init__(self, context: BaseContext, target: Callable[..., None], arguments: Sequence[Any], index: int):
        self._context, self._target, self._arguments, self.index = context, target, arguments, index
        self.starts = 0
        self.ended = False
        self.start()

    def start(self) -> None:
        self.pipe, theirs = self._context.Pipe()
        arguments = (self._target, self._arguments, theirs, dict(os.environ))
        self.process = self._context.Process(target=_enter, args=arguments)  # type: ignore[attr-defined]
        fork_server.start(self.process)
        theirs.close()
        self.starts += 1

    def kill(self, number: int) -> None:
        # Not by is_alive: of a process whose server is gone, multiprocessing says that it is gone too.
        if not self.ended and self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


def _context() -> BaseContext:
    """How workers are started here."""
    import torch

    if torch.cuda.is_available():
        return multiprocessing.get_context("spawn")
    return fork_server.forked()


def run_workers(
    num_workers: int, target: Callable[..., None], arguments: Sequence[Any], reporter: Reporter, num_tasks: int = 0
) -> None:
    """Run `target(*arguments, remote)` in `num_workers` processes until all have ended.

    Raises Stopped when a stop was asked for, WorkerError when a worker failed or was killed again and again. Tasks
    0 .. num_tasks - 1 are handed out to workers that ask for one (`Remote.tasks`); a task of a killed worker is not
    handed out again, because the caller goes over all of them afterwards.
    """
    tasks = iter(range(num_tasks))
    context = _context()
    workers = [_Worker(context, target, arguments, index) for index in range(num_workers)]
    failures: list[str] = []

    def pass_on(number: int) -> None:
        for worker in workers:
            worker.kill(number)

    with Interrupts(reporter.say, pass_on) as interrupts:
        try:
            while open_workers := [worker for worker in workers if not worker.ended]:
                ready = wait([worker.pipe for worker in open_workers], timeout=1.0)
                for worker in open_workers:
                    if worker.pipe in ready:
                        _hear(worker, tasks, reporter, failures, interrupts.requested)
        except BaseException:
            for worker in workers:
                worker.process.kill()
            raise
        for worker in workers:
            worker.process.join()
    if interrupts.requested:
        raise Stopped
    if failures:
        raise WorkerError(failures[0])


def _hear(worker: _Worker, tasks: Iterator[int], reporter: Reporter, failures: list[str], stopping: bool) -> None:
    """Take one message of a worker, or notice its end."""
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        died = f"worker {worker.index} died (exit code {worker.process.exitcode})"
        if not stopping and worker.starts <= MAX_RESTARTS:
            reporter.say(f"{died}; its trial is taken up again by the worker that takes its place")
            worker.start()
        else:
            worker.ended = True
            if not stopping:
                failures.append(f"{died} {worker.starts} times: see the logs of its last runs")
        return
    if isinstance(message, _AsksForTask):
        worker.pipe.send(next(tasks, None))
    elif isinstance(message, _Ended):
        worker.ended = True
        if message.error is not None:
            failures.append(message.error)
    else:
        reporter.show(message, worker.index)
