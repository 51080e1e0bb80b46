"""A block's work order: what a process needs to train it, as files and numbers, and how it is carried out.

The process that trains may be the engine's own, or one of several that `runners.launch` starts.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmarks.grading import Grader
from planner.route import Block
from runners.checkpoint import load_carried, load_model, load_tokenizer, save_carried
from runners.events import Listener, ignore
from runners.settings import LoRASettings, Settings, StageSettings, Vllm
from runners.stages import grpo, opd, sft, warmup
from runners.stages.harness import StageResult, StageWork

RENDEZVOUS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class ModelFiles:
    """A checkpoint's folder, the folder of the base model that it belongs to, and the type that it is opened in."""

    checkpoint: Path
    base: Path
    dtype: str
    trust: bool = False
    """Whether code that the model brings along may run."""

    def load(self, device: str, trainable: bool) -> Any:
        """The model; one that is not trained is in evaluation mode and wants no gradients."""
        model = load_model(self.checkpoint, self.dtype, device, self.base, trainable, self.trust)
        return model if trainable else model.eval().requires_grad_(False)


class WorkOrder(BaseModel):
    """Everything that training a block needs, but its rows."""

    model_config = ConfigDict(frozen=True)

    block: Block
    settings: dict[str, Any]
    model: ModelFiles
    adapter: LoRASettings | None = None
    """Of the adapter that the model has or, with `adapter_seed`, gets now."""
    adapter_seed: int | None = None
    teacher: ModelFiles | None = None
    teacher_url: str | None = None
    teacher_top_k: int = 0
    carried: Path | None = None
    """Folder with the optimizer state of the block before."""
    reference: Path | None = None
    device: str
    dtype: str
    engine: str
    vllm: Vllm = Vllm()
    template: dict[str, bool | str] = {}
    offload_teacher: bool = False
    processes: int = 1
    sharded: bool = False

    @property
    def apart(self) -> bool:
        """Whether other processes than the engine's train it: several, or one that holds vLLM beside the trainer.

        What vLLM took of a GPU comes back for certain only when its process ends.
        """
        drawn = self.block.stage in ("teacher_rl", "student_rl", "opd")
        colocated = drawn and self.engine == "vllm" and self.vllm.rollout_server is None
        return self.processes > 1 or (colocated and self.device == "cuda")

    def stage_settings(self) -> Settings:
        """The settings in their stage's type."""
        stage = self.block.stage
        settings: Settings = getattr(StageSettings.model_validate({stage: self.settings}), stage)
        return settings


def carry_out(
    order: WorkOrder,
    rows: list[dict[str, Any]],
    scratch: Path,
    grader: Grader,
    hear: Listener = ignore,
) -> StageResult:
    """Load what an order names and train its block in this process."""
    before = {name: os.environ.get(name) for name in RENDEZVOUS}
    try:
        return _train(order, rows, scratch, grader, hear)
    finally:  # colocated vLLM sets them, and what is started later in this process must not inherit them
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _train(
    order: WorkOrder,
    rows: list[dict[str, Any]],
    scratch: Path,
    grader: Grader,
    hear: Listener,
) -> StageResult:
    work = StageWork(
        block=order.block,
        settings=order.stage_settings(),
        model=_model_to_train(order),
        tokenizer=load_tokenizer(order.model.base),
        rows=rows,
        device=order.device,
        dtype=order.dtype,
        engine=order.engine,
        scratch=scratch,
        carried=load_carried(order.carried) if order.carried else None,
        reference=order.reference,
        teacher=order.teacher.load("cpu" if order.offload_teacher else order.device, False) if order.teacher else None,
        offload_teacher=order.offload_teacher,
        hear=hear,
        vllm=order.vllm,
        teacher_url=order.teacher_url,
        teacher_top_k=order.teacher_top_k,
        template=order.template,
        processes=order.processes,
        trust=order.model.trust,
    )
    if order.block.stage in ("teacher_rl", "student_rl"):
        return grpo.train(work, grader)
    stages: Mapping[str, Callable[[StageWork], StageResult]] = {
        "teacher_sft": sft.train,
        "transfer_sft": sft.train,
        "warmup": warmup.train,
        "opd": opd.train,
    }
    return stages[order.block.stage](work)


def _model_to_train(order: WorkOrder) -> Any:
    # A model that is to be sharded need not fit one device.
    model = order.model.load("cpu" if order.sharded else order.device, trainable=True)
    if order.adapter is None or order.adapter_seed is None:
        return model
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(order.adapter_seed)
    lora = order.adapter
    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return get_peft_model(
        model, LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=modules, task_type="CAUSAL_LM")
    )


def save_result(order: WorkOrder, result: StageResult, folder: Path) -> None:
    """Write what a block leaves: its model, tokenizer, optimizer state and curves."""
    # An adapter with a KL also holds the frozen "ref" adapter, which is not part of the result.
    only = {"selected_adapters": ["default"]} if order.adapter else {}
    result.model.save_pretrained(folder / "model", state_dict=result.weights, **only)
    load_tokenizer(order.model.base).save_pretrained(folder / "model")
    save_carried(result.carried, folder)
    result.curves.to_parquet(folder / "train.parquet", index=False)
