"""The work of a block, counted from the sizes of its models and the settings of its stage.

Simplified: completions that were never drawn are taken to be half as long as their limit; decoding lasts until the
limit, because some sequence of a batch nearly always reaches it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuition.benchmarks.scoring.sampling import encode_prompts, render_prompt
from tuition.planner.cost import Work
from tuition.planner.cost_law import Workload
from tuition.planner.stages import STAGE, STUDENT
from tuition.runners.scenarios.outline import Outline
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import AnySettings, RejectionSettings, RLSettings, TransferSettings
from tuition.runners.scenarios.sources import Shape
from tuition.runners.training.checkpoint import load_tokenizer

ASSUMED_SHARE = 0.5
"""Of the limit that a completion fills, where none was drawn yet. Our choice."""
ASSUMED_PROMPT_TOKENS = 128
"""Of a prompt where no tokenizer is there to count with. Our choice."""
COUNTED_PROMPTS = 64


@dataclass(frozen=True)
class Batches:
    """How a block's work is cut: processes that train together, sequences drawn together before it, and by what."""

    processes: int
    generation_batch: int
    engine: str = "transformers"


def workload(
    stage: str,
    settings: AnySettings,
    trained: Shape,
    teacher: Shape | None,
    tokens: float,
    batches: Batches,
    drawn_before: int,
) -> Workload:
    """The work of one block.

    Args:
        stage: the stage's name.
        settings: of the stage.
        trained: shape of the model that is trained.
        teacher: shape of the teacher, if there is one.
        tokens: mean length of a sequence, prompt and completion.
        batches: how the work is cut.
        drawn_before: sequences that are drawn before training, by the teacher or by the stage's first checkpoint.
    """
    what = STAGE[stage]
    sequences = settings.steps * settings.sequences_per_step
    # Forward and backward; the forward once more with checkpointing, by the frozen KL reference, and for the
    # probabilities before training: of several updates on completions that were drawn together, of a correction.
    updates = settings.sequences_per_rollout // settings.sequences_per_step
    correction = settings.rollout_correction if isinstance(settings, RLSettings) else None
    corrects = correction is not None and correction.mode != "off" and batches.engine == "vllm"
    recomputes = updates > 1 or corrects
    forwards = 3 + settings.gradient_checkpointing + (getattr(settings, "kl_coef", 0.0) > 0) + recomputes
    passes = settings.steps * batches.processes * settings.accumulation(batches.processes)
    flops = 2.0 * forwards * trained.parameters * sequences * tokens
    training = forwards * trained.layers * passes
    if teacher is not None and what.is_dense:
        flops += 2.0 * teacher.parameters * sequences * tokens
        training += teacher.layers * passes
    # By the teacher, or by the first checkpoint of the stage (a filter's pass rates, samples to select from).
    writer = teacher if what.writer == "teacher" and teacher is not None else trained
    drawn, calls = drawn_before, -(-drawn_before // batches.generation_batch)
    if what.generates:
        drawn, calls = drawn + sequences, calls + settings.steps // updates * batches.processes
    limit = settings.max_completion_tokens
    return Workload(
        flops=flops + 2.0 * writer.parameters * drawn * limit,
        training_passes=training,
        decoding_passes=calls * limit * writer.layers,
        parameters=max(trained.parameters, teacher.parameters if teacher is not None else 0),
    )


def drawn_before(stage: str, settings: AnySettings, pool: int) -> int:
    """Sequences that are drawn before a block trains: teacher rollouts, rejection sampling, pass rates."""
    if isinstance(settings, RejectionSettings):
        return settings.samples_per_problem * pool
    if isinstance(settings, RLSettings):
        return settings.filter.samples * pool if settings.filter is not None else 0
    return settings.steps * settings.sequences_per_step if STAGE[stage].writer == "teacher" else 0


def scenario_workload(scenario: Scenario, work: Work, tokens: float | None = None) -> Workload | None:
    """The work of a scenario's block in the middle of its stage; None for unknown shapes.

    `tokens` is the mean length of a sequence, if it is known.
    """
    trained = scenario.shape(work.model)
    teacher = scenario.shape(work.teacher) if work.teacher is not None else None
    if trained is None or (work.teacher is not None and teacher is None):
        return None
    settings, hardware = scenario.file.stages.of(work.stage), scenario.file.hardware
    if tokens is None:
        tokens = prompt_tokens(scenario) + ASSUMED_SHARE * settings.max_completion_tokens
    pool = scenario.file.labels_per_block * (scenario.num_label_blocks + 1) // 2
    return workload(
        work.stage,
        settings,
        trained,
        teacher,
        tokens,
        Batches(hardware.processes, hardware.generation_batch, scenario.engine),
        drawn_before(work.stage, settings, pool),
    )


def score_workload(scenario: Scenario, samples: int, model: str = STUDENT) -> Workload | None:
    """The work of drawing so many samples of a model for a score; None for an unknown shape."""
    shape = scenario.shape(model)
    if shape is None:
        return None
    limit = scenario.file.decoding.max_new_tokens
    calls = -(-samples // scenario.file.hardware.generation_batch)
    return Workload(
        flops=2.0 * shape.parameters * samples * (prompt_tokens(scenario) + limit),
        training_passes=0,
        decoding_passes=calls * limit * shape.layers,
        parameters=shape.parameters,
        blocks=0,
    )


def prompt_tokens(scenario: Scenario) -> float:
    """Mean tokens of a prompt, of the first few; of an outline, what is assumed."""
    if isinstance(scenario, Outline):
        return ASSUMED_PROMPT_TOKENS
    tokenizer: Any = load_tokenizer(scenario.base_folder("student"))
    texts = [problem.problem for problem in scenario.labels[:COUNTED_PROMPTS]]
    prompts = [render_prompt(text, scenario.decoding) for text in texts]
    encoded = encode_prompts(tokenizer, prompts, scenario.file.template)
    return sum(map(len, encoded)) / len(encoded)


def stored_settings(stage: str, covered: Mapping[str, Any]) -> AnySettings:
    """The settings of a stored block, from what its key covers. ValueError for what cannot be read."""
    what = STAGE[stage]
    kind: type[AnySettings] = TransferSettings if what.is_transfer else RLSettings if what.is_rl else RejectionSettings
    return kind.model_validate({name: value for name, value in covered.items() if name in kind.model_fields})
