"""Training rollouts, cached rollouts and scores of a checkpoint whose generation configuration says much else.

They are those of the same checkpoint without it, bit for bit.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.runners.conftest import tiny_scenario_file
from tuition.benchmarks.scoring.sampling import NEUTRAL_IN_GENERATE, Decoding, generate_ids, training_rollouts
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.route_runner import RouteRunner, score_task
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.store.rollouts import read_rollouts_record
from tuition.runners.training.checkpoint import end_tokens, hash_weights, load_model, load_tokenizer
from tuition.runners.training.pinned import ROLLOUTS

OWN = {
    "repetition_penalty": 1.8, "min_p": 0.5, "typical_p": 0.2, "no_repeat_ngram_size": 1, "num_beams": 2,
    "min_new_tokens": 6, "epsilon_cutoff": 0.3, "suppress_tokens": [5, 6, 7], "max_time": 0.001,
    "do_sample": False, "temperature": 0.1, "top_k": 1,
}  # fmt: skip
ROUTES = ("student_rl=1", "teacher=medium warmup=1 opd=1")


def with_own(folder: Path, model: str, own: dict[str, Any]) -> Path:
    shutil.copytree(BUILT_IN / "micro" / model, folder / model)
    file = folder / model / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **own}))
    return folder / model


@dataclass(frozen=True)
class Made:
    weights: list[str]
    rollouts: list[Any]
    samples: list[str]
    records: list[Any]
    model: Path


def scenario_with(folder: Path, own: dict[str, Any], load: Callable[[dict[str, Any]], Scenario]) -> Scenario:
    models = {name: {"path": str(with_own(folder, name, own))} for name in ("student", "teacher")}
    file = tiny_scenario_file(student=models["student"], teachers={"medium": models["teacher"]})
    # Without a warm-up of the rate the first step changes the weights.
    file["stages"] = {name: {**settings, "lr_warmup_steps": 0} for name, settings in file["stages"].items()}
    return load(file)


def make(folder: Path, scenario: Scenario) -> Made:
    runner = RouteRunner(scenario, folder / "results")
    try:
        runs = [runner.run(compile_route(Allocation.parse(text), scenario.recipe, 0), "s") for text in ROUTES]
        scored = runner.score(scenario.recipe.student, "validation", "s")
    finally:
        runner.close()
    records = [runner.store.record(use.key) for run in runs for use in run.blocks]
    (rollouts,) = runner.results.rollouts.glob("*/*")
    return Made(
        [record.weights_sha256 for record in records],
        [read_rollouts_record(rollouts).sha256, read_rollouts_record(rollouts).decoding],
        scored.table["completion"].tolist(),
        records,
        runs[0].model,
    )


@pytest.mark.slow
def test_a_checkpoints_generation_configuration_changes_nothing_but_the_end_tokens(
    tmp_path: Path, load: Callable[[dict[str, Any]], Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seeds of rollouts derive from the content of the models, which the file is part of.
    monkeypatch.setattr("tuition.runners.scenarios.scenario.hash_base", hash_weights)
    plain, own = (
        make(tmp_path / name, scenario_with(tmp_path / name, said, load))
        for name, said in (("plain", {}), ("own", OWN))
    )
    assert (own.weights, own.rollouts, own.samples) == (plain.weights, plain.rollouts, plain.samples)
    for record in own.records:
        assert record.decoding.model_dump(exclude_defaults=True) == {
            "engine": "transformers", "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 24, "ends": (1,)
        }  # fmt: skip
    assert own.rollouts[1] == own.records[1].decoding
    # It stays beside the model, for who uses that elsewhere.
    kept = json.loads((own.model / "generation_config.json").read_text())
    assert kept.items() >= OWN.items() and kept["eos_token_id"] == 1


def test_what_was_drawn_otherwise_has_other_keys(
    tmp_path: Path, load: Callable[[dict[str, Any]], Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = {"temperature": 0.6, "top_k": 20, "eos_token_id": [1, 9]}
    scenario = scenario_with(tmp_path, {**advice, "min_p": 0.5}, load)
    found = [(scenario.recipe.student, score_key(scenario))]
    # As earlier versions hashed them, which took no notice of what would change draws.
    monkeypatch.setattr("tuition.runners.training.checkpoint.taken_before", lambda folder: {})
    monkeypatch.setattr("tuition.runners.route_runner.taken_before", lambda folder: {})
    before = scenario_with(tmp_path / "again", {**advice, "min_p": 0.5}, load)
    found.append((before.recipe.student, score_key(before)))
    assert len({student for student, _ in found}) == len({key for _, key in found}) == 2


def test_advice_that_changed_no_draw_changes_no_key(
    tmp_path: Path, load: Callable[[dict[str, Any]], Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "eos_token_id": [1, 9]}
    now = scenario_with(tmp_path, advice, load)
    keys = now.recipe.student, score_key(now)
    monkeypatch.setattr("tuition.runners.training.checkpoint.taken_before", lambda folder: {})
    monkeypatch.setattr("tuition.runners.route_runner.taken_before", lambda folder: {})
    before = scenario_with(tmp_path / "again", advice, load)
    assert (before.recipe.student, score_key(before)) == keys


def score_key(scenario: Scenario) -> str:
    return score_task(scenario, "validation", 0, ScoredModel(label="a block"), "a" * 64).key.key


def test_a_model_keeps_its_ends_and_can_be_saved(tmp_path: Path) -> None:
    folder = with_own(tmp_path, "student", {**OWN, "eos_token_id": [1, 9], "pad_token_id": -1})
    model = load_model(folder, "float32", "cpu")
    kept = {name: value for name, value in model.generation_config.to_dict().items() if value is not None}
    assert kept.pop("eos_token_id") == end_tokens(folder) == [1, 9]
    assert set(kept) <= {"transformers_version", "_from_model_config"}
    model.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").exists()


def test_end_tokens_stand_in_the_models_configuration_where_nothing_else_says_them(tmp_path: Path) -> None:
    folder = with_own(tmp_path, "student", {})
    (folder / "generation_config.json").unlink()
    assert end_tokens(folder) == [1] == [load_model(folder, "float32", "cpu").generation_config.eos_token_id]


def test_what_trainers_draw_with_is_what_records_say() -> None:
    said = training_rollouts(8)
    assert (said.temperature, said.top_p, said.top_k) == tuple(map(ROLLOUTS.get, ("temperature", "top_p", "top_k")))


def test_neutral_values_are_passed_whatever_a_model_says() -> None:
    student = BUILT_IN / "micro" / "student"
    tokenizer, decoding = load_tokenizer(student), Decoding("d", 1.0, 1.0, 0, 8)
    prompts = [tokenizer(f"{number}k=")["input_ids"] for number in range(10, 26)]

    def draw(**own: Any) -> list[list[int]]:
        model: Any = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
        for name, value in own.items():
            assert hasattr(model.generation_config, name)
            setattr(model.generation_config, name, value)
        return generate_ids(model, tokenizer, prompts, decoding, 7)

    telling = {name: OWN[name] for name in NEUTRAL_IN_GENERATE if name in OWN}
    assert len(telling) == 5 and draw(**telling) == draw()
