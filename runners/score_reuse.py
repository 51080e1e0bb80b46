"""Why a checkpoint's score is taken from the store, or not, in the words of the scenario's file."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from tuition.benchmarks.artefacts import RecordError
from tuition.benchmarks.scoring.sampling import Decoding
from tuition.benchmarks.scoring.score_store import ScoredModel, ScoreKey, ScoreRecord, ScoreStore
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.planner.drift import describe_drift
from tuition.runners.route_runner import score_task
from tuition.runners.scenarios.scenario import Scenario


@dataclass(frozen=True)
class ExplainedScore:
    """Whether a checkpoint's score on a suite is stored, and why not: `reasons` are against the stored `nearest`."""

    suite: SuiteKind
    stored: bool
    reasons: tuple[str, ...] = ()
    nearest: str | None = None


def explain_score(scenario: Scenario, kind: SuiteKind, weights_sha256: str, scores: ScoreStore) -> ExplainedScore:
    """Whether some weights have been scored on a suite as the scenario asks now. Nothing is moved aside.

    A score that is not stored is compared with those of the same weights on the suite, of any version.
    """
    wanted = score_task(scenario, kind, 0, ScoredModel(label=""), weights_sha256).key
    if scores.path(wanted.key).exists():
        try:
            scores.check(wanted.key)
        except RecordError as error:
            return ExplainedScore(kind, False, (f"it is damaged ({error}) and will be sampled again",))
        return ExplainedScore(kind, True)
    now = _score_fields(wanted, kind)
    alike = [
        (describe_drift(now, _score_fields(record.score_key, kind)), record.key)
        for record in _readable(scores)
        if record.score_key.weights_sha256 == weights_sha256 and _suite(record.score_key) == _suite(wanted)
    ]
    if not alike:
        return ExplainedScore(kind, False, ("these weights have not been scored on it",))
    drift, nearest = min(alike, key=lambda one: (len(one[0]), one[1]))
    return ExplainedScore(kind, False, tuple(drift) or ("its key differs",), nearest)


def _readable(scores: ScoreStore) -> Iterator[ScoreRecord]:
    for key in scores.score_keys():
        with suppress(RecordError):
            yield scores.read(key)


def _suite(key: ScoreKey) -> str:
    return key.suite.partition("@")[0]


def _score_fields(key: ScoreKey, kind: SuiteKind) -> dict[str, Any]:
    """What decides a score, by the names of the scenario's file where it has any."""
    known = {field.name for field in fields(Decoding)}
    prompt = {"prompt_suffix", "chat_template"}
    return {
        "suite": key.suite,
        "decoding": {name: value for name, value in key.decoding.items() if name in known - prompt},
        **{name: key.decoding.get(name) for name in prompt},
        "template": {name: value for name, value in key.decoding.items() if name not in {*known, "generation_config"}},
        "of the model's generation_config": key.decoding.get("generation_config", "as in earlier versions"),
        kind: {"samples": key.num_samples},
        "seed of the samples": key.sampling_seed,
        "engine": key.engine,
        "grader": key.grader,
    }
