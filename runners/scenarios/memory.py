"""Predicted peak memory of a stage: what a block keeps on its device, from the models' shapes and the settings.

Covers training as the blocks do it: float32 weights, gradients and Adam moments (with LoRA: of the adapter, beside
frozen weights); the KL reference; a teacher; what autograd keeps of the forward pass, in float32 or under autocast to
bfloat16; and the buffers in which TRL's fused losses hold a part of the logits at a time (never all of them). On a
CPU also the interpreter and its libraries.

Simplified: the largest of a few moments, each with one layer's worth of temporaries; no fragmentation, no attention
matrices (a fused kernel makes none). Of vLLM's rollouts only the weights and the cache that one batch needs; vLLM
itself takes the share of the device that the scenario names.
"""

from copy import copy
from dataclasses import dataclass
from typing import Any

from tuition.benchmarks.scoring.sampling import encode_prompts, render_prompt
from tuition.planner.stages import STAGE
from tuition.runners.scenarios.batch_checks import check_batches
from tuition.runners.scenarios.outline import Outline
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.settings import LoRASettings, TeacherServer
from tuition.runners.scenarios.sources import ScenarioError, Shape
from tuition.runners.training.checkpoint import load_tokenizer
from tuition.runners.training.stages.served_divergence import CHUNK_TOKENS

# Of TRL's fused losses: tokens and vocabulary entries of a tile. The buffers have the full width for any vocabulary.
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
# Bytes a logit of the positions that the loss with a teacher behind a server works on at once: 17.8 were measured in
# float32 on a CPU (`python -m tests.experiments.speed.served_logits`).
SERVED_LOGITS = 18
# PyTorch's allocator counts cuBLAS's workspace, 32 MiB on Hopper.
WORKSPACE = 32 * 2**20
# Python with torch, transformers, trl and what they import, resident: measured with the versions of requirements.lock.
CPU_PROCESS = 525 * 2**20
MOMENTS = 2  # of AdamW
# A CPU's heap keeps what was freed in pieces of another size, so its moments add up, and more: 1.09 and 1.22 times the
# sum were measured with glibc (`python -m tests.experiments.speed.memory --scenario smol`).
HEAP_SLACK = 1.15
# Where no tokenizer is available to count with. Our choice: few problems of mathematics are longer.
ASSUMED_PROMPT_TOKENS = 512


@dataclass(frozen=True)
class Prediction:
    """Bytes at the moment of the peak, by what they are for."""

    moment: str
    parts: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes in total."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Load:
    """What a block puts on its device, besides the models. Lengths in tokens."""

    sequences: int
    """Of a forward pass (micro-batch)."""
    rollouts: int
    """Sequences that are drawn together; 0 where the stage draws none while it trains."""
    prompt: int
    completion: int
    dtype: str = "bfloat16"
    cpu: bool = False
    checkpointing: bool = False
    accumulated: bool = False
    """Whether a step has several forward passes: gradients are then there during all but the first."""
    kl: bool = False
    teacher_offloaded: bool = False
    served: bool = False
    """Whether the teacher of a bridge is behind a server; the loss is then not one of TRL's fused ones."""
    shards: int = 1
    """Processes over which weights, gradients and optimizer are spread."""
    averaged: bool = False
    """Whether processes that each hold all average their gradients, in buckets of their own (DDP)."""


def predict(
    stage: str, trained: Shape, teacher: Shape | None, load: Load, lora: LoRASettings | None = None
) -> Prediction:
    """Peak bytes of a block from its second step on.

    Args:
        stage: name of the stage.
        trained: the model that is trained.
        teacher: the frozen teacher of a bridge, if it is in the same process.
        load: batch, lengths, precision.
        lora: the adapter, when only that is trained.
    """
    size = 4 if load.dtype == "float32" else 2
    weights = trained.adapter(lora.rank) if lora else trained.parameters
    held = 4 * weights // load.shards
    always = {
        "weights": held,
        "frozen weights": size * trained.parameters if lora else 0,
        "optimizer": MOMENTS * held,
        "reference": (0 if lora else held) if load.kl else 0,
        "buckets of gradients": held if load.averaged else 0,
        # Of a sharded model one layer is gathered at a time; the embeddings stay gathered until the step is done.
        "gathered": size * (trained.parameters - trained.linear + 2 * trained.linear // trained.layers)
        if load.shards > 1
        else 0,
        "teacher": size * _resident(teacher, load) if teacher and STAGE[stage].is_dense else 0,
        "process": CPU_PROCESS if load.cpu else WORKSPACE,
    }
    moments = _training(stage, trained, load, size, weights) | {
        "optimizer step": {"gradients": held},
        "rollout": _rollout(trained, load, size),
    }
    if load.cpu:
        return _on_a_cpu(always, moments)
    return max(
        (Prediction(moment, {k: v for k, v in (always | parts).items() if v}) for moment, parts in moments.items()),
        key=lambda prediction: prediction.total,
    )


def _on_a_cpu(always: dict[str, int], moments: dict[str, dict[str, int]]) -> Prediction:
    """The sum of the largest that each part ever is, with the heap's slack."""
    parts = dict(always)
    for moment in moments.values():
        parts |= {name: max(size, parts.get(name, 0)) for name, size in moment.items()}
    parts = {name: size for name, size in parts.items() if size}
    held = sum(parts.values()) - parts["process"]
    return Prediction("sum of every part's peak", parts | {"heap's slack": round((HEAP_SLACK - 1) * held)})


def _training(stage: str, trained: Shape, load: Load, size: int, weights: int) -> dict[str, dict[str, int]]:
    """Bytes at two moments of the backward pass."""
    held = 4 * weights // load.shards
    tokens, scored = load.sequences * (load.prompt + load.completion), load.sequences * load.completion
    # With padding, attention gets keys and values that are repeated for all query heads.
    layer = kept_by_layer(trained, size) + 2 * size * (trained.query - trained.key)
    tile = min(scored, TILE_TOKENS) * TILE_VOCABULARY
    logits = (2 * 4 if STAGE[stage].is_dense else size) * tile
    if load.cpu:  # without Triton the tile is worked on in torch, with about eight intermediate tensors in float32
        logits = 8 * 4 * min(scored, TILE_TOKENS) * min(trained.vocabulary, TILE_VOCABULARY)
    if load.served and STAGE[stage].is_dense:
        logits = SERVED_LOGITS * min(scored, CHUNK_TOKENS) * trained.vocabulary
    whole = trained.layers * layer
    if load.checkpointing:  # of each layer only its input, and one layer's all while it is computed again
        whole = trained.layers * 4 * trained.width + layer
    kept = {
        # Autocast copies float32 weights; gathered ones have the type of the computation.
        "bfloat16 copies": 2 * trained.linear
        if size == 2 and weights >= trained.parameters and load.shards == 1
        else 0,
        # The last norm keeps its input twice, and the loss the hidden states and their gradient.
        "activations": tokens * (whole + 16 * trained.width),
    }
    if load.accumulated:
        kept["gradients"] = held
    gradient = 4 * trained.output if weights >= trained.parameters else 0
    return {
        "start of the backward pass": kept
        | {"logits": logits, "head's gradient": gradient + 8 * scored * trained.width},
        "backward pass through the last layer": kept | {"head's gradient": gradient, "temporaries": tokens * layer},
        "end of the backward pass": {"gradients": held, "temporaries": tokens * layer},
    }


def _resident(teacher: Shape, load: Load) -> int:
    """Parameters of a frozen teacher that are on the device at once; offloaded, its output matrix and one layer."""
    return teacher.output + teacher.linear // teacher.layers if load.teacher_offloaded else teacher.parameters


def _rollout(trained: Shape, load: Load, size: int) -> dict[str, int]:
    """Bytes while completions are drawn by transformers."""
    copies = 2 * max(trained.linear // max(trained.layers, 1), trained.output) if size == 2 else 0
    # Keys leave their norm in float32; values have the precision of the computation.
    per_token = trained.layers * (4 + size) * trained.key
    return {
        "bfloat16 copies": copies,
        "cache": load.rollouts * (load.prompt + load.completion) * per_token,
        # Logits, scaled, and probabilities.
        "logits": 3 * 4 * load.rollouts * trained.vocabulary,
    }


def kept_by_layer(shape: Shape, size: int) -> int:
    """Bytes that autograd keeps of one token in one layer; `size` is the bytes of a computed value.

    Of the residual stream's width: two norms keep their float32 input and their float32 normed input; their output goes
    into five linear maps, of which autocast keeps a bfloat16 copy each, and float32 one tensor for those that share it.
    Queries and keys: the float32 input of their norm and the normed, if the model has such norms, and what is rotated;
    values and the attention's output once; the MLP its halves, the activation and the product.
    """
    norms, inputs = 2 * (4 + 4), 5 * 2 if size == 2 else 2 * 4
    heads = (4 + size if shape.head_norms else 0) + size + size
    return (norms + inputs) * shape.width + heads * (shape.query + shape.key) + 4 * size * shape.mlp


def predict_stage(scenario: Scenario, stage: str) -> Prediction | None:
    """The prediction of a scenario's stage with its default teacher; None where a model's shape is unknown."""
    model = STAGE[stage].trained_model(scenario.default_teacher)
    trained, teacher = scenario.shape(model), scenario.shape(scenario.default_teacher)
    if trained is None or teacher is None:
        return None
    settings = scenario.file.stages.of(stage)
    hardware = scenario.file.hardware
    drawn = STAGE[stage].generates and scenario.engine == "transformers"
    load = Load(
        sequences=min(settings.micro_batch, settings.sequences_per_step // hardware.processes),
        rollouts=settings.sequences_per_rollout // hardware.processes if drawn else 0,
        prompt=longest_prompt(scenario),
        completion=settings.max_completion_tokens,
        dtype=hardware.dtype,
        cpu=scenario.device == "cpu",
        checkpointing=settings.gradient_checkpointing,
        accumulated=settings.accumulation(hardware.processes) > 1,
        kl=getattr(settings, "kl_coef", 0.0) > 0,
        teacher_offloaded=hardware.offload_teacher and scenario.device != "cpu",
        served=hardware.teacher_server is not None,
        shards=hardware.processes if hardware.sharding == "fsdp2" else 1,
        averaged=hardware.processes > 1 and hardware.sharding == "none",
    )
    in_process = None if hardware.teacher_server else teacher
    return predict(stage, trained, in_process, load, scenario.source(model).lora)


def longest_prompt(scenario: Scenario) -> int:
    """Tokens of the longest prompt that a stage trains on; of an outline, what is assumed."""
    if isinstance(scenario, Outline):
        return ASSUMED_PROMPT_TOKENS
    tokenizer: Any = load_tokenizer(scenario.base_folder("student"))
    texts = {problem.problem for problem in (*scenario.labels, *scenario.prompts)}
    prompts = [render_prompt(text, scenario.decoding) for text in sorted(texts)]
    return max(map(len, encode_prompts(tokenizer, prompts, scenario.file.template)))


def what_helps(scenario: Scenario, stage: str) -> dict[str, int]:
    """Changes of a scenario's file that make a stage smaller, each alone, with the bytes that are then predicted."""
    model = STAGE[stage].trained_model(scenario.default_teacher)
    now = predict_stage(scenario, stage)
    settings = scenario.file.stages.of(stage)
    half = settings.max_completion_tokens // 2
    changes = {
        f"lora: {{rank: 32}} on {model}": _with_lora(scenario.file, model),
        f"stages.{stage}.micro_batch: 1": _with(scenario.file, stage, micro_batch=1),
        f"stages.{stage}.gradient_checkpointing: true": _with(scenario.file, stage, gradient_checkpointing=True),
        f"stages.{stage}.max_completion_tokens: {half}": _with(scenario.file, stage, max_completion_tokens=half),
        "hardware: {processes: 8, sharding: fsdp2}": _with_hardware(scenario.file, processes=8, sharding="fsdp2"),
        "hardware.offload_teacher: true": _with_hardware(scenario.file, offload_teacher=True),
        "hardware.dtype: bfloat16": _with_hardware(scenario.file, dtype="bfloat16"),
        "hardware.teacher_server: {devices: '1'}": _with_hardware(scenario.file, teacher_server=TeacherServer()),
    }
    totals = {}
    for words, file in changes.items():
        try:
            check_batches(file, len(scenario.prompts))
        except ScenarioError:  # it would be refused
            continue
        changed = copy(scenario)
        changed.file = file
        predicted = predict_stage(changed, stage)
        if predicted is not None and now is not None and predicted.total < 0.98 * now.total:
            totals[words] = predicted.total
    return totals


def _with(file: ScenarioFile, stage: str, **changes: Any) -> ScenarioFile:
    return file.model_copy(update={"stages": file.stages.changed(stage, **changes)})


def _with_hardware(file: ScenarioFile, **changes: Any) -> ScenarioFile:
    return file.model_copy(update={"hardware": file.hardware.model_copy(update=changes)})


def _with_lora(file: ScenarioFile, model: str) -> ScenarioFile:
    source = (file.student if model == "student" else file.teachers[model]).model_copy(update={"lora": LoRASettings()})
    if model == "student":
        return file.model_copy(update={"student": source})
    return file.model_copy(update={"teachers": {**file.teachers, model: source}})
