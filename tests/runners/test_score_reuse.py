import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tuition.benchmarks.scoring.score_store import Making, ScoredModel, ScoreKey, ScoreStore
from tuition.runners.route_runner import score_task
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.score_reuse import ExplainedScore, explain_score

WEIGHTS, OTHERS = "a" * 64, "b" * 64


def table() -> pd.DataFrame:
    columns = {"problem_id": ["p", "q"], "sample": 0, "completion": "", "extracted": None, "verdict": "correct"}
    return pd.DataFrame(
        {**columns, "correct": True, "num_tokens": 3, "truncated": False, "level": 1, "subject": "sums"}
    )


class Case:
    def __init__(self, folder: Path, file: dict[str, Any], load: Callable[[dict[str, Any]], Scenario]):
        self.file, self.load, self.scores = file, load, ScoreStore(folder / "scores")

    def key(self) -> ScoreKey:
        model = ScoredModel(label="made up")
        return score_task(self.load(self.file), "validation", 0, model, WEIGHTS).key

    def save(self) -> str:
        return self.scores.save(self.key(), table(), Making()).key

    def explain(self, weights: str = WEIGHTS) -> ExplainedScore:
        return explain_score(self.load(self.file), "validation", weights, self.scores)


@pytest.fixture
def case(tmp_path: Path, scenario_file: dict[str, Any], load: Callable[[dict[str, Any]], Scenario]) -> Case:
    return Case(tmp_path, scenario_file, load)


def test_a_stored_score_needs_no_reason(case: Case) -> None:
    case.save()
    assert case.explain() == ExplainedScore("validation", True)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda file: file["decoding"].update(temperature=0.7), "decoding.temperature: 0.7, was 1.0"),
        (lambda file: file["validation"].update(samples=3), "validation.samples: 3, was 2"),
        (lambda file: file.update(prompt_suffix="Think."), "prompt_suffix: Think., was \"\""),
        (lambda file: file.update(template={"thinking": False}), "template.thinking: false, was not set"),
        (
            lambda file: file["validation"]["problems"].update(count=6),
            "suite: micro-validation@1/6, was micro-validation@1/8",
        ),
    ],
)  # fmt: skip
def test_the_field_that_differs_is_named(case: Case, change: Callable[[dict[str, Any]], None], line: str) -> None:
    nearest = case.save()
    change(case.file)
    found = case.explain()
    assert (found.stored, found.reasons, found.nearest) == (False, (line,), nearest)


def test_the_nearest_of_several_is_compared(case: Case) -> None:
    case.save()
    case.file["decoding"]["temperature"] = 0.7
    case.save()
    case.file["decoding"]["top_p"] = 0.5
    assert case.explain().reasons == ("decoding.top_p: 0.5, was 1.0",)


def test_weights_that_were_never_scored_say_so(case: Case) -> None:
    case.save()
    assert case.explain(OTHERS).reasons == ("these weights have not been scored on it",)


def test_a_damaged_score_is_named_and_left_alone(case: Case) -> None:
    key = case.save()
    case.scores.samples_file(key).write_bytes(b"other")
    assert "samples.parquet does not match its checksum" in case.explain().reasons[0]
    assert case.scores.path(key).exists()


def test_other_damaged_scores_are_passed_over(case: Case) -> None:
    key = case.save()
    shutil.copytree(case.scores.path(key), case.scores.folder / "bb" / OTHERS)
    case.file["decoding"]["temperature"] = 0.7
    assert case.explain().nearest == key
