"""What all stages share: TRL arguments, carried optimizer state, per-step curves.

A block's trainer starts with the model its parent left, takes over the parent's optimizer and scheduler when it
continues a stage, trains a fixed list of rows in their order, and hands back model, state and curves. Sequences of
four such blocks equal one process that keeps everything in memory, bit for bit on a CPU.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import TrainerCallback

from planner.route import Block
from runners.checkpoint import CarriedState

logger = logging.getLogger(__name__)

# What TRL calls a curve, and what the tables call it. A curve that a stage does not have stays empty.
CURVES = {
    "loss": "loss",
    "reward": "reward",
    "frac_reward_zero_std": "zero_variance_share",
    "entropy": "entropy",
    "kl": "kl",
    "completions/mean_length": "mean_tokens",
    "completions/clipped_ratio": "truncated_share",
    "num_tokens": "tokens_seen",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
}


@dataclass(frozen=True)
class StageWork:
    """Everything that a stage needs to train one block."""

    block: Block
    settings: Any
    model: Any
    tokenizer: Any
    rows: list[dict[str, Any]]
    """Training rows in their order, `steps` × prompts a step; a row has `prompt` and what its stage adds."""
    device: str
    dtype: str
    engine: str
    scratch: Path
    carried: CarriedState | None = None
    reference: Path | None = None
    """Checkpoint at the start of the stage, for the KL; None for the untouched LoRA base."""
    teacher: Any = None
    on_step: Callable[[int, int], None] | None = None
    template: Mapping[str, bool | str] = field(default_factory=dict)
    """Variables of the chat template."""


@dataclass(frozen=True)
class StageResult:
    """A trained block, still in memory."""

    model: Any
    carried: CarriedState
    curves: pd.DataFrame
    extra: dict[str, Any] = field(default_factory=dict)


class CarryState(TrainerCallback):
    """Load optimizer and scheduler state when training begins, after the trainer has made its own."""

    def __init__(self, carried: CarriedState | None):
        self.carried = carried

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over what the parent block left."""
        if self.carried is not None:
            kwargs["optimizer"].load_state_dict(self.carried.optimizer)
            kwargs["lr_scheduler"].load_state_dict(self.carried.scheduler)


class RecordCurves(TrainerCallback):
    """Collect one row of curves per optimizer step and report progress."""

    def __init__(self, steps: int, on_step: Callable[[int, int], None] | None):
        self.steps = steps
        self.on_step = on_step
        self.rows: list[dict[str, Any]] = []
        self._began = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the step's clock."""
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Keep the step's curves."""
        if not logs or "loss" not in logs:
            return  # the summary that the trainer logs at its end
        row = {"step": state.global_step, "seconds": time.perf_counter() - self._began}
        row |= {ours: logs.get(theirs) for theirs, ours in CURVES.items()}
        self.rows.append(row)
        logger.info("step %d/%d %s", state.global_step, self.steps, {k: v for k, v in row.items() if v is not None})
        if self.on_step is not None:
            self.on_step(state.global_step, self.steps)


def trainer_arguments(work: StageWork) -> dict[str, Any]:
    """Arguments that every TRL config of this project shares."""
    settings = work.settings
    return {
        "output_dir": str(work.scratch),
        "max_steps": settings.steps,
        "learning_rate": settings.learning_rate,
        # One warm-up per stage, then constant: a block's length must not change what the next one computes.
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": settings.lr_warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "per_device_train_batch_size": min(settings.micro_batch, settings.sequences_per_step),
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": work.block.seed,
        "bf16": work.dtype == "bfloat16",
        "use_cpu": work.device == "cpu",
        "dataloader_pin_memory": work.device != "cpu",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def rollout_arguments(work: StageWork) -> dict[str, Any]:
    """Arguments of the trainers that generate: temperature 1 and top-p 1, whatever the model's own defaults are."""
    arguments: dict[str, Any] = {
        "max_completion_length": work.settings.max_completion_tokens,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "shuffle_dataset": False,
        "use_vllm": work.engine == "vllm",
        "chat_template_kwargs": dict(work.template),
    }
    if work.engine == "vllm":
        arguments["vllm_mode"] = "colocate"
    return arguments


def callbacks(work: StageWork) -> list[TrainerCallback]:
    """The two callbacks of every stage."""
    return [CarryState(work.carried), RecordCurves(work.settings.steps, work.on_step)]


def run(trainer: Any) -> StageResult:
    """Train and collect what the block keeps."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    recorder = next(c for c in trainer.callback_handler.callbacks if isinstance(c, RecordCurves))
    if len(recorder.rows) != trainer.args.max_steps:
        raise RuntimeError(
            f"the block trained {len(recorder.rows)} of {trainer.args.max_steps} steps: its rows do not fill them"
        )
    carried = CarriedState(trainer.optimizer.state_dict(), trainer.lr_scheduler.state_dict())
    model = trainer.accelerator.unwrap_model(trainer.model)
    return StageResult(model, carried, pd.DataFrame(recorder.rows))
