"""What all stages share: the work, TRL's arguments, and the training itself.

A block's trainer starts with the model its parent left, takes over the parent's optimizer and scheduler when it
continues a stage, trains a fixed list of rows in their order, and hands back model, state and curves. Sequences of
four such blocks equal one process that keeps everything in memory, bit for bit on a CPU.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.scoring.sampling import encode_prompts
from tuition.runners.events import Listener, ignore
from tuition.runners.training import pinned
from tuition.runners.training.checkpoint import CarriedState
from tuition.runners.training.sharding import gather_model, gather_optimizer
from tuition.runners.training.stages.served_divergence import over_step_tokens
from tuition.runners.training.stages.shared_vocabulary import over_shared_rows, shared_rows, without_padding
from tuition.runners.training.tracking import PROJECT, end_run, run_name, tracked_callbacks
from tuition.runners.training.work_order import WorkOrder

if TYPE_CHECKING:
    from transformers import TrainerCallback


@dataclass(frozen=True)
class StageWork:
    """A work order, and what was loaded for it."""

    order: WorkOrder
    model: Any
    tokenizer: Any
    rows: list[dict[str, Any]]
    """Training rows in their order, `steps` × prompts a step; a row has `prompt` and what its stage adds."""
    scratch: Path
    grader: Grader
    carried: CarriedState | None = None
    teacher: Any = None
    hear: Listener = ignore
    """Called with each step."""


@dataclass(frozen=True)
class StageResult:
    """A trained block, still in memory."""

    model: Any
    carried: CarriedState
    curves: pd.DataFrame
    weights: dict[str, Any] | None = None
    """Of a sharded model, gathered: in the first process, which writes it."""


def trainer_arguments(work: StageWork) -> dict[str, Any]:
    """Arguments that every TRL config of this project shares."""
    order, settings = work.order, work.order.settings
    return {
        **pinned.TRAINING,
        "output_dir": str(work.scratch),
        "max_steps": settings.steps,
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.lr_warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "per_device_train_batch_size": min(settings.micro_batch, settings.sequences_per_step // order.processes),
        "gradient_accumulation_steps": settings.accumulation(order.processes),
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": order.block.seed,
        "bf16": order.dtype == "bfloat16",
        "use_cpu": order.device == "cpu",
        "dataloader_pin_memory": order.device != "cpu",
        "logging_steps": 1,
        "save_strategy": "no",
        "trust_remote_code": order.model.trust,
        "report_to": "none",  # trackers come as callbacks, one run a block
        "run_name": run_name(order.block),
        "project": PROJECT,
        "disable_tqdm": True,
    }


def rollout_arguments(work: StageWork) -> dict[str, Any]:
    """Arguments of the trainers that generate: the decoding of training rollouts, whatever the model's own defaults."""
    order, max_tokens = work.order, work.order.settings.max_completion_tokens
    drawn_by_vllm = order.rollout_engine == "vllm"
    arguments: dict[str, Any] = {
        **pinned.ROLLOUTS,
        "max_completion_length": max_tokens,
        "use_vllm": drawn_by_vllm,
        "chat_template_kwargs": dict(order.template),
        "generation_kwargs": dict(pinned.SAMPLING if drawn_by_vllm else pinned.GENERATION),
    }
    if drawn_by_vllm:
        server = order.vllm.rollout_server
        arguments |= {
            "vllm_mode": "server" if server else "colocate",
            "vllm_server_base_url": server,
            "vllm_max_model_length": _longest(work) + max_tokens,
            "vllm_gpu_memory_utilization": order.vllm.gpu_memory_utilization,
            "vllm_tensor_parallel_size": order.vllm.tensor_parallel,
            # Gives the rollouts' memory back to training; a CPU has nothing to give.
            "vllm_enable_sleep_mode": order.device == "cuda" and server is None,
        }
    return arguments


@contextmanager
def pinned_vllm(work: StageWork) -> Iterator[None]:
    """While a trainer is made: the vLLM that it starts gets what TRL has no argument for."""
    if not work.order.colocated_vllm:
        yield
        return
    from trl.generation import vllm_generation

    original = vllm_generation.LLM
    vllm_generation.LLM = partial(original, **pinned.VLLM)
    try:
        yield
    finally:
        vllm_generation.LLM = original


def _longest(work: StageWork) -> int:
    """Tokens of the longest prompt: vLLM would else reserve memory for all that the model can take."""
    return max(map(len, encode_prompts(work.tokenizer, [row["prompt"] for row in work.rows], work.order.template)))


def distillation_arguments(work: StageWork, beta: float) -> dict[str, Any]:
    """Arguments of TRL's distillation with the teacher in this process or, where the order names one, behind a server.

    `beta` is 0 for the forward and 1 for the reverse KL.
    """
    arguments = {**trainer_arguments(work), **rollout_arguments(work), **pinned.DISTILLATION, "beta": beta}
    if work.order.teacher_url is None:
        return arguments
    return {
        **arguments,
        **pinned.SERVER_DISTILLATION,
        "teacher_model_server_url": work.order.teacher_url,
        "loss_top_k": work.order.teacher_top_k,
    }


def distillation_trainer(work: StageWork, beta: float, adapted: Callable[[Any], Any] = lambda trainer: trainer) -> Any:
    """TRL's distillation trainer of one block, of a class that `adapted` makes of TRL's."""
    from datasets import Dataset
    from trl import DistillationConfig, DistillationTrainer
    from trl.experimental.server_distillation import ServerDistillationConfig, ServerDistillationTrainer

    local = work.order.teacher_url is None
    trainer, arguments = DistillationTrainer if local else ServerDistillationTrainer, distillation_arguments(work, beta)
    if local and (rows := shared_rows(work.model, work.teacher)) is not None:
        trainer = over_shared_rows(trainer, rows)
        size = work.model.config.get_text_config().vocab_size
        arguments["generation_kwargs"] |= without_padding(rows, size, work.order.rollout_engine == "vllm")
    if not local:
        trainer = over_step_tokens(trainer)
    trainer = adapted(_autocast(warmed_up(trainer)))
    configuration = DistillationConfig if local else ServerDistillationConfig
    with pinned_vllm(work):
        made = trainer(
            model=work.model,
            **({"teacher_model": work.teacher} if local else {}),
            args=configuration(**arguments),
            train_dataset=Dataset.from_list(work.rows),
            processing_class=work.tokenizer,
            callbacks=callbacks(work),
        )
    _offload_teacher(made, work)
    return made


def warmed_up(trainer: Any) -> Any:
    """A trainer of TRL whose rate rises linearly from the first step on, and then stays.

    One warm-up per stage, then constant: a block's length must not change what the next one computes. transformers'
    own warm-up begins at a rate of 0, with which a stage's first step trains nothing.
    """

    class WarmedUp(trainer):  # type: ignore[misc]  # one of four classes of TRL, all untyped
        lr_scheduler: Any

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            from torch.optim.lr_scheduler import LambdaLR

            if self.lr_scheduler is None:
                factor = partial(warmup_factor, warmup_steps=self.args.warmup_steps)
                self.lr_scheduler = LambdaLR(optimizer or self.optimizer, factor)
                self._created_lr_scheduler = True
            return self.lr_scheduler

    return WarmedUp


def warmup_factor(step: int, warmup_steps: int) -> float:
    """What the rate of a step of a stage (from 0) is multiplied by."""
    return min(1.0, (step + 1) / max(1, warmup_steps))


def _autocast(trainer: Any) -> Any:
    """A trainer whose loss is computed in the type of the scenario.

    Accelerate casts in the model's forward pass, which TRL 1.16's distillation goes round: without this, a bridge in
    bfloat16 trains in float32.
    """

    class Autocast(trainer):  # type: ignore[misc]  # one of two classes of TRL, both untyped
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            with self.accelerator.autocast():
                return super().compute_loss(*args, **kwargs)

    return Autocast


def _offload_teacher(trainer: Any, work: StageWork) -> None:
    """Leave the teacher in the processor's memory; each layer comes to the device for its part of a forward pass.

    The output matrix stays on the device: the divergence multiplies with it in the forward and the backward pass.
    """
    if not work.order.offload_teacher or work.teacher is None:
        return
    from accelerate import cpu_offload

    device, backbone = trainer.accelerator.device, work.teacher.base_model
    weights = {name: tensor.cpu() for name, tensor in backbone.state_dict().items()}
    if device.type == "cuda":  # several times faster to copy from
        weights = {name: tensor.pin_memory() for name, tensor in weights.items()}
    cpu_offload(backbone, execution_device=device, state_dict=weights)


def callbacks(work: StageWork) -> "list[TrainerCallback]":
    """The callbacks of every stage."""
    from tuition.runners.training.stages.trainer_callbacks import CarryState, RecordCurves, SeedRollouts

    seeding = []
    if work.order.engine == "vllm":
        seeding = [SeedRollouts(work.order.vllm.tensor_parallel if work.order.colocated_vllm else 1)]
    recording = RecordCurves(work.order.block.key, work.order.settings.steps, work.hear)
    return [CarryState(work.carried), *seeding, recording, *tracked_callbacks(work.order.block)]


def run(trainer: Any) -> StageResult:
    """Train and collect what the block keeps."""
    from transformers.trainer_callback import PrinterCallback

    from tuition.runners.training.stages.trainer_callbacks import RecordCurves

    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train()
    finally:
        end_run()
    recorder = next(c for c in trainer.callback_handler.callbacks if isinstance(c, RecordCurves))
    if len(recorder.rows) != trainer.args.max_steps:
        raise RuntimeError(
            f"the block trained only {len(recorder.rows)} of {trainer.args.max_steps} steps: it has too few rows"
        )
    _free_vllm(trainer)
    optimizer = gather_optimizer(trainer.optimizer.state_dict(), keep=trainer.accelerator.is_main_process)
    weights = gather_model(trainer)
    model = trainer.accelerator.unwrap_model(trainer.model)
    carried = CarriedState(optimizer, trainer.lr_scheduler.state_dict())
    return StageResult(model, carried, pd.DataFrame(recorder.rows), weights)


def _free_vllm(trainer: Any) -> None:
    """Give back the memory of colocated vLLM, so that the next block's has room."""
    generation = getattr(trainer, "vllm_generation", None)
    # On a GPU its process ends with the block, and what sleeps cannot be taken apart.
    if generation is not None and hasattr(generation, "llm") and trainer.accelerator.device.type == "cpu":
        from vllm.distributed import cleanup_dist_env_and_memory

        del generation.llm
        gc.collect()
        cleanup_dist_env_and_memory()
