"""Grading: is a completion's final answer the gold answer? The reward of GRPO and the grader of every suite.

What: math-verify decides, with its default extraction (the last `\\boxed{}` first, boxes close together read as one
list; without a box, the last expression), in worker processes, each of which is killed when an answer takes longer
than the limit (`\\boxed{9^{9^{9^{9}}}}` would hold it forever). Plain integers in one box or alone, and completions
without anything to extract, are decided here, in microseconds, where that provably gives math-verify's verdict. What
was graded lately is not graded again. `docs/grading.md` has the proof, the agreement with other graders and the speed.

Simplified: of a completion longer than MAX_CHARACTERS only the tail is graded; an answer that kills the worker (memory,
crash) counts as a timeout. Timeout and wrong earn the same: nothing. The limit is wall-clock time: give no more workers
than there are cores. Needs POSIX.
"""

import atexit
import hashlib
import os
import re
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from tuition.benchmarks.grading.answers import MAY_STATE_WORDS
from tuition.benchmarks.grading.crew import Crew, Grade, GraderClosed, Task, Verdict
from tuition.benchmarks.grading.policies import CORRECTED, DEFAULT_POLICY, LAST_BOX, find_policy
from tuition.benchmarks.grading.worker import as_formula

__all__ = ["Grade", "Grader", "GraderClosed", "Verdict", "as_formula"]

MAX_CHARACTERS = 100_000
MAX_TIMEOUT_SECONDS = 86_400.0
CACHED_GRADES = 65_536
CACHED_EXTRACTED_CHARACTERS = 1_000

_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
# One box with a plain integer and no brace after it: `\boxed{.+}` then matches exactly the box.
_BOXED_INTEGER = re.compile(r"\\boxed\{(0|-?[1-9][0-9]{0,14})\}[^}]*\Z")
# An integer alone, or alone between dollars: the formula, or else the number, is the whole text.
_LONE_INTEGER = re.compile(r"(\$?)(0|-?[1-9][0-9]{0,14})\1")
# math-verify may prefer an answer outside the box only in a LaTeX environment ($, \[, \(, [) or after these words.
_OTHER_ANSWER = re.compile(r"[$\[]|(?i:final answer)")
# The corrected policy takes nothing in thinking, code or comments for an answer.
_NOT_SHOWN = re.compile(r"</?think>|```|~~~|%")
# Nor a box in an expression.
_BESIDE_BOX = re.compile(
    r"\d\\boxed|[^\sa-zA-Z\d:.,=]\s*\\boxed|\\boxed\{[^}]{0,20}\}(?:\s*[^\sa-zA-Z.,]|[.,]?\d|[a-z])"
    r"|[\^_]\s*\{[^}]{0,200}\\boxed|(?:\b(?:minus|plus|times|negative)\s+|[a-z])\\boxed"
    r"|\}\s*(?:squared|cubed|factorial|dozen|hundred|thousand|[a-z]+illion|plus|minus|times)\b",
    re.IGNORECASE,
)
# Without one of these none of math-verify's patterns can match (\d is any Unicode digit, as in its patterns).
_ANYTHING = re.compile(r"[\\$\[\d]")


class Grader:
    """Grades completions: `Grader().grade("70", "12+58=70 \\\\boxed{70}").verdict is Verdict.correct`.

    Up to `workers` processes start when an answer needs them, are restarted after a timeout, and end with `close`,
    with the `with` block, or with this process. Usable from any thread; a forked process gets its own workers.
    `timeout_seconds` is wall-clock time per answer, the start of a worker not counted. `policy` names the rules
    (`tuition.benchmarks.grading.policies`). ValueError for a limit or a number of workers out of range, or an unknown
    policy.
    """

    def __init__(self, timeout_seconds: float = 5.0, workers: int = 1, policy: str = DEFAULT_POLICY) -> None:
        if not 0 < timeout_seconds <= MAX_TIMEOUT_SECONDS:
            raise ValueError(
                f"timeout_seconds is {timeout_seconds}; give a number above 0 and up to {MAX_TIMEOUT_SECONDS:g}, "
                "such as 5.0"
            )
        if workers < 1:
            raise ValueError(f"workers is {workers}; give 1 or more, and no more than there are cores")
        self.policy = find_policy(policy)
        self.timeout_seconds = timeout_seconds
        self.workers = workers
        self._lock = threading.Lock()
        self._grades: dict[bytes, Grade] = {}
        self._crew: Crew | None = None
        _graders.add(self)

    def grade(self, gold: str, completion: str) -> Grade:
        """Grade one completion against one gold answer (LaTeX or plain; a bare one is read as a formula).

        ValueError for an empty gold answer; GraderClosed when another thread closes the grader meanwhile.
        """
        return self.submit(gold, completion).result()

    def submit(self, gold: str, completion: str) -> Future[Grade]:
        """The same without waiting: the grade comes when a worker is free. Of no use across a fork."""
        grade, key = self._decide(gold, completion)
        task = Task(key, gold, completion[-MAX_CHARACTERS:])
        if grade is not None:
            task.grade.set_result(grade)
            return task.grade
        with self._lock:
            if self._crew is None:
                self._crew = Crew(
                    self.policy.name, self.workers, self.timeout_seconds, self._grades.get, self._remember
                )
            crew = self._crew
        crew.submit(task)
        return task.grade

    def grade_many(self, golds: Sequence[str], completions: Sequence[str]) -> list[Grade]:
        """Grade completions against their golds, in order. ValueError when the two differ in length."""
        if len(golds) != len(completions):
            raise ValueError(f"{len(golds)} gold answers for {len(completions)} completions; give one for each")
        pairs = list(zip(golds, completions, strict=True))
        # Equal pairs are graded once, also while the first is still being graded.
        futures: dict[tuple[str, str], Future[Grade]] = {}
        try:
            for pair in pairs:
                if pair not in futures:
                    futures[pair] = self.submit(*pair)
            return [futures[pair].result() for pair in pairs]
        finally:
            # Only on an error or an interrupt is there anything left to cancel.
            for future in futures.values():
                future.cancel()

    def close(self) -> None:
        """End the workers. The grader can be used again: it starts others."""
        with self._lock:
            crew, self._crew = self._crew, None
        if crew is not None:
            crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decide(self, gold: str, completion: str) -> tuple[Grade | None, bytes]:
        """The grade where no worker is needed, else the key of the pair (empty where it is decided by its form)."""
        started = time.perf_counter()
        if not gold.strip():
            raise ValueError(f"the gold answer is {gold!r}; a problem needs a checked answer")
        completion = completion[-MAX_CHARACTERS:]
        may_state = self.policy.name == CORRECTED and MAY_STATE_WORDS.search(completion)
        if not (may_state or _ANYTHING.search(completion)):
            return Grade(Verdict.no_answer, None, time.perf_counter() - started), b""
        extracted = None if self._reads_otherwise(completion) else _plain_integer(completion)
        if extracted is not None and _PLAIN_INTEGER.fullmatch(gold):
            verdict = Verdict.correct if int(extracted) == int(gold) else Verdict.wrong
            return Grade(verdict, extracted, time.perf_counter() - started), b""
        # A digest, as completions are long. The length keeps ("ab", "c") and ("a", "bc") apart.
        text = f"{len(gold)} {gold}{completion}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(text, digest_size=32).digest()
        return self._grades.get(key), key

    def _reads_otherwise(self, completion: str) -> bool:
        """Whether the policy may find another answer than math-verify even in a text with one plain integer."""
        if self.policy.name == CORRECTED:
            return (_NOT_SHOWN.search(completion) or _BESIDE_BOX.search(completion)) is not None
        return self.policy.name == LAST_BOX and "\\boxed" not in completion

    def _remember(self, key: bytes, grade: Grade) -> None:
        if grade.extracted is not None and len(grade.extracted) > CACHED_EXTRACTED_CHARACTERS:
            return
        with self._lock:
            if len(self._grades) >= CACHED_GRADES:
                del self._grades[next(iter(self._grades))]
            self._grades[key] = grade

    def _forget_workers(self) -> None:
        self._lock = threading.Lock()
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.forget()


def _plain_integer(completion: str) -> str | None:
    lone = _LONE_INTEGER.fullmatch(completion)
    if lone:
        return lone[2]
    if completion.count("\\") != 1 or _OTHER_ANSWER.search(completion):
        return None
    match = _BOXED_INTEGER.search(completion)
    return match[1] if match else None


_graders: "weakref.WeakSet[Grader]" = weakref.WeakSet()


def _forget_workers() -> None:
    for grader in _graders:
        grader._forget_workers()


def _close_all() -> None:
    for grader in _graders:
        grader.close()


atexit.register(_close_all)
# A forked child shares the parent's pipes, and perhaps a lock that another thread of the parent holds.
os.register_at_fork(after_in_child=_forget_workers)
