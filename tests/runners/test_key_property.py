"""Scenarios in which a block has one key train it to equal weights, whatever else they differ in.

The fields are those of the scenario file's schema: one that is new has to be given values to draw here, or a reason why
it cannot be drawn. Random changes of all fields that leave a stage's key as it is are made at once, and the stage's
block is trained with and without them.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tests.runners.conftest import small_scenario_file
from tests.runners.training.test_stages import smallest_with
from tuition.planner.route import Block, compile_route
from tuition.planner.stages import STAGES, Stage
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile

# Any combination of these values is a valid scenario.
DRAWN: Mapping[str, Sequence[Any]] = {
    "name": ["small", "other"],
    "description": ["", "Something else."],
    "prior_seconds": [{}, {"opd": 5.0}],
    "keep_optimizer": ["tip", "all"],
    "labels_per_block": [4, 8],
    "labels.count": [16, 24],
    "prompts.count": [16, 24],
    "*.problems.count": [8, 12],
    "*.samples": [2, 3],
    "decoding.name": ["sampled", "named"],
    "decoding.temperature": [1.0, 0.6],
    "decoding.top_p": [1.0, 0.9],
    "decoding.top_k": [0, 5],
    "decoding.max_new_tokens": [8, 12],
    "grading": ["tuition-2", "tuition-1", "last-box"],
    "prompt_suffix": ["", "="],
    "template": [{}, {"variable": True}],
    "search.teacher": [None, "medium"],
    "search.bridge_*": [0, 1],
    "search.max_*": [1, 2],
    "search.prepare": [["rl"], ["rl", "sft"]],
    "search.transfer": [["bridge"], ["bridge", "sft"]],
    "search.prompts": ["pool", "labels"],
    "hardware.dtype": ["float32", "bfloat16"],
    "hardware.engine": ["auto", "transformers"],
    "hardware.offload_teacher": [False, True],
    "hardware.generation_batch": [3, 16, 256],
    "hardware.vllm.gpu_memory_utilization": [0.3, 0.5],
    "hardware.vllm.tensor_parallel": [1, 2],
    "hardware.vllm.rollout_server": [None, "http://127.0.0.1:9"],
    "student.lora.rank": [2, 4],
    "student.lora.alpha": [4, 8],
    "student.lora.target_modules": ["all-linear", ["q_proj"]],
    "student.shape": [
        None,
        {"layers": 1, "width": 8, "mlp": 8, "query": 8, "key": 8, "vocabulary": 99, "tied": True, "head_norms": True},
    ],
    "stages.*.steps": [2, 4],
    "stages.*.learning_rate": [1e-3, 3e-3],
    "stages.*.lr_warmup_steps": [0, 1, 3],
    "stages.*.weight_decay": [0.0, 0.1],
    "stages.*.max_grad_norm": [0.1, 1.0],
    "stages.*.micro_batch": [16, 32],
    "stages.*.max_completion_tokens": [8, 12],
    "stages.*.gradient_checkpointing": [False, True],
    "stages.*_rl.prompts_per_step": [1, 2],
    "stages.*_rl.generations": [4, 8],
    "stages.*_rl.updates_per_rollout": [1, 2],
    "stages.*.new_labels_first": [0.0, 0.5],
    "stages.*_rl.kl_coef": [0.0, 0.1],
    "stages.*_rl.kl_form": ["unbiased", "k3"],
    "stages.*_rl.clip": [1e-3, 0.2],
    "stages.*_rl.loss": ["grpo", "bnpo", "dr_grpo", "dapo"],
    "stages.*_rl.scale_rewards": ["group", "batch", "none"],
    "stages.*_rl.filter.samples": [2, 4],
    "stages.*_rl.filter.least": [0.1, 0.3],
    "stages.*_rl.filter.most": [0.8, 1.0],
    "stages.*_rl.rollout_correction.mode": ["off", "token_mask", "sequence_mask"],
    "stages.*_rl.rollout_correction.clip_min": [0.1, 0.5],
    "stages.*_rl.rollout_correction.clip_max": [2.0, 3.0],
    "stages.teacher_sft.sequences": [8, 16],
    "stages.teacher_sft.samples_per_problem": [8, 16],
    "stages.warmup.prompts_per_step": [4, 8],
    "stages.opd.prompts_per_step": [4, 8],
    "stages.transfer_sft.prompts_per_step": [4, 8],
    "stages.*.completions": [1, 2],
}

NOT_DRAWN: Mapping[str, str] = {
    "teachers.*": "as of the student, but for the stages that train a teacher; its content is in every key of a bridge",
    "student.path": "a model's content is hashed, tests/runners/training/test_checkpoint.py",
    "student.hub": "needs the Hub",
    "student.revision": "of a Hub model",
    "student.trust_remote_code": "needs a model with code, which is hashed",
    "*.micro": "content: the texts of problems are hashed, whatever they come from",
    "*.mix": "content, as `micro`",
    "*.jsonl": "content, as `micro`",
    "*.suite": "needs the Hub; content, as `micro`",
    "*.revision": "of a data set of the Hub",
    "*.without": "content, for files only",
    "*.shuffle": "content, for files only",
    "*.skip": "content, for files only",
    "chat_template": "the tiny models have none; in every key",
    "hardware.device": "there is a CPU only; in every key, resolved",
    "student.tensor_parallel": "divides hardware.processes, needs vLLM: tests/runners/test_drawing.py",
    "hardware.processes": "starts interpreters, and is in every key above 1: tests/runners/training/test_launch.py",
    "hardware.sharding": "as processes: tests/runners/training/test_sharding.py",
    "hardware.teacher_server.*": "needs vLLM: tests/runners/vllm",
}
FILTERED = {f"stages.{name}.filter": {"samples": 4, "least": 0.1, "most": 1.0} for name in ("teacher_rl", "student_rl")}


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of a schema's fields; one that holds models is their fields, and `teachers` is `teachers.NAME`."""
    for name, field in model.model_fields.items():
        nested = [part for part in _parts(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        path = f"{prefix}{name}"
        if not nested:
            yield path
        for inner in nested:
            yield from leaves(inner, f"{path}.medium." if name == "teachers" else f"{path}.")


def _parts(annotation: Any) -> Iterator[Any]:
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for part in inner:
        yield from _parts(part)


def patterns(path: str, among: Mapping[str, Any]) -> list[str]:
    """The patterns that a field's name, or that of what it is a part of, is matched by."""
    return [pattern for pattern in among if fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")]


FIELDS = list(dict.fromkeys(leaves(ScenarioFile)))
DRAWN_FIELDS = [path for path in FIELDS if not patterns(path, NOT_DRAWN)]


def test_every_field_is_drawn_or_exempt() -> None:
    for path in FIELDS:
        drawn, not_drawn = patterns(path, DRAWN), patterns(path, NOT_DRAWN)
        assert drawn or not_drawn, f"{path}: give it values in DRAWN, or a reason in NOT_DRAWN"
        assert not (drawn and not_drawn), f"{path} is in both"
    for pattern in (*DRAWN, *NOT_DRAWN):
        assert any(pattern in patterns(path, {pattern: None}) for path in FIELDS), f"{pattern} matches no field"


def values(path: str) -> tuple[str, Sequence[Any]]:
    """What is drawn for a field: its name, or that of what it is a part of and is drawn with, and the values."""
    pattern = patterns(path, DRAWN)[0]
    whole = path if fnmatchcase(path, pattern) else ".".join(path.split(".")[: len(pattern.split("."))])
    return whole, DRAWN[pattern]


def replaced(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A scenario's content with another value of a field."""
    content = deepcopy(content)
    *parents, last = path.split(".")
    place = content
    for name in parents:
        if place.get(name) is None:
            place[name] = {}
        place = place[name]
    place[last] = value
    return content


def load(content: dict[str, Any], folder: Path) -> Scenario:
    """Through no file: hundreds are loaded, and to write and read YAML takes longer than all the rest."""
    return Scenario(ScenarioFile.model_validate(content), folder)


def block_of(stage: Stage, scenario: Scenario) -> Block:
    """The first block of a stage, with nothing trained before it."""
    blocks = compile_route(smallest_with(stage), scenario.recipe, 0).blocks
    return next(block for block in blocks if block.stage == stage.name)


def trained(stage: Stage, scenario: Scenario, results: Path) -> tuple[str, str]:
    """The key of a stage's block, and its weights."""
    block = block_of(stage, scenario)
    with closing(RouteRunner(scenario, results)) as runner:
        answers = {label.id: label.answer for label in scenario.labels}
        record, _ = runner.trainer.ensure(block, answers)
    return block.key, record.weights_sha256


def base(number: int) -> dict[str, Any]:
    """A scenario to change: a plain one, or one with filters and half of its fields drawn."""
    content = small_scenario_file()
    for stage in STAGES:
        settings = content["stages"][stage.name]
        if stage.is_rl:
            settings |= {"prompts_per_step": 2, "generations": 4}
    if number:
        rng = random.Random(number)
        for path in DRAWN_FIELDS:
            if rng.random() < 0.5:
                name, drawn = values(path)
                content = replaced(content, name, rng.choice(drawn))
        for path, value in FILTERED.items():
            content = replaced(content, path, value)
    return content


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", [0, 1])
def test_one_key_is_one_weight(number: int, tmp_path: Path) -> None:
    plain = base(number)
    scenario = load(plain, tmp_path)
    keys = {stage: block_of(stage, scenario).key for stage in STAGES}
    # Alone, a value of a field either gives a stage's block another key, or must not change its weights.
    kept = {stage: dict[str, Sequence[Any]]() for stage in STAGES}
    for name, drawn in dict(map(values, DRAWN_FIELDS)).items():
        recipes = [load(replaced(plain, name, value), tmp_path) for value in drawn]
        for stage, key in keys.items():
            if all(block_of(stage, other).key == key for other in recipes):
                kept[stage][name] = drawn
    rng = random.Random(number)
    for stage, fields in kept.items():
        assert f"stages.{stage.name}.learning_rate" not in fields and "description" in fields
        content = plain
        for name, drawn in fields.items():
            content = replaced(content, name, rng.choice(drawn))
        first = trained(stage, scenario, tmp_path / f"{stage.name}-plain")
        again = trained(stage, load(content, tmp_path), tmp_path / f"{stage.name}-changed")
        assert first == again, f"{stage.name}: (key, weights) after changes of {', '.join(fields)}"
