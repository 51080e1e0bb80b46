"""Scoring: a killed score resumes where it was and equals an uninterrupted one and those of before, bit for bit."""

import importlib.metadata
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.decoding import GREEDY, PAPER, PRESETS, Preset
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding
from tuition.benchmarks.scoring.engines.requests import (
    EngineError,
    EngineSettingError,
    Generated,
    Request,
    check_template,
    row_seed,
)
from tuition.benchmarks.scoring.engines.transformers_engine import TransformersEngine, transformers_identity
from tuition.benchmarks.scoring.sampling import Decoding, Prompt, Stream
from tuition.benchmarks.scoring.score_store import SAMPLES_FILE, ScoredModel, ScoreStore
from tuition.benchmarks.scoring.scorer import ScoreBusyError, Scorer, SuiteScore, Task
from tuition.benchmarks.suites.catalog import load_by_name

SAMPLED = Preset(Decoding("sampled", 1.0, 1.0, 0, 24), 2, {})
STUDENT = Path(__file__).parents[3] / "runners" / "scenarios" / "micro" / "student"
SUITE = load_by_name("micro").first(6)
# What the engine of a search drew for these problems at commit e466b8e: 2 samples each, 5 sequences a batch, seed 0.
DRAWN_BEFORE = [8046, 8085, 8245, 8245, 2080, 2080, 8912, 8945, 8281, 8243, 4928, 4928]


class Stop(Exception):
    pass


@dataclass
class ScriptedEngine:
    """Writes what it was asked for; fails after `dies_after` batches."""

    device: str | None = "cpu"
    dies_after: int = 99
    parallel: int = 1
    devices: int = 1
    elsewhere: float = 0.0
    batches: list[list[Request[Any]]] = field(default_factory=list)

    def check(self, prompts: Sequence[Prompt], preset: Preset) -> None:
        pass

    def encode(self, prompts: Sequence[Prompt], preset: Preset) -> list[Prompt]:
        return list(prompts)

    def generate(
        self, requests: Sequence[Request[Any]], preset: Preset, stream: Stream
    ) -> tuple[list[Generated], Stream]:
        if len(self.batches) == self.dies_after:
            raise EngineError("the engine died")
        self.batches.append(list(requests))
        if self.parallel > 1:
            time.sleep(0.02)  # so that others are asked meanwhile
            self.elsewhere += 1.0
        seeds = [row_seed(stream.seed, request.row) for request in requests]
        return [Generated(f"\\boxed{{{seed % 100}}}", 3, seed % 5 == 0) for seed in seeds], stream

    def in_effect(self, preset: Preset) -> EffectiveDecoding:
        return EffectiveDecoding.of("scripted", preset.decoding, ends=[1])

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    model = AutoModelForCausalLM.from_pretrained(STUDENT, dtype=torch.float32)
    return TransformersEngine(model.eval(), AutoTokenizer.from_pretrained(STUDENT, padding_side="left"))


@pytest.fixture(scope="module")
def grader() -> Any:
    with Grader() as grader:
        yield grader


def task(**changes: Any) -> Task:
    fields = {
        "model": ScoredModel(label="a model"), "weights": "0" * 64, "suite": SUITE, "kind": "test", "preset": SAMPLED,
        "num_samples": 2, "seed": 0, "engine": "scripted", "batch_size": 5,
    }  # fmt: skip
    return Task(**{**fields, **changes})


def score(
    task: Task,
    engine: Any,
    folder: Path,
    grader: Grader,
    check: Callable[[], None] = lambda: None,
    progress: Any = lambda *_: None,
) -> SuiteScore:
    scorer = Scorer(ResultsFolder(folder), grader, wait_seconds=0, check=check)
    return scorer.score(task, lambda: nullcontext(engine), progress)


def test_batches_that_are_drawn_side_by_side_are_the_same_score(tmp_path: Path, grader: Grader) -> None:
    alone = score(task(), ScriptedEngine(), tmp_path / "alone", grader)
    steps: list[int] = []
    several = ScriptedEngine(parallel=2, devices=2)
    together = score(task(), several, tmp_path / "several", grader, progress=lambda done, *_: steps.append(done))
    assert samples_of(tmp_path / "alone") == samples_of(tmp_path / "several")
    assert steps == sorted(steps) and (steps[0], steps[-1]) == (0, 12)
    # A second in another process for each of three batches.
    assert together.record.gpu_seconds is not None and alone.record.gpu_seconds is not None
    assert 3 <= together.record.gpu_seconds < 4 and alone.record.gpu_seconds < 1


def test_a_stop_keeps_what_is_drawn_side_by_side_at_the_moment(tmp_path: Path, grader: Grader) -> None:
    asked: list[int] = []

    def stop_at_the_third() -> None:
        asked.append(0)
        if len(asked) == 3:
            raise Stop

    with pytest.raises(Stop):
        score(task(), ScriptedEngine(parallel=2), tmp_path, grader, check=stop_at_the_third)
    resumed = score(task(), ScriptedEngine(parallel=3), tmp_path, grader)
    assert resumed.record.samples_resumed == 10 and resumed.drawn == 2
    assert resumed.record.gpu_seconds is not None and resumed.record.gpu_seconds >= 3


def samples_of(folder: Path) -> str:
    (table,) = folder.glob(f"scores/*/*/{SAMPLES_FILE}")
    return file_sha256(table)


def test_a_score_resumed_after_every_batch_equals_an_uninterrupted_one(
    tmp_path: Path, engine: TransformersEngine, grader: Grader
) -> None:
    whole = score(task(), engine, tmp_path / "whole", grader)
    assert whole.drawn == 12
    assert whole.table["completion"].tolist() == [f"\\boxed{{{number}}}" for number in DRAWN_BEFORE]

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
    assert (last.drawn, last.record.samples_resumed) == (2, 10)
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
    assert again.drawn == 0 and not again.new and idle.batches == []
    assert again.table.equals(first.table) and again.record == first.record


def partial_file(folder: Path) -> Path:
    (path,) = folder.glob("scores/*/.*.batches.jsonl")
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
    assert score(task(), ScriptedEngine(), tmp_path, grader).record.samples_resumed == 10


@pytest.mark.parametrize("lost", range(3))
def test_a_batch_that_is_lost_is_drawn_again_from_where_the_one_before_left_the_stream(
    tmp_path: Path, engine: TransformersEngine, grader: Grader, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise Stop

    whole = score(task(), engine, tmp_path / "whole", grader)
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr("tuition.benchmarks.scoring.scorer.graded", die)
        score(task(), engine, tmp_path / "parts", grader)
    path = partial_file(tmp_path / "parts")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for number, line in enumerate(lines) if number != lost + 1))
    again = score(task(), engine, tmp_path / "parts", grader)
    assert again.drawn == [5, 5, 2][lost]
    assert samples_of(tmp_path / "parts") == samples_of(tmp_path / "whole")
    assert again.table.equals(whole.table)


def test_batches_of_another_device_are_drawn_again(tmp_path: Path, grader: Grader) -> None:
    with pytest.raises(EngineError):
        score(task(), ScriptedEngine(dies_after=2), tmp_path, grader)
    assert score(task(), ScriptedEngine(device="cuda"), tmp_path, grader).drawn == 12


def test_a_row_has_its_seed_whatever_shares_its_batch(tmp_path: Path, grader: Grader) -> None:
    small, large = ScriptedEngine(), ScriptedEngine()
    score(task(batch_size=5), small, tmp_path / "a", grader)
    score(task(batch_size=12), large, tmp_path / "b", grader)
    assert [r for batch in small.batches for r in batch] == large.batches[0]
    assert sorted(request.row for request in large.batches[0]) == list(range(12))
    assert samples_of(tmp_path / "a") == samples_of(tmp_path / "b")
    # Pinned: vLLM draws with these.
    assert [row_seed(0, 0), row_seed(0, 1), row_seed(1, 0)] == [1879332978, 904376745, 572509148]


def test_the_record_says_what_was_scored_and_how(tmp_path: Path, grader: Grader) -> None:
    result = score(task(), ScriptedEngine(), tmp_path, grader)
    assert result.record == ScoreStore(tmp_path / "scores").read(result.record.key)
    record = json.loads((next(tmp_path.glob("scores/*/*/record.json"))).read_text())
    assert (record["suite_verified"], record["num_problems_whole"], record["seed"]) == (True, 384, 0)
    assert (record["suite_source"], record["model"]["label"]) == ("generator", "a model")
    for name in ("command", "code_version", "host", "python", "started", "versions", "suite_checksum"):
        assert record[name], name
    assert {"torch", "transformers", "trl", "tuition"} <= record["versions"].keys()
    for name in ("seconds", "gpu_seconds", "grading_seconds"):
        assert record[name] >= 0
    assert record["score_key"]["suite"] == "micro-test@1/384[:6]"


def test_nobody_knows_the_device_time_of_a_server(tmp_path: Path, grader: Grader) -> None:
    assert score(task(), ScriptedEngine(device=None), tmp_path, grader).record.gpu_seconds is None


def test_keys_are_those_of_searches_by_commit_e466b8e() -> None:
    keys = [task(kind=kind, engine=transformers_identity("float32", 256)).key for kind in ("validation", "test")]
    assert [key.sampling_seed for key in keys] == [130549337, 758668390]
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "torch")}
    assert keys[0].engine == "transformers {transformers}, torch {torch}, float32, batches of 256".format(**versions)
    assert keys[0].decoding == {
        "name": "sampled", "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 24, "prompt_suffix": "",
        "chat_template": False,
    }  # fmt: skip


def test_a_second_process_is_told_to_wait_or_waits(tmp_path: Path, grader: Grader) -> None:
    scorer = Scorer(ResultsFolder(tmp_path), grader)
    folder = scorer.store.path(task().key.key)
    folder.parent.mkdir(parents=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    with lock, pytest.raises(ScoreBusyError, match="another process"):
        score(task(), ScriptedEngine(), tmp_path, grader)
    lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(scorer.score, task(), lambda: nullcontext(ScriptedEngine()), lambda *_: None)
        time.sleep(0.2)
        assert not waiting.done()
        lock.release()
        assert waiting.result().drawn == 12


def test_statements_are_kept_beside_the_scores(tmp_path: Path, grader: Grader) -> None:
    score(task(), ScriptedEngine(), tmp_path, grader)
    (file,) = (tmp_path / "statements").iterdir()
    assert json.loads(file.read_text())["problems"].keys() == {problem.id for problem in SUITE.problems}


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
        engine.check(["57k="], PAPER)
    with pytest.raises(EngineError, match="cannot encode a character"):
        engine.check(["57k=", "What is $x$?"], SAMPLED)


def test_a_template_that_writes_the_date_is_refused_until_it_is_set() -> None:
    tokenizer = AutoTokenizer.from_pretrained(STUDENT)
    tokenizer.chat_template = "{{ date_string or strftime_now('%d %b') }}{{ messages[0].content }}"
    with pytest.raises(EngineSettingError, match=r"writes today's date, .*: give a scenario's file as --preset, with"):
        check_template(tokenizer, PAPER)
    check_template(tokenizer, replace(PAPER, template={"date_string": "26 Jul 2024"}))
    check_template(tokenizer, SAMPLED)


def test_an_overridden_preset_has_another_name_and_another_key() -> None:
    short = PAPER.overridden(max_new_tokens=64, chat_template=True)
    assert short.name == "paper[max_new_tokens=64]" and short.sources["max_new_tokens"] == "override"
    assert short.key_fields()["max_new_tokens"] == 64 and short.key_fields()["enable_thinking"] is False
    assert PAPER.overridden(max_new_tokens=16384) is PAPER
    keys = {task(preset=preset).key.key for preset in (*PRESETS.values(), short)}
    assert len(keys) == 4
    assert set(GREEDY.sources.values()) == {"our choice"}
