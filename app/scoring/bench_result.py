"""What `tuition bench` found of one checkpoint: its scores by suite, with their errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from tuition.benchmarks.artefacts import answers_PK, correct_PK, finite, finite_fields
from tuition.benchmarks.grading.equal_answers import merge_equal
from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.benchmarks.scoring.scorer import SuiteScore
from tuition.benchmarks.statistics.intervals import Interval, Score, avg_at_k, bootstrap, score_interval
from tuition.benchmarks.statistics.pass_at_k import ladder, maj_at_k_score, pass_at_k_score
from tuition.benchmarks.suites.loading import LoadedSuite

HEADING = "one checkpoint: excludes training variance"


@dataclass(frozen=True)
class ScoresAtK:
    """pass@k and maj@k, fractions, at one number of samples."""

    k: int
    pass_at_k: Score
    maj_at_k: Score
    """`se_samples` is nan."""

    def document(self) -> dict[str, Any]:
        """The scores as JSON values."""
        passed_samples = {"se_samples": finite(self.pass_at_k.se_samples)}
        return {
            "k": self.k,
            "pass_at_k": _over_problems(self.pass_at_k) | passed_samples,
            "maj_at_k": _over_problems(self.maj_at_k),
        }


@dataclass(frozen=True)
class SuiteResult:
    """A checkpoint on one suite. Scores are fractions; they exclude training variance."""

    suite: str
    """Name, version and part, as `micro-test@1/384[:6]`."""
    verified: bool
    """Whether its problems were checked against a known copy."""
    partial: bool
    """Whether only its first problems were scored."""
    preset: str
    decoding: Mapping[str, Any]
    score: Score
    """avg@k with its standard errors."""
    interval: Interval | None
    """Of the score, over problems; None for one problem."""
    bootstrap_problems: Interval
    bootstrap_samples: Interval
    by_k: tuple[ScoresAtK, ...]
    truncated: float
    """Fraction of the samples that the token limit cut."""
    verdicts: Mapping[str, int]
    """Samples by verdict."""
    num_tokens: int
    seconds: float | None
    gpu_seconds: float | None
    """Of sampling; None where an earlier version did not measure it."""
    engine: str
    grader: str
    """The version of the policy that graded."""
    samples_drawn_now: int
    """0 where the score was stored already."""
    key: str
    folder: Path
    """Where the score is kept, with all completions."""
    samples: pd.DataFrame
    """One row a sample; columns: `tuition.benchmarks.artefacts.SAMPLE_COLUMNS`."""

    @classmethod
    def of(cls, found: SuiteScore, suite: LoadedSuite, folder: Path, grader: Grader) -> Self:
        """The result of a stored score. `grader` says which answers are one, for maj@k; it has the score's policy."""
        record, table = found.record, found.table
        _, outcomes_PK = correct_PK(table)
        answers = merge_equal(answers_PK(table), outcomes_PK.astype(bool).tolist(), grader)
        counts = table["verdict"].value_counts()
        return cls(
            suite=record.score_key.suite,
            verified=suite.verified,
            partial=suite.partial,
            preset=record.score_key.decoding["name"],
            decoding=dict(record.score_key.decoding),
            score=avg_at_k(outcomes_PK),
            # One problem says nothing about others.
            interval=score_interval([outcomes_PK]) if len(outcomes_PK) > 1 else None,
            bootstrap_problems=bootstrap(outcomes_PK, "problems"),
            bootstrap_samples=bootstrap(outcomes_PK, "samples"),
            by_k=tuple(
                ScoresAtK(k, pass_at_k_score(outcomes_PK, k), maj_at_k_score(answers, outcomes_PK, k))
                for k in ladder(outcomes_PK.shape[1])
            ),
            truncated=int(table["truncated"].sum()) / len(table),
            verdicts={str(verdict): int(counts.get(str(verdict), 0)) for verdict in Verdict},
            num_tokens=int(table["num_tokens"].sum()),
            seconds=record.seconds,
            gpu_seconds=record.gpu_seconds,
            engine=record.score_key.engine,
            grader=record.score_key.grader,
            samples_drawn_now=found.drawn,
            key=record.key,
            folder=folder,
            samples=table,
        )

    @property
    def tokens_per_second(self) -> float | None:
        """The speed of sampling; None where it took no time."""
        return self.num_tokens / self.seconds if self.seconds else None

    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "suite": self.suite,
            "verified": self.verified,
            "partial": self.partial,
            "preset": self.preset,
            "decoding": dict(self.decoding),
            **finite_fields(self.score),
            "interval": None if self.interval is None else _bounds(self.interval),
            "bootstrap": {"problems": _bounds(self.bootstrap_problems), "samples": _bounds(self.bootstrap_samples)},
            "by_k": [scores.document() for scores in self.by_k],
            "truncated": self.truncated,
            "verdicts": dict(self.verdicts),
            "num_tokens": self.num_tokens,
            "tokens_per_second": self.tokens_per_second,
            "seconds": self.seconds,
            "gpu_seconds": self.gpu_seconds,
            "engine": self.engine,
            "grader": self.grader,
            "samples_drawn_now": self.samples_drawn_now,
            "key": self.key,
            "folder": str(self.folder),
        }


@dataclass(frozen=True)
class BenchResult:
    """A checkpoint on one suite or several. `weights_sha256` is None for a model that a server has."""

    model: ScoredModel
    weights_sha256: str | None
    scores: tuple[SuiteResult, ...]

    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        model = {**self.model.model_dump(), "weights_sha256": self.weights_sha256}
        return {"heading": HEADING, "model": model, "scores": [result.document() for result in self.scores]}


def _over_problems(score: Score) -> dict[str, float | None]:
    return {"mean": score.mean, "se_problems": finite(score.se_problems)}


def _bounds(interval: Interval) -> dict[str, float | None]:
    return {"low": finite(interval.low), "high": finite(interval.high), "level": interval.level}
