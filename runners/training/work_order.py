"""A block's work order: what a process needs to train it, as files and numbers.

The process that trains may be the engine's own, or one of several that `tuition.runners.training.launch` starts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tuition.benchmarks.grading.policies import DEFAULT_POLICY
from tuition.planner.route import Block
from tuition.planner.stages import STAGE
from tuition.runners.scenarios.settings import AnySettings, LoRASettings, Vllm
from tuition.runners.training.checkpoint import load_model

# In the folder that an order is handed over in: what a process reads, tells and leaves.
ORDER, ROWS, EVENTS, OUT, META = "order.json", "rows.jsonl", "events.jsonl", "out", "meta.json"


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
    settings: AnySettings
    model: ModelFiles
    adapter: LoRASettings | None = None
    """Of the adapter that the model has or, with `adapter_seed`, gets now."""
    adapter_seed: int | None = None
    teacher: ModelFiles | None = None
    teacher_url: str | None = None
    """A server with the teacher, instead of `teacher`."""
    teacher_top_k: int = 0
    carried: Path | None = None
    """Folder with the optimizer state of the block before."""
    reference: Path | None = None
    """Checkpoint at the start of the stage, for the KL; None for the untouched base of an adapter."""
    device: str
    dtype: str
    engine: str
    vllm: Vllm = Vllm()
    grading: str = DEFAULT_POLICY
    """The policy of the rewards."""
    template: dict[str, bool | str] = {}
    """Variables of the chat template."""
    offload_teacher: bool = False
    processes: int = 1
    """That train together; each has its share of a step's sequences."""
    sharded: bool = False

    @property
    def rollout_engine(self) -> str:
        """What draws completions while it trains; a stage that draws none has no use for vLLM."""
        return self.engine if STAGE[self.block.stage].generates else "transformers"

    @property
    def colocated_vllm(self) -> bool:
        """Whether the trainer holds a vLLM of its own."""
        return self.rollout_engine == "vllm" and self.vllm.rollout_server is None

    @property
    def apart(self) -> bool:
        """Whether other processes than the engine's train it: several, or one that holds vLLM beside the trainer.

        What vLLM took of a GPU comes back for certain only when its process ends.
        """
        return self.processes > 1 or (self.colocated_vllm and self.device == "cuda")
