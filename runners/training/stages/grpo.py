"""GRPO with a verifiable reward, by TRL's GRPOTrainer.

Teacher and student differ only in the model and in the labels they are given. The pool of a replay block holds labels
already paid for.
"""

from pathlib import Path
from typing import Any

from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.runners.scenarios.settings import RLSettings
from tuition.runners.training import pinned
from tuition.runners.training.sharding import reference_in_layers
from tuition.runners.training.stages.harness import (
    StageResult,
    StageWork,
    callbacks,
    pinned_vllm,
    rollout_arguments,
    run,
    trainer_arguments,
    warmed_up,
)
from tuition.runners.training.stages.rollout_ratio import with_ratio_curves


def make_reward(grader: Grader) -> Any:
    """TRL reward function: 1 for a correct answer, else 0. The same grader scores the benchmarks."""

    def correctness(prompts: list[Any], completions: list[Any], answer: list[str], **_: Any) -> list[float]:
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        return [float(g.verdict is Verdict.correct) for g in grader.grade_many(answer, texts)]

    return correctness


def _settings(work: StageWork) -> RLSettings:
    settings = work.order.settings
    assert isinstance(settings, RLSettings)
    return settings


def arguments(work: StageWork) -> dict[str, Any]:
    """Arguments of TRL's GRPOConfig."""
    settings = _settings(work)
    correction = settings.rollout_correction
    corrected = correction.mode != "off"
    return {
        **trainer_arguments(work),
        **rollout_arguments(work),
        **pinned.GRPO,
        "num_generations": settings.generations,
        "steps_per_generation": settings.accumulation(work.order.processes) * settings.updates_per_rollout,
        "beta": settings.kl_coef,
        "use_bias_correction_kl": settings.kl_form == "unbiased",
        "vllm_importance_sampling_correction": corrected,
        "vllm_importance_sampling_mode": correction.mode if corrected else "token_truncate",
        "vllm_importance_sampling_clip_min": correction.clip_min,
        "vllm_importance_sampling_clip_max": correction.clip_max,
        "epsilon": settings.clip,
        "loss_type": settings.loss,
        "scale_rewards": settings.scale_rewards,
    }


def make_trainer(work: StageWork, optimizers: tuple[Any, Any] = (None, None)) -> Any:
    """The GRPO trainer of one block; `optimizers` are given only to keep them in memory across blocks."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    reference = work.order.reference
    configuration = GRPOConfig(**arguments(work))
    # TRL loads the KL reference from the path the model came from. Point it at the start of the stage: left alone, it
    # would be the incoming checkpoint, and the anchor would move with every block.
    if reference is not None:
        work.model.config._name_or_path = str(reference)
    measured = with_ratio_curves(warmed_up(GRPOTrainer), _settings(work).rollout_correction)
    with pinned_vllm(work), reference_in_layers(work.order.sharded):
        trainer = measured(
            model=work.model,
            reward_funcs=make_reward(work.grader),
            args=configuration,
            train_dataset=Dataset.from_list(work.rows),
            processing_class=work.tokenizer,
            callbacks=callbacks(work),
            optimizers=optimizers,
        )
    if configuration.beta > 0 and trainer.ref_model is None:
        anchor_adapter(trainer.model, reference)
    return trainer


def anchor_adapter(model: Any, reference: Path | None) -> None:
    """Set the frozen "ref" adapter, which TRL copied from the incoming one, to the start of the stage.

    That is the checkpoint `reference`, or the untouched base model.
    """
    from peft import load_peft_weights, set_peft_model_state_dict

    if reference is not None:
        set_peft_model_state_dict(model, load_peft_weights(str(reference), device="cpu"), adapter_name="ref")
        return
    for name, parameter in model.named_parameters():
        if "lora_B.ref" in name:  # a zero B is the untouched base model
            parameter.data.zero_()


def train(work: StageWork) -> StageResult:
    """Train one GRPO block."""
    return run(make_trainer(work))
