"""Scoring: a model on a suite, batch by batch, with resume, into the store of scores. Searches, tests, recordings and
`tuition bench` all score here, so that a checkpoint is scored once for all of them.

What: `Scorer.score` finds a score by its key; else it draws every sample of every problem through an engine, keeps each
finished batch, grades the completions and publishes table and record. An interrupted call is resumed.

Rows are problem × sample, in the suite's order. Batches hold prompts of similar length, the longest first, and are
drawn from one random stream that begins at the sampling seed; engines without such a stream get a seed for each row, or
for each batch where they draw several side by side. So a resumed score equals an uninterrupted one as far as the engine
repeats itself.

Simplified: grading is not resumed, for it is fast beside sampling.
"""

import importlib.metadata
import platform
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from tuition.benchmarks.artefacts import checked_table
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.provenance import CODE_VERSION, command_line
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.engines.requests import Engine, Generated, Request
from tuition.benchmarks.scoring.partial_score import Batch, PartialScore
from tuition.benchmarks.scoring.sampling import Prompt, Stream, in_batches, render_prompt
from tuition.benchmarks.scoring.score_store import Making, ScoredModel, ScoreKey, ScoreRecord, ScoreStore
from tuition.benchmarks.scoring.statements import keep_statements
from tuition.benchmarks.suites.loading import LoadedSuite, SuiteKind
from tuition.planner.route import derive_seed

VERSIONED = ("tuition", "torch", "transformers", "trl", "peft", "math-verify", "datasets")

Progress = Callable[[int, int, int], None]
"""Called with the sequences done, their total, and how many were done at the start."""
OpenEngine = Callable[[], AbstractContextManager[Engine[Any]]]
"""Opens the engine of the model that is scored. Called only when something is to be drawn."""


class ScoreBusyError(RuntimeError):
    """Another process is at work on the same score."""


@dataclass(frozen=True)
class Task:
    """What is to be scored.

    Attributes:
        model: what it is, in words.
        weights: the hash of its weights, or a served model's name and address.
        suite: the problems, under the name that the key holds.
        kind: of the suite: its samples are others as a validation suite and as a test.
        preset: how completions are drawn.
        num_samples: of each problem.
        seed: as a person gives it.
        engine: what decides a draw besides weights and decoding: an engine's identity.
        batch_size: sequences drawn and kept together.
        grader: the version of the policy that grades.
        taken_before: whether earlier versions took more of the model's generation configuration than its end tokens
            (`tuition.benchmarks.scoring.effective_decoding`); their score of it is another.
    """

    model: ScoredModel
    weights: str
    suite: LoadedSuite
    kind: SuiteKind
    preset: Preset
    num_samples: int
    seed: int
    engine: str
    batch_size: int
    taken_before: bool = False
    grader: str = GRADER_VERSION

    def __post_init__(self) -> None:
        for name in ("num_samples", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")

    @property
    def prompts(self) -> list[Prompt]:
        """What the model is asked, one for each problem."""
        return [render_prompt(problem.problem, self.preset.decoding) for problem in self.suite.problems]

    @property
    def key(self) -> ScoreKey:
        """The score's key."""
        return ScoreKey(
            weights_sha256=self.weights,
            suite=self.suite.name,
            decoding=self.preset.key_fields() | ({"generation_config": "end tokens"} if self.taken_before else {}),
            num_samples=self.num_samples,
            sampling_seed=derive_seed("score", self.kind, self.seed),
            engine=self.engine,
            grader=self.grader,
        )


@dataclass(frozen=True)
class SuiteScore:
    """A finished score. `new`: it was not stored yet."""

    record: ScoreRecord
    table: pd.DataFrame
    new: bool

    @property
    def drawn(self) -> int:
        """Samples that this call has drawn."""
        return len(self.table) - self.record.samples_resumed if self.new else 0


class Scorer:
    """Scores into one results folder.

    Args:
        results: the folder.
        grader: compares the answers.
        wait_seconds: how long another process that works on the same score is waited for; -1 for as long as it takes.
        check: called between batches, where a stop loses nothing; it may raise.
    """

    def __init__(
        self,
        results: ResultsFolder,
        grader: Grader,
        wait_seconds: float = -1,
        check: Callable[[], None] = lambda: None,
    ):
        self.results, self.grader, self.wait_seconds, self.check = results, grader, wait_seconds, check
        self.store = ScoreStore(results.scores)

    def find(self, key: ScoreKey) -> SuiteScore | None:
        """A score that is stored; None where there is none."""
        stored = self.store.load(key)
        return None if stored is None else SuiteScore(stored.record, stored.samples, new=False)

    def score(self, task: Task, open_engine: OpenEngine, progress: Progress) -> SuiteScore:
        """Score a task, or what is left of it; `progress` is called for every batch.

        ScoreBusyError when another process is still at it after the time that it is waited for.
        """
        if task.grader != self.grader.policy.version:
            raise ValueError(f"{task.grader} is to grade, and the grader has {self.grader.policy.version}")
        key = task.key
        keep_statements(self.results.statements, key.suite, task.suite.problems)
        if (done := self.find(key)) is not None:
            return done
        folder = self.store.path(key.key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{key.key}.lock")
        try:
            with lock.acquire(timeout=self.wait_seconds):
                # Asked again: another process may have finished it between our look and our lock.
                if (done := self.find(key)) is not None:
                    return done
                score = self._make(task, key, open_engine, progress)
                # Whoever still gets the old file's lock finds the score in the store.
                Path(lock.lock_file).unlink(missing_ok=True)
                return score
        except Timeout:
            raise ScoreBusyError(f"{task.suite.name}: another process is scoring this; wait until it is done") from None

    def _make(self, task: Task, key: ScoreKey, open_engine: OpenEngine, progress: Progress) -> SuiteScore:
        path = self.store.path(key.key).with_name(f".{key.key}.batches.jsonl")
        table, cost = self._sample(task, path, open_engine, progress)
        record = self.store.save(key, table, Making.model_validate(_making(task) | cost))
        path.unlink(missing_ok=True)
        return SuiteScore(record, table, new=True)

    def _sample(
        self, task: Task, path: Path, open_engine: OpenEngine, progress: Progress
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The graded samples, and what they cost, as fields of the record. `path` keeps finished batches."""
        began = _Moment()
        with open_engine() as engine:
            sampling = _Sampling(task, engine, path)
            sampling.sample(self.check, progress)
            decoding = engine.in_effect(task.preset)
        grading_began = _Moment()
        table = graded(task.suite.problems, task.num_samples, sampling.completions, self.grader)
        spent = began.device_seconds(_Moment(engine.elsewhere), engine)
        return table, {
            "started": began.date,
            "seconds": round(sum(batch.seconds for batch in sampling.partial.batches.values()), 3),
            "gpu_seconds": None if spent is None else round(sampling.gpu_seconds_before + spent, 3),
            "grading_seconds": round(grading_began.seconds(), 3),
            "samples_resumed": sampling.resumed,
            "decoding": decoding,
        }


class _Sampling:
    """The samples of one score in the making, some of which calls before may have drawn."""

    def __init__(self, task: Task, engine: Engine[Any], path: Path):
        self.task, self.engine = task, engine
        self.prompts = [prompt for prompt in engine.encode(task.prompts, task.preset) for _ in range(task.num_samples)]
        self.batches = in_batches([len(prompt) for prompt in self.prompts], task.batch_size)
        header = {"key": task.key.key, "batch_size": task.batch_size, "device": engine.device}
        self.partial = PartialScore(path, header)
        self.resumed = self.partial.num_completions
        self.gpu_seconds_before = sum(batch.gpu_seconds or 0.0 for batch in self.partial.batches.values())

    def sample(self, check: Callable[[], None], progress: Progress) -> None:
        """Draw the batches that are missing."""
        progress(self.resumed, len(self.prompts), self.resumed)
        if self.engine.parallel > 1:
            self._side_by_side(check, progress)
            return
        stream = Stream(self.task.key.sampling_seed)
        for number in range(len(self.batches)):
            if number not in self.partial.batches:
                check()
                began = _Moment(self.engine.elsewhere)
                self._keep(self._drawn(number, stream), began, progress)
            stream = self.partial.batches[number].stream

    def _side_by_side(self, check: Callable[[], None], progress: Progress) -> None:
        """Draw as many batches at once as the engine has devices for; at a stop those in flight are kept."""
        stream = Stream(self.task.key.sampling_seed)
        missing = deque(number for number in range(len(self.batches)) if number not in self.partial.batches)
        running: set[Future[Batch]] = set()
        last = _Moment(self.engine.elsewhere)  # what is spent between two batches is charged to the later one
        with ThreadPoolExecutor(self.engine.parallel) as threads:
            try:
                while missing or running:
                    while missing and len(running) < self.engine.parallel:
                        check()
                        running.add(threads.submit(self._drawn, missing.popleft(), stream))
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    last = self._keep_all(done, last, progress)
            finally:
                self._keep_all(running, last, progress)

    def _keep_all(self, drawn: Collection[Future[Batch]], since: "_Moment", progress: Progress) -> "_Moment":
        """Keep what has been drawn, the failed ones apart: their first error is raised when all others are kept."""
        errors = [error for future in drawn if (error := future.exception()) is not None]
        for future in drawn:
            if future.exception() is None:
                since = self._keep(future.result(), since, progress)
        if errors:
            raise errors[0]
        return since

    def _drawn(self, number: int, stream: Stream) -> Batch:
        requests = [Request(self.prompts[row], row) for row in self.batches[number]]
        began = time.perf_counter()
        drawn, after = self.engine.generate(requests, self.task.preset, stream)
        return Batch(number, tuple(drawn), time.perf_counter() - began, None, after)

    def _keep(self, batch: Batch, since: "_Moment", progress: Progress) -> "_Moment":
        """Keep a batch, to which the device time since a moment is charged; and the moment up to which it is."""
        now = _Moment(self.engine.elsewhere)
        self.partial.append(replace(batch, gpu_seconds=since.device_seconds(now, self.engine)))
        progress(self.partial.num_completions, len(self.prompts), self.resumed)
        return now

    @property
    def completions(self) -> list[Generated]:
        """All completions, by row."""
        drawn = {
            row: one
            for number, batch in enumerate(self.batches)
            for row, one in zip(batch, self.partial.batches[number].completions, strict=True)
        }
        return [drawn[row] for row in range(len(self.prompts))]


class _Moment:
    """A moment from which time is counted; `elsewhere` is what an engine's other processes had spent by then."""

    def __init__(self, elsewhere: float = 0.0) -> None:
        self.date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._wall, self._processor, self._elsewhere = time.perf_counter(), time.process_time(), elsewhere

    def seconds(self) -> float:
        """Wall seconds since then."""
        return time.perf_counter() - self._wall

    def device_seconds(self, until: "_Moment", engine: Engine[Any]) -> float | None:
        """Seconds for which an engine's devices were reserved between two moments: on a CPU processor time.

        None of a server.
        """
        if engine.device is None:
            return None
        if engine.device == "cpu":
            return until._processor - self._processor + until._elsewhere - self._elsewhere
        return (until._wall - self._wall) * engine.devices


def graded(
    problems: Sequence[Problem], num_samples: int, completions: Sequence[Generated], grader: Grader
) -> pd.DataFrame:
    """The sample table (`tuition.benchmarks.artefacts`) of completions that are ordered by problem, then sample."""
    asked = [problem for problem in problems for _ in range(num_samples)]
    grades = grader.grade_many([problem.answer for problem in asked], [one.text for one in completions])
    table = pd.DataFrame(
        {
            "problem_id": [problem.id for problem in asked],
            "sample": list(range(num_samples)) * len(problems),
            "completion": [one.text for one in completions],
            "extracted": [grade.extracted for grade in grades],
            "verdict": [str(grade.verdict) for grade in grades],
            "correct": [grade.correct for grade in grades],
            "num_tokens": [one.num_tokens for one in completions],
            "truncated": [one.truncated for one in completions],
            "level": [problem.level for problem in asked],
            "subject": [problem.subject for problem in asked],
        }
    )
    return checked_table(table)


@cache
def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in VERSIONED}


def _making(task: Task) -> dict[str, Any]:
    """What a record says of a task beside its key, and of this process."""
    suite = task.suite
    return {
        "model": task.model,
        "seed": task.seed,
        "preset_sources": dict(task.preset.sources),
        "suite_source": suite.source,
        "suite_checksum": suite.checksum,
        "suite_verified": suite.verified,
        "num_problems_whole": suite.num_problems_whole,
        "command": command_line(),
        "code_version": CODE_VERSION,
        "versions": _versions(),
        "python": platform.python_version(),
        "host": platform.node(),
    }
