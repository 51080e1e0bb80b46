"""Predicted memory: what autograd keeps of real models, and what counts when."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from tuition.runners.scenarios.memory import SERVED_LOGITS, Load, kept_by_layer, predict, predict_stage, what_helps
from tuition.runners.scenarios.outline import load_to_plan
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import LoRASettings
from tuition.runners.scenarios.sources import Shape
from tuition.runners.training.stages.served_divergence import CHUNK_TOKENS

SHAPE = Shape(layers=2, width=64, mlp=192, query=128, key=32, vocabulary=256)
LOAD = Load(sequences=8, rollouts=8, prompt=8, completion=16)
MODELS = {"qwen3": (Qwen3Config, Qwen3ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}


def make_model(layers: int, architecture: str = "qwen3") -> Any:
    config, model = MODELS[architecture]
    return model(
        config(
            vocab_size=256,
            hidden_size=64,
            intermediate_size=192,
            num_hidden_layers=layers,
            num_attention_heads=8,
            num_key_value_heads=2,
            head_dim=16,
            tie_word_embeddings=True,
        )
    )


def bytes_kept(model: Any, sequences: int, tokens: int, size: int) -> int:
    """Bytes that autograd keeps of a forward pass, parameters apart."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.zeros(sequences, tokens, dtype=torch.long)
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    precision = torch.autocast("cpu", torch.bfloat16) if size == 2 else nullcontext()
    with hooks, precision:
        output = model.base_model(input_ids=ids, use_cache=False)
    assert output.last_hidden_state.requires_grad
    return sum(kept.values())


def test_a_shape_is_read_from_the_configuration() -> None:
    model = make_model(layers=2)
    assert Shape.of(model.config) == SHAPE
    assert SHAPE.parameters == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.01)
    assert not Shape.of(make_model(2, "llama").config).head_norms


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("architecture", MODELS)
def test_the_predicted_activations_are_what_autograd_keeps(architecture: str, size: int) -> None:
    shape = Shape.of(make_model(2, architecture).config)
    three, two = (bytes_kept(make_model(layers, architecture), 16, 24, size) for layers in (3, 2))
    copies = 2 * SHAPE.linear / SHAPE.layers if size == 2 else 0
    assert three - two == pytest.approx(16 * 24 * kept_by_layer(shape, size) + copies, rel=0.05)


def test_a_reference_and_a_teacher_are_counted() -> None:
    without = predict("student_rl", SHAPE, None, LOAD)
    assert predict("student_rl", SHAPE, None, replace(LOAD, kl=True)).total == without.total + 4 * SHAPE.parameters
    assert predict("opd", SHAPE, SHAPE, LOAD).parts["teacher"] == 2 * SHAPE.parameters


def test_a_long_context_peaks_in_the_backward_pass_and_a_large_model_in_the_update() -> None:
    large = Shape(layers=36, width=4096, mlp=12288, query=4096, key=1024, vocabulary=151936)
    assert "backward" in predict("student_rl", large, None, replace(LOAD, sequences=64, completion=4096)).moment
    short = Load(sequences=1, rollouts=1, prompt=16, completion=16, kl=True)
    assert predict("student_rl", large, None, short).parts["gradients"] == 4 * large.parameters


def test_an_adapter_and_checkpointing_save_what_they_should() -> None:
    large = Shape(layers=36, width=2560, mlp=9728, query=4096, key=1024, vocabulary=151936)
    load = Load(sequences=2, rollouts=32, prompt=300, completion=1024)
    full, adapter = predict("teacher_rl", large, None, load), predict("teacher_rl", large, None, load, LoRASettings())
    assert adapter.parts["frozen weights"] == 2 * large.parameters
    assert adapter.parts["optimizer"] < full.parts["optimizer"] / 20
    assert predict("teacher_rl", large, None, replace(load, checkpointing=True), LoRASettings()).total < adapter.total


def test_every_stage_of_micro_is_predicted() -> None:
    scenario = Scenario.load("micro")
    for stage in ("teacher_rl", "warmup", "opd", "student_rl", "teacher_sft", "transfer_sft"):
        predicted = predict_stage(scenario, stage)
        assert predicted is not None
        assert 400e6 < predicted.total < 800e6, stage


def test_what_helps_is_nothing_that_would_be_refused() -> None:
    sharded, adapted = load_to_plan("qwen3-8b-to-1.7b"), load_to_plan("qwen3-4b-to-0.6b-lora")
    told = what_helps(sharded, "teacher_rl"), what_helps(adapted, "teacher_rl")
    assert not [words for words in told[0] if "lora" in words]
    assert not [words for words in told[1] if "sharding" in words]
    assert all(told)


def test_of_an_offloaded_teacher_the_output_and_one_layer_are_on_the_device() -> None:
    teacher = Shape(layers=8, width=512, mlp=2048, query=512, key=512, vocabulary=32768)
    kept = predict("opd", SHAPE, teacher, LOAD).parts["teacher"]
    offloaded = predict("opd", SHAPE, teacher, replace(LOAD, teacher_offloaded=True)).parts["teacher"]
    assert kept == 2 * teacher.parameters
    assert offloaded == 2 * (teacher.output + teacher.linear // 8)


def test_a_teacher_behind_a_server_costs_the_logits_of_one_piece() -> None:
    large = Shape(layers=28, width=2048, mlp=6144, query=2048, key=1024, vocabulary=151936)
    load = replace(LOAD, completion=4096, served=True, cpu=True)  # where every part is named
    served, longer = (predict("opd", large, None, one).parts for one in (load, replace(load, completion=8192)))
    assert served["logits"] == longer["logits"] == SERVED_LOGITS * CHUNK_TOKENS * large.vocabulary
    assert predict("student_rl", large, None, load) == predict("student_rl", large, None, replace(load, served=False))


def test_a_rollout_batch_of_several_updates_is_drawn_at_once() -> None:
    scenario = Scenario.load("micro")
    parts = []
    for updates in (1, 6):
        stages = scenario.file.stages.changed("student_rl", prompts_per_step=1, updates_per_rollout=updates)
        scenario.file = scenario.file.model_copy(update={"stages": stages})
        predicted = predict_stage(scenario, "student_rl")
        assert predicted is not None
        parts.append(predicted.parts)
    assert parts[1]["cache"] == 6 * parts[0]["cache"]
    assert parts[1]["activations"] == parts[0]["activations"]
