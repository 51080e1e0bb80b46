"""How a work order is carried out: load what it names, train the block by its objective, write what it leaves."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tuition.benchmarks.grading.grader import Grader
from tuition.planner.stages import STAGE, Objective
from tuition.runners.events import Listener, ignore
from tuition.runners.training import pinned
from tuition.runners.training.checkpoint import load_carried, load_tokenizer, save_carried
from tuition.runners.training.process_environment import read_by_all, training_environment
from tuition.runners.training.sharding import unwritten
from tuition.runners.training.stages import forward_kl, grpo, reverse_kl, sft
from tuition.runners.training.stages.harness import StageResult, StageWork
from tuition.runners.training.work_order import WorkOrder

TRAINERS: Mapping[Objective, Callable[[StageWork], StageResult]] = {
    "grpo": grpo.train,
    "sft": sft.train,
    "forward_kl": forward_kl.train,
    "reverse_kl": reverse_kl.train,
}
"""What trains a block, by its stage's objective."""


@dataclass(frozen=True)
class TrainingOutput:
    """What training leaves: how it is written to the block's folder, its curves, and what it took."""

    write: Callable[[Path], object]
    curves: pd.DataFrame
    peak_memory_bytes: int
    processor_seconds: float = 0.0
    """Of other processes than this one, on a CPU."""


def train_block(
    order: WorkOrder,
    rows: list[dict[str, Any]],
    scratch: Path,
    grader: Grader,
    hear: Listener = ignore,
) -> StageResult:
    """Load what an order names and train its block in this process."""
    if order.device == "cpu":
        import tuition.runners.training.stages.preloaded  # noqa: F401
    with training_environment(order.device, order.sharded):
        work = StageWork(
            order=order,
            model=_model_to_train(order),
            tokenizer=load_tokenizer(order.model.base),
            rows=rows,
            scratch=scratch,
            grader=grader,
            carried=load_carried(order.carried) if order.carried else None,
            teacher=_teacher(order),
            hear=hear,
        )
        return TRAINERS[STAGE[order.block.stage].objective](work)


def _teacher(order: WorkOrder) -> Any:
    device = "cpu" if order.offload_teacher else order.device
    with read_by_all():
        return order.teacher.load(device, trainable=False) if order.teacher else None


def _model_to_train(order: WorkOrder) -> Any:
    # A model that is to be sharded need not fit one device.
    with unwritten() if order.sharded else nullcontext():
        model = order.model.load("cpu" if order.sharded else order.device, trainable=True)
    if order.adapter is None or order.adapter_seed is None:
        return model
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(order.adapter_seed)
    lora = order.adapter
    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    configuration = LoraConfig(**pinned.LORA, r=lora.rank, lora_alpha=lora.alpha, target_modules=modules)
    return get_peft_model(model, configuration, **pinned.ADAPTER)


def save_result(order: WorkOrder, result: StageResult, folder: Path) -> None:
    """Write what a block leaves: its model, tokenizer, optimizer state and curves."""
    # An adapter with a KL also holds the frozen "ref" adapter, which is not part of the result.
    only = {"selected_adapters": ["default"]} if order.adapter else {}
    result.model.save_pretrained(folder / "model", state_dict=result.weights, **only)
    load_tokenizer(order.model.base).save_pretrained(folder / "model")
    # The base's advice on sampling, for who uses the model elsewhere; here nothing but its end tokens is taken from it.
    if (advice := order.model.base / "generation_config.json").exists():
        shutil.copyfile(advice, folder / "model" / advice.name)
    save_carried(result.carried, folder)
    result.curves.to_parquet(folder / "train.parquet", index=False)
