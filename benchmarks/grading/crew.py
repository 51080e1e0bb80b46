"""The worker processes behind a grader, and what they make of an answer.

What: a crew has some threads, each with a queue and one worker process. Equal golds go to the same queue, so that one
worker parses each; a thread without work takes some from the longest queue. A thread sends its worker a few answers at
a time, so that neither side waits for the other at every answer, and kills it when one takes longer than the limit;
what was behind that one in the pipe goes to a new worker. `tuition.benchmarks.grading.grader` is the face of all this.

Simplified: an answer that kills its worker (memory, crash) counts as a timeout. Needs POSIX.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

START_SECONDS = 120.0
MAX_BATCH = 16
MAX_BATCH_CHARACTERS = 200_000


class Verdict(StrEnum):
    """What became of one completion."""

    correct = "correct"
    """Its answer equals the gold answer."""
    wrong = "wrong"
    """An answer was found, and it differs."""
    no_answer = "no_answer"
    """No answer was found in it."""
    timeout = "timeout"
    """Reading or comparing its answer took too long, or killed the worker."""


@dataclass(frozen=True)
class Grade:
    """The verdict on one completion, the answer as text (None if there is none), and the seconds it took.

    A grade that is given again has the seconds of the first time.
    """

    verdict: Verdict
    extracted: str | None
    seconds: float

    @property
    def correct(self) -> bool:
        """Whether the verdict is `correct`."""
        return self.verdict is Verdict.correct


class GraderClosed(RuntimeError):
    """The grader was closed by another thread before it could grade this answer."""


class WorkerDied(RuntimeError):
    """The grading worker ended, or gave no answer in time."""


@dataclass(frozen=True)
class Task:
    """One answer to grade, the key under which its grade is remembered, and the future that waits for it."""

    key: bytes
    gold: str
    completion: str
    grade: Future[Grade] = field(default_factory=Future)


class Worker:
    """One worker process and its two pipes. Not thread-safe, but for `process.kill`."""

    def __init__(self) -> None:
        # A plain script, not multiprocessing: that would import the caller's main module again, and daemonic
        # processes may not have multiprocessing children. -P keeps this folder's `statistics.py` off the script's path.
        script = Path(__file__).with_name("worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # The order of sympy's sets follows the hashes of strings, and it must not differ between two workers.
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
        assert self.process.stdin is not None
        os.set_blocking(self.process.stdin.fileno(), False)
        self.unsent = b""
        self.received = b""
        try:
            self.read_line(START_SECONDS)
        except BaseException as error:
            self.kill()
            if not isinstance(error, WorkerDied):
                raise
            raise RuntimeError(
                f"the grading worker did not start ({error}); run `{sys.executable} -P {script}` to see why"
            ) from error

    def send(self, policy: str, gold: str, completion: str, timeout_seconds: float) -> None:
        """Put a request in line; it leaves while answers are read."""
        self.unsent += json.dumps([policy, gold, completion, timeout_seconds]).encode() + b"\n"

    def answer(self, timeout_seconds: float) -> tuple[bool, str | None]:
        """The policy's verdict on the next request and the answer it read. WorkerDied on a timeout or a crash."""
        correct, extracted = json.loads(self.read_line(timeout_seconds))
        return correct, extracted

    def read_line(self, timeout_seconds: float) -> bytes:
        """The worker's next line. WorkerDied when none comes in time."""
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None and answers is not None
        deadline = time.monotonic() + timeout_seconds
        while b"\n" not in self.received:
            left = deadline - time.monotonic()
            # Both ways at once: two sides that only write would wait for each other forever.
            readable, writable, _ = select.select([answers], [requests] if self.unsent else [], [], max(0.0, left))
            if left <= 0 or not (readable or writable):
                raise WorkerDied(f"no answer within {timeout_seconds:g} s")
            if readable:
                part = answers.read(65536)
                if not part:
                    raise WorkerDied("its output ended")
                self.received += part
            if writable:
                try:
                    self.unsent = self.unsent[requests.write(self.unsent) or 0 :]
                except OSError as error:
                    raise WorkerDied("its input is closed") from error
        line, _, self.received = self.received.partition(b"\n")
        return line

    def kill(self) -> None:
        """End the process and close the pipes."""
        self.process.kill()
        self.process.wait()
        self.forget()

    def forget(self) -> None:
        """Close this process's ends of the pipes and leave the worker to its owner."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.returncode is None:
            # Only reached in a forked child: the worker is not its to wait for.
            self.process.returncode = 0


class Crew:
    """Up to `workers` processes and as many threads, which start when there is work. Ends for good with `close`.

    `policy` is the name of the one that grades. `recall` gives the grade of a key that was graded before, or None;
    `remember` is called with each new grade.
    """

    def __init__(
        self,
        policy: str,
        workers: int,
        timeout_seconds: float,
        recall: Callable[[bytes], Grade | None],
        remember: Callable[[bytes, Grade], None],
    ) -> None:
        self.policy = policy
        self.workers = workers
        self.timeout_seconds = timeout_seconds
        self._recall = recall
        self._remember = remember
        self._lock = threading.Lock()
        self._queues: list[deque[Task]] = [deque() for _ in range(workers)]
        self._idle: dict[int, Worker] = {}
        self._busy: set[Worker] = set()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="grading")
        self._at_work: set[int] = set()
        """Numbers of the threads that are awake; each is also the number of its queue and of its worker."""
        self._closed = False

    def submit(self, task: Task) -> None:
        """Grade it when a worker is free."""
        with self._lock:
            if self._closed:
                raise GraderClosed("the grader was closed; grade this answer again")
            home = zlib.crc32(task.gold.encode("utf-8", "surrogatepass")) % self.workers
            self._queues[home].append(task)
            asleep = [number for number in range(self.workers) if number not in self._at_work]
            if asleep:
                number = home if home in asleep else asleep[0]
                self._at_work.add(number)
                self._threads.submit(self._work, number)

    def _work(self, number: int) -> None:
        while True:
            with self._lock:
                tasks = self._take_batch(number)
                if not tasks:
                    self._at_work.discard(number)
                    return
            open_tasks = deque(task for task in tasks if task.grade.set_running_or_notify_cancel())
            try:
                self._grade_batch(number, open_tasks)
            except BaseException as error:
                # A worker that does not start is reported to everyone who waits for it; the thread continues.
                for task in open_tasks:
                    task.grade.set_exception(error)

    def _take_batch(self, number: int) -> list[Task]:
        queue = self._queues[number] or max(self._queues, key=len)
        # A fair share, so that a few slow answers are spread over the workers.
        size = min(MAX_BATCH, 1 + len(queue) // (2 * self.workers))
        tasks: list[Task] = []
        characters = 0
        while queue and len(tasks) < size and characters < MAX_BATCH_CHARACTERS:
            tasks.append(queue.popleft())
            characters += len(tasks[-1].completion)
        return tasks

    def _grade_batch(self, number: int, tasks: deque[Task]) -> None:
        """Grade the tasks and take them off the list; after a timeout what is left goes to a new worker."""
        while tasks:
            # Equal answers may have come in while the first one was graded.
            grade = self._recall(tasks[0].key)
            if grade is not None:
                tasks.popleft().grade.set_result(grade)
                continue
            worker = self._take_worker(number)
            alive = False
            try:
                for task in tasks:
                    worker.send(self.policy, task.gold, task.completion, self.timeout_seconds)
                while tasks:
                    grade = self._next_grade(worker)
                    self._remember(tasks[0].key, grade)
                    tasks.popleft().grade.set_result(grade)
                    if grade.verdict is Verdict.timeout:
                        break
                else:
                    alive = True
            finally:
                self._give_back(number, worker, alive)

    def _next_grade(self, worker: Worker) -> Grade:
        started = time.perf_counter()
        try:
            correct, extracted = worker.answer(self.timeout_seconds)
        except WorkerDied as error:
            if self._closed:
                raise GraderClosed("the grader was closed while it graded; grade this answer again") from error
            return Grade(Verdict.timeout, None, time.perf_counter() - started)
        found = Verdict.correct if correct else Verdict.wrong
        verdict = Verdict.no_answer if extracted is None else found
        return Grade(verdict, extracted, time.perf_counter() - started)

    def _take_worker(self, number: int) -> Worker:
        with self._lock:
            worker = self._idle.pop(number, None)
            if worker is not None and worker.process.poll() is None:
                self._busy.add(worker)
                return worker
        if worker is not None:
            # The kernel may have ended an idle worker; the next answer is not to blame for it.
            worker.kill()
        worker = Worker()
        with self._lock:
            self._busy.add(worker)
            if self._closed:
                worker.process.kill()
        return worker

    def _give_back(self, number: int, worker: Worker, alive: bool) -> None:
        with self._lock:
            self._busy.discard(worker)
            usable = alive and not self._closed
            if usable:
                self._idle[number] = worker
        if not usable:
            worker.kill()

    def close(self) -> None:
        """End the workers; whoever waits for a grade gets GraderClosed."""
        with self._lock:
            self._closed = True
            idle, self._idle = list(self._idle.values()), {}
            tasks = [task for queue in self._queues for task in queue]
            for queue in self._queues:
                queue.clear()
            for worker in self._busy:
                worker.process.kill()
        for task in tasks:
            if task.grade.set_running_or_notify_cancel():
                task.grade.set_exception(GraderClosed("the grader was closed; grade this answer again"))
        for worker in idle:
            worker.kill()
        self._threads.shutdown(wait=True)

    def forget(self) -> None:
        """Leave the workers to their owner: this is a forked child."""
        for worker in [*self._idle.values(), *self._busy]:
            worker.forget()
