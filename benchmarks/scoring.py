"""Scoring: a model on a suite, batch by batch, resumable, into the store of scores.

What: `Scorer.score` draws every sample of every problem through an engine, keeps each finished batch, grades the
completions and publishes table and record. The same call takes up what a killed one has left, and finds what is done.

Batches are planned from the problems alone (longest text first, then problem, then sample), and seeds are hashes of
what they are for, so a resumed score equals an uninterrupted one as far as the engine repeats itself.

Simplified: grading is not resumed, for it is fast beside sampling.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from benchmarks.decoding import Preset
from benchmarks.engines.requests import Engine, Request, request_seed
from benchmarks.grading import GRADER_VERSION, Grader, Verdict
from benchmarks.partial import Batch, PartialScore
from benchmarks.records import RECORD_FILE, ScoreKey, ScoreStore
from benchmarks.sampling import Completion, render_prompt, score_samples
from benchmarks.statements import keep_statements
from benchmarks.suites.loading import Loaded

Progress = Callable[[int, int, int], None]
"""Called with sequences done, sequences in all, and how many of them were there at the start."""


class ScoreBusyError(RuntimeError):
    """Another process is at work on the same score."""


@dataclass(frozen=True)
class Task:
    """What is to be scored. `weights` is the SHA-256 of the weights, or a served model's name and address."""

    weights: str
    suite: Loaded
    preset: Preset
    num_samples: int
    seed: int
    batch_size: int

    def __post_init__(self) -> None:
        for name in ("num_samples", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")

    def key(self, engine: Engine) -> ScoreKey:
        """The score's key."""
        return ScoreKey(
            weights_sha256=self.weights,
            suite=self.suite.name,
            decoding=self.preset.key_fields(),
            num_samples=self.num_samples,
            sampling_seed=self.seed,
            engine=engine.identity,
            grader=GRADER_VERSION,
        )

    def batches(self) -> list[list[tuple[int, int]]]:
        """(problem, sample) pairs, in the batches in which they are drawn."""
        problems = self.suite.problems
        order = sorted(range(len(problems)), key=lambda index: (-len(problems[index].problem), index))
        rows = [(index, sample) for index in order for sample in range(self.num_samples)]
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    def request(self, index: int, sample: int) -> Request:
        """What the engine is asked for."""
        problem = self.suite.problems[index]
        return Request(
            render_prompt(problem.problem, self.preset.decoding), request_seed(self.seed, problem.id, sample)
        )


@dataclass(frozen=True)
class SuiteScore:
    """A finished score. `drawn` counts the samples that this call has drawn: 0 when it was stored."""

    key: ScoreKey
    table: pd.DataFrame
    record: dict[str, Any]
    drawn: int


@dataclass(frozen=True)
class Scorer:
    """What all suites of a bench share.

    `engine` draws the completions, `grader` compares the answers, `store` is where scores are kept, `statements` the
    folder that keeps what was asked. `record` holds
    further fields for `record.json` (model's label, command, host, versions). `gpu_clock` counts the seconds of the
    device that draws; None where they cannot be counted. `check` is called between batches, where a stop loses
    nothing; it may raise.
    """

    engine: Engine
    store: ScoreStore
    statements: Path
    grader: Grader
    record: Mapping[str, Any]
    gpu_clock: Callable[[], float] | None
    check: Callable[[], None]

    def score(self, task: Task, progress: Progress) -> SuiteScore:
        """Score a task, or what is left of it; `progress` hears of every batch.

        ScoreBusyError while another process is at it.
        """
        key = task.key(self.engine)
        if (done := self._stored(key)) is not None:
            return done
        folder = self.store.path(key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{key.key}.lock")
        try:
            with lock.acquire(timeout=0):
                # Asked again: another process may have finished it between our look and our lock.
                if (done := self._stored(key)) is not None:
                    return done
                score = self._make(task, key, progress)
                # Whoever still gets the old file's lock finds the score in the store.
                Path(lock.lock_file).unlink(missing_ok=True)
                return score
        except Timeout:
            raise ScoreBusyError(f"{task.suite.name}: another process is scoring this; wait for it") from None

    def _stored(self, key: ScoreKey) -> SuiteScore | None:
        table = self.store.load(key)
        if table is None:
            return None
        record = json.loads((self.store.path(key) / RECORD_FILE).read_text(encoding="utf-8"))
        return SuiteScore(key, table, record, 0)

    def _make(self, task: Task, key: ScoreKey, progress: Progress) -> SuiteScore:
        batches = task.batches()
        path = self.store.path(key).with_name(f".{key.key}.batches.jsonl")
        partial = PartialScore(path, {"key": key.key, "batch_size": task.batch_size, "batches": len(batches)})
        resumed = partial.num_completions
        self._draw(task, batches, partial, progress)
        completions = [
            Completion(index, sample, one.text, one.num_tokens, one.truncated)
            for number, rows in enumerate(batches)
            for (index, sample), one in zip(rows, partial.batches[number].completions, strict=True)
        ]
        completions.sort(key=lambda completion: (completion.problem_index, completion.sample))
        grading_started = time.perf_counter()
        table = score_samples(task.suite.problems, completions, self.grader)
        described = {
            **self.record,
            **_description(task, self.engine, table),
            **_seconds(list(partial.batches.values())),
            "grading_seconds": round(time.perf_counter() - grading_started, 3),
            "samples_resumed": resumed,
        }
        keep_statements(self.statements, key.suite, task.suite.problems)
        folder = self.store.save(key, table, **described)
        partial.remove()
        saved = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        return SuiteScore(key, table, saved, len(completions) - resumed)

    def _draw(
        self, task: Task, batches: Sequence[Sequence[tuple[int, int]]], partial: PartialScore, progress: Progress
    ) -> None:
        """Draw the batches that `partial` lacks into it."""
        total, before = sum(map(len, batches)), partial.num_completions
        progress(before, total, before)
        for number, rows in enumerate(batches):
            if number in partial.batches:
                continue
            self.check()
            started, gpu_started = time.perf_counter(), self.gpu_clock() if self.gpu_clock else 0.0
            drawn = tuple(self.engine.generate([task.request(*row) for row in rows], task.preset))
            gpu_seconds = self.gpu_clock() - gpu_started if self.gpu_clock else None
            partial.append(Batch(number, drawn, time.perf_counter() - started, gpu_seconds))
            progress(partial.num_completions, total, before)


def _description(task: Task, engine: Engine, table: pd.DataFrame) -> dict[str, Any]:
    suite = task.suite
    verdicts = table["verdict"].value_counts()
    return {
        "kind": "bench",
        "suite": suite.name,
        "suite_partial": suite.partial,
        "suite_verified": suite.verified,
        "suite_checksum": suite.checksum,
        "suite_source": suite.source,
        "num_problems_whole": suite.num_problems_whole,
        "num_problems": len(suite.problems),
        "num_samples": task.num_samples,
        "seed": task.seed,
        "preset": task.preset.name,
        "preset_sources": dict(task.preset.sources),
        "engine": engine.identity,
        "batch_size": task.batch_size,
        "num_tokens": int(table["num_tokens"].sum()),
        "num_truncated": int(table["truncated"].sum()),
        "verdicts": {str(verdict): int(verdicts.get(str(verdict), 0)) for verdict in Verdict},
    }


def _seconds(batches: list[Batch]) -> dict[str, float | None]:
    """Seconds of sampling over all batches, whichever call drew them."""
    counted = [batch.gpu_seconds for batch in batches if batch.gpu_seconds is not None]
    return {
        "seconds": round(sum(batch.seconds for batch in batches), 3),
        "gpu_seconds": round(sum(counted), 3) if len(counted) == len(batches) else None,
    }
