"""Scoring: a killed score goes on where it was and equals an uninterrupted one, bit for bit."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.decoding import GREEDY, PAPER, PRESETS, Preset
from benchmarks.engines.requests import EngineError, EngineSettingError, Generated, Request, request_seed
from benchmarks.engines.transformers_engine import TransformersEngine
from benchmarks.grading import Grader
from benchmarks.records import SAMPLES_FILE, ScoreStore, file_sha256
from benchmarks.sampling import Decoding
from benchmarks.scoring import ScoreBusyError, Scorer, SuiteScore, Task
from benchmarks.suites.catalog import load_by_name

SAMPLED = Preset(Decoding("sampled", 1.0, 1.0, 0, 24), 2, {})
STUDENT = Path(__file__).parents[2] / "runners" / "scenarios" / "micro" / "student"
SUITE = load_by_name("micro").first(6)


class Stop(Exception):
    pass


@dataclass
class ScriptedEngine:
    """Writes what it was asked for; fails after `dies_after` batches."""

    identity: str = "scripted"
    dies_after: int = 99
    batches: list[list[Request]] = field(default_factory=list)

    def check(self, preset: Preset) -> None:
        pass

    def generate(self, requests: Sequence[Request], preset: Preset) -> list[Generated]:
        if len(self.batches) == self.dies_after:
            raise EngineError("the engine died")
        self.batches.append(list(requests))
        return [Generated(f"\\boxed{{{request.seed % 100}}}", 3, request.seed % 5 == 0) for request in requests]

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    model = AutoModelForCausalLM.from_pretrained(STUDENT, dtype=torch.float32)
    return TransformersEngine(model.eval(), AutoTokenizer.from_pretrained(STUDENT, padding_side="left"), 5)


@pytest.fixture(scope="module")
def grader() -> Any:
    with Grader() as grader:
        yield grader


def task(**changes: Any) -> Task:
    fields = {"weights": "0" * 64, "suite": SUITE, "preset": SAMPLED, "num_samples": 2, "seed": 0, "batch_size": 5}
    return Task(**{**fields, **changes})


def score(
    task: Task,
    engine: Any,
    folder: Path,
    grader: Grader,
    check: Callable[[], None] = lambda: None,
    progress: Any = lambda *_: None,
) -> SuiteScore:
    asked = folder.with_name("statements")
    return Scorer(engine, ScoreStore(folder), asked, grader, {"host": "h"}, lambda: 1.0, check).score(task, progress)


def samples_of(folder: Path) -> str:
    (table,) = folder.glob(f"*/*/{SAMPLES_FILE}")
    return file_sha256(table)


def test_a_score_resumed_after_every_batch_equals_an_uninterrupted_one(
    tmp_path: Path, engine: TransformersEngine, grader: Grader
) -> None:
    whole = score(task(), engine, tmp_path / "whole", grader)
    assert whole.drawn == 12

    def stop_after_one() -> Callable[[], None]:
        calls: list[None] = []

        def check() -> None:
            calls.append(None)
            if len(calls) > 1:
                raise Stop

        return check

    for _ in range(2):
        with pytest.raises(Stop):
            score(task(), engine, tmp_path / "parts", grader, stop_after_one())
    last = score(task(), engine, tmp_path / "parts", grader, stop_after_one())
    assert (last.drawn, last.record["samples_resumed"]) == (2, 10)
    assert samples_of(tmp_path / "parts") == samples_of(tmp_path / "whole")
    assert last.table.equals(whole.table)
    assert not [path for path in (tmp_path / "parts").rglob(".*") if path.is_file()]


def test_another_seed_gives_other_samples_and_the_same_seed_the_same(
    tmp_path: Path, engine: TransformersEngine, grader: Grader
) -> None:
    texts = [
        score(task(seed=seed), engine, tmp_path / str(number), grader).table["completion"].tolist()
        for number, seed in enumerate((0, 0, 1))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_finished_score_is_not_drawn_again(tmp_path: Path, grader: Grader) -> None:
    first = score(task(), ScriptedEngine(), tmp_path, grader)
    idle = ScriptedEngine(dies_after=0)
    again = score(task(), idle, tmp_path, grader)
    assert again.drawn == 0 and idle.batches == []
    assert again.table.equals(first.table) and again.record == first.record


def partial_file(folder: Path) -> Path:
    (path,) = folder.glob("*/.*.batches.jsonl")
    return path


@pytest.mark.parametrize(
    ("damage", "drawn_again"),
    [
        (lambda data: data, 2),
        (lambda data: data[:-20], 12 - 5),  # torn in the second batch
        (lambda data: data[:-1], 12 - 10),  # only the end of the line is missing
        (lambda data: data + b'0123456789abcdef {"number": 2', 12 - 10),
        (lambda data: data.replace(b"boxed", b"BOXED", 1), 12 - 5),
        (lambda data: b"x" + data, 12),
        (lambda data: b"", 12),
        (lambda data: b"\n".join(data.split(b"\n")[1:]), 12),
    ],
)
def test_a_torn_or_damaged_partial_file_loses_only_its_bad_lines(
    tmp_path: Path, grader: Grader, damage: Callable[[bytes], bytes], drawn_again: int
) -> None:
    whole = score(task(), ScriptedEngine(), tmp_path / "whole", grader)
    with pytest.raises(EngineError):
        score(task(), ScriptedEngine(dies_after=2), tmp_path / "parts", grader)
    path = partial_file(tmp_path / "parts")
    before = path.read_bytes()
    path.write_bytes(damage(before))
    resumed = score(task(), ScriptedEngine(), tmp_path / "parts", grader)
    assert resumed.drawn == drawn_again
    assert resumed.table.equals(whole.table)


def test_a_partial_file_goes_on_after_a_torn_line_was_dropped(tmp_path: Path, grader: Grader) -> None:
    with pytest.raises(EngineError):
        score(task(), ScriptedEngine(dies_after=1), tmp_path, grader)
    path = partial_file(tmp_path)
    path.write_bytes(path.read_bytes() + b"torn")
    with pytest.raises(EngineError):
        score(task(), ScriptedEngine(dies_after=1), tmp_path, grader)
    assert score(task(), ScriptedEngine(), tmp_path, grader).record["samples_resumed"] == 10


def test_seeds_belong_to_problem_and_sample_not_to_their_place(tmp_path: Path, grader: Grader) -> None:
    small, large = ScriptedEngine(), ScriptedEngine()
    score(task(batch_size=5), small, tmp_path / "a", grader)
    score(task(batch_size=12), large, tmp_path / "b", grader)
    assert [r for batch in small.batches for r in batch] == large.batches[0]
    assert len({request.seed for request in large.batches[0]}) == 12
    assert samples_of(tmp_path / "a") == samples_of(tmp_path / "b")
    assert request_seed(0, "p", 0) == request_seed(0, "p", 0) != request_seed(1, "p", 0)


def test_the_record_says_what_was_scored_and_that_it_was_not_the_whole_suite(tmp_path: Path, grader: Grader) -> None:
    result = score(task(), ScriptedEngine(), tmp_path, grader)
    record = json.loads((next(tmp_path.glob("*/*/record.json"))).read_text())
    assert record == result.record
    assert (record["suite"], record["suite_partial"], record["num_problems_whole"]) == (
        "micro-test@1/384[:6]",
        True,
        384,
    )
    assert (record["preset"], record["num_problems"], record["num_samples"], record["seed"]) == ("sampled", 6, 2, 0)
    assert record["num_truncated"] == int(result.table["truncated"].sum())
    assert sum(record["verdicts"].values()) == 12 and record["num_tokens"] == 36 and record["gpu_seconds"] == 0
    assert result.key.suite == "micro-test@1/384[:6]"


def test_a_second_process_is_told_to_wait(tmp_path: Path, grader: Grader) -> None:
    folder = ScoreStore(tmp_path).path(task().key(ScriptedEngine()))
    folder.parent.mkdir(parents=True)
    with FileLock(folder.parent / f".{folder.name}.lock"), pytest.raises(ScoreBusyError, match="another process"):
        score(task(), ScriptedEngine(), tmp_path, grader)


def test_progress_counts_what_was_there(tmp_path: Path, grader: Grader) -> None:
    heard: list[tuple[int, ...]] = []
    with pytest.raises(EngineError):
        score(task(), ScriptedEngine(dies_after=1), tmp_path, grader)
    score(task(), ScriptedEngine(), tmp_path, grader, progress=lambda *counts: heard.append(counts))
    assert heard == [(5, 12, 5), (10, 12, 5), (12, 12, 5)]


def test_settings_that_cannot_be_are_refused(engine: TransformersEngine) -> None:
    with pytest.raises(ValueError, match="num_samples is 0"):
        task(num_samples=0)
    with pytest.raises(EngineSettingError, match="no chat template"):
        engine.check(PAPER)
    stranger = Request("What is $x$?", 1)
    with pytest.raises(EngineError, match="has no token for a character"):
        engine.generate([stranger], SAMPLED)


def test_an_overridden_preset_has_another_name_and_another_key() -> None:
    short = PAPER.overridden(max_new_tokens=64, chat_template=True)
    assert short.name == "paper[max_new_tokens=64]" and short.sources["max_new_tokens"] == "override"
    assert short.key_fields()["max_new_tokens"] == 64 and short.key_fields()["enable_thinking"] is False
    assert PAPER.overridden(max_new_tokens=16384) is PAPER
    engine = ScriptedEngine()
    keys = {task(preset=preset).key(engine).key for preset in (*PRESETS.values(), short)}
    assert len(keys) == 4
    assert set(GREEDY.sources.values()) == {"our choice"}
