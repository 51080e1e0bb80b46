"""Every field of the libraries' configurations is passed, or listed with a reason, and its default is known.

A test that fails here after an upgrade names the field. vLLM's part is in tests/runners/vllm.
"""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.runners.training.library_defaults import NOT_PASSED, differences, installed, not_passed
from tuition.benchmarks.grading.grader import Grader
from tuition.planner.route import Block
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.scenarios.settings import AnySettings, RejectionSettings, RLSettings, TransferSettings
from tuition.runners.training import pinned
from tuition.runners.training.checkpoint import load_model, load_tokenizer
from tuition.runners.training.stages import grpo, sft
from tuition.runners.training.stages.harness import StageWork, distillation_arguments
from tuition.runners.training.work_order import ModelFiles, WorkOrder

MICRO = BUILT_IN / "micro" / "student"
LIBRARY = {"LoraConfig": "peft", "TrainingArguments": "transformers", "GenerationConfig": "transformers",
           "AcceleratorConfig": "transformers"}  # fmt: skip
BASE = "TrainingArguments"


@pytest.fixture(scope="module")
def classes() -> dict[str, dict[str, Any]]:
    return installed()


def work(stage: str, settings: AnySettings, folder: Path, **order: Any) -> StageWork:
    """Of a block whose rollouts are vLLM's, so that no argument of its is missing."""
    block = Block("k" * 64, stage, 0, "student", "parent", "parent", None, (), (), 0, 0)
    files = ModelFiles(MICRO, MICRO, "float32")
    known = {"block": block, "settings": settings, "model": files, "device": "cpu", "dtype": "float32"}
    made = WorkOrder(**{**known, "engine": "vllm", **order})
    return StageWork(made, None, load_tokenizer(MICRO), [{"prompt": "12k="}], folder, Grader())


def of_grpo(folder: Path) -> dict[str, Any]:
    return grpo.arguments(work("student_rl", RLSettings(), folder))


def of_sft(folder: Path) -> dict[str, Any]:
    return sft.arguments(work("transfer_sft", RejectionSettings(), folder))


def of_distillation(folder: Path) -> dict[str, Any]:
    return distillation_arguments(work("opd", TransferSettings(), folder), beta=1.0)


def of_served_distillation(folder: Path) -> dict[str, Any]:
    served = work("opd", TransferSettings(), folder, teacher_url="http://127.0.0.1:9", teacher_top_k=1)
    return distillation_arguments(served, beta=1.0)


PASSED: dict[str, tuple[Callable[[Path], dict[str, Any]], tuple[str, ...]]] = {
    "GRPOConfig": (of_grpo, (BASE, "rollouts", "GRPOConfig")),
    "SFTConfig": (of_sft, (BASE, "SFTConfig")),
    "DistillationConfig": (of_distillation, (BASE, "rollouts")),
    "ServerDistillationConfig": (of_served_distillation, (BASE, "rollouts")),
    "LoraConfig": (lambda _: {**pinned.LORA, **dict.fromkeys(("r", "lora_alpha", "target_modules"))}, ("LoraConfig",)),
    "GenerationConfig": (lambda _: dict(pinned.GENERATION), ("GenerationConfig",)),
    "AcceleratorConfig": (lambda _: dict(pinned.TRAINING["accelerator_config"]), ()),
}
"""By class: how its arguments are made, and which groups of fields are not passed."""


@pytest.mark.parametrize("name", [BASE, *PASSED])
def test_the_installed_defaults_are_those_that_were_read(name: str, classes: dict[str, dict[str, Any]]) -> None:
    library = LIBRARY.get(name, "trl")
    assert list(differences(name, classes[name], f"{library} {version(library)}")) == []


@pytest.mark.parametrize("name", PASSED)
def test_every_field_is_passed_or_listed(name: str, classes: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    make, groups = PASSED[name]
    passed, listed = set(make(tmp_path)), not_passed(*groups)
    assert passed & listed == set(), "both passed and listed"
    assert passed | listed == set(classes[name]), "fields that are neither passed nor listed, or that there are not"


def test_a_new_field_and_another_default_are_named(classes: dict[str, dict[str, Any]]) -> None:
    changed = {**classes["GRPOConfig"], "epsilon_low": 0.3, "vllm_importance_sampling_clip_max": 2.0}
    del changed["beta"]
    gone, new, other = differences("GRPOConfig", changed, "trl 1.17.0")
    assert "trl 1.17.0: GRPOConfig.beta is gone (its default was 0.0)" in gone
    assert "GRPOConfig.epsilon_low = 0.3 is new: make it a setting, a constant of" in new
    assert "GRPOConfig.vllm_importance_sampling_clip_max = 2.0 by default, was 3.0" in other


def test_every_field_that_is_not_passed_has_a_reason() -> None:
    groups = json.loads(NOT_PASSED.read_text())
    assert all(reason and fields for group in groups.values() for reason, fields in group.items())


def test_what_libraries_decide_by_what_is_installed_is_what_it_was() -> None:
    model = load_model(MICRO, "float32", "cpu")
    assert model.config._attn_implementation == "sdpa"
