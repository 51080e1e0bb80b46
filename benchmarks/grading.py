"""Grading: is a completion's final answer the gold answer? The reward of GRPO and the grader of every suite.

What: math-verify decides, with its default extraction (the last `\\boxed{}` first, boxes close together read as one
list; without a box, the last expression), in one worker process, which is killed when an answer takes longer than the
limit (`\\boxed{9^{9^{9^{9}}}}` would hold it for ever). Plain integers in one box, and completions without anything to
extract, are decided here, in microseconds, where that provably gives math-verify's verdict.

Simplified: of a completion longer than MAX_CHARACTERS only the tail is graded; an answer that kills the worker (memory,
crash) counts as a timeout. Timeout and wrong earn the same: nothing. Needs POSIX.
"""

import atexit
import importlib.metadata
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

GRADER_REVISION = 1
GRADER_VERSION = f"tuition-{GRADER_REVISION}+math-verify-{importlib.metadata.version('math-verify')}"

MAX_CHARACTERS = 100_000
START_SECONDS = 120.0
CACHED_GRADES = 4096

_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
# One box with a plain integer and no brace after it: `\boxed{.+}` then matches exactly the box.
_BOXED_INTEGER = re.compile(r"\\boxed\{(0|-?[1-9][0-9]{0,14})\}[^}]*\Z")
# math-verify may prefer an answer outside the box only in a LaTeX environment ($, \[, \(, [) or after these words.
_OTHER_ANSWER = re.compile(r"[$\[]|(?i:final answer)")
# Without one of these none of math-verify's patterns can match (\d is any Unicode digit, as in its patterns).
_ANYTHING = re.compile(r"[\\$\[\d]")


class Verdict(StrEnum):
    """What became of one completion."""

    correct = "correct"
    """Its answer equals the gold answer."""
    wrong = "wrong"
    """An answer was found, and it is another one."""
    no_answer = "no_answer"
    """No answer was found in it."""
    timeout = "timeout"
    """Reading or comparing its answer took too long, or killed the worker."""


@dataclass(frozen=True)
class Grade:
    """The verdict on one completion, the answer as text (None if there is none), and the seconds it took."""

    verdict: Verdict
    extracted: str | None
    seconds: float

    @property
    def correct(self) -> bool:
        """Whether the verdict is `correct`."""
        return self.verdict is Verdict.correct


class WorkerDied(RuntimeError):
    """The grading worker ended, or gave no answer in time."""


class _Worker:
    """One worker process and its two pipes. Not thread-safe."""

    def __init__(self) -> None:
        # A plain script, not multiprocessing: that would import the caller's main module again, and daemonic
        # processes may not have multiprocessing children. -P keeps this folder's `statistics.py` off the script's path.
        script = Path(__file__).with_name("grading_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.received = b""
        try:
            self.read_line(START_SECONDS)
        except WorkerDied as error:
            self.kill()
            raise RuntimeError(
                f"the grading worker did not start ({error}); try `{sys.executable} -P {script}` by hand"
            ) from error

    def ask(self, gold: str, completion: str, timeout_seconds: float) -> tuple[bool, str | None]:
        """math-verify's verdict and the answer it read. WorkerDied on a timeout or a crash."""
        request = json.dumps([gold, completion, timeout_seconds]).encode() + b"\n"
        assert self.process.stdin is not None
        try:
            while request:
                request = request[self.process.stdin.write(request) :]
        except OSError as error:
            raise WorkerDied("its input is closed") from error
        correct, extracted = json.loads(self.read_line(timeout_seconds))
        return correct, extracted

    def read_line(self, timeout_seconds: float) -> bytes:
        """The worker's next line. WorkerDied when none comes in time."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_seconds
        while b"\n" not in self.received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise WorkerDied(f"no answer within {timeout_seconds:g} s")
            part = self.process.stdout.read(65536)
            if not part:
                raise WorkerDied("its output ended")
            self.received += part
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


class Grader:
    """Grades completions: `Grader().grade("70", "12+58=70 \\\\boxed{70}").verdict is Verdict.correct`.

    The worker starts when the first answer needs it, is started anew after a timeout, and ends with `close`, with the
    `with` block, or with this process. Usable from any thread (one answer at a time); a forked process gets a worker
    of its own. `timeout_seconds` is wall-clock time per answer, the start of the worker not counted.
    """

    def __init__(self, timeout_seconds: float = 5.0) -> None:
        if timeout_seconds <= 0:
            raise ValueError(f"timeout_seconds is {timeout_seconds}; give a number above 0, such as 5.0")
        self.timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._grade_by_worker = lru_cache(maxsize=CACHED_GRADES)(self._ask_worker)
        _graders.add(self)

    def grade(self, gold: str, completion: str) -> Grade:
        """Grade one completion against one gold answer (LaTeX or plain, without dollar signs or a box around it)."""
        started = time.perf_counter()
        if not gold.strip():
            raise ValueError(f"the gold answer is {gold!r}; a problem needs a checked answer")
        completion = completion[-MAX_CHARACTERS:]
        if not _ANYTHING.search(completion):
            return Grade(Verdict.no_answer, None, time.perf_counter() - started)
        extracted = _plain_integer_in_box(completion)
        if extracted is not None and _PLAIN_INTEGER.fullmatch(gold):
            verdict = Verdict.correct if int(extracted) == int(gold) else Verdict.wrong
            return Grade(verdict, extracted, time.perf_counter() - started)
        return self._grade_by_worker(gold, completion)

    def grade_many(self, golds: Sequence[str], completions: Sequence[str]) -> list[Grade]:
        """Grade completions against their golds, in order. ValueError when the two differ in length."""
        if len(golds) != len(completions):
            raise ValueError(f"{len(golds)} gold answers for {len(completions)} completions; give one for each")
        return [self.grade(gold, completion) for gold, completion in zip(golds, completions, strict=True)]

    def close(self) -> None:
        """End the worker. The grader can be used again: it starts another."""
        with self._lock:
            if self._worker is not None:
                self._worker.kill()
                self._worker = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask_worker(self, gold: str, completion: str) -> Grade:
        with self._lock:
            # The kernel may have ended an idle worker; the next answer is not to blame for it.
            if self._worker is not None and self._worker.process.poll() is not None:
                self._worker.kill()
                self._worker = None
            if self._worker is None:
                self._worker = _Worker()
            started = time.perf_counter()
            answered = False
            try:
                correct, extracted = self._worker.ask(gold, completion, self.timeout_seconds)
                answered = True
            except WorkerDied:
                return Grade(Verdict.timeout, None, time.perf_counter() - started)
            finally:
                # Also on an interrupt at the keyboard: the next request must not read this one's answer.
                if not answered:
                    self._worker.kill()
                    self._worker = None
        found = Verdict.correct if correct else Verdict.wrong
        verdict = Verdict.no_answer if extracted is None else found
        return Grade(verdict, extracted, time.perf_counter() - started)

    def _forget_worker(self) -> None:
        self._lock = threading.Lock()
        if self._worker is not None:
            self._worker.forget()
            self._worker = None


def _plain_integer_in_box(completion: str) -> str | None:
    if completion.count("\\") != 1 or _OTHER_ANSWER.search(completion):
        return None
    match = _BOXED_INTEGER.search(completion)
    return match[1] if match else None


_graders: "weakref.WeakSet[Grader]" = weakref.WeakSet()


def _forget_workers() -> None:
    for grader in _graders:
        grader._forget_worker()


def _close_all() -> None:
    for grader in _graders:
        grader.close()


atexit.register(_close_all)
# A forked child shares the parent's pipes, and perhaps a lock that another thread of the parent holds.
os.register_at_fork(after_in_child=_forget_workers)
