"""Sharded training by FSDP2: weights, gradients and optimizer of a block are spread over the processes that train it.

What a block leaves is whole, as without sharding: every process takes part in gathering it, and the first one alone
holds and writes it. Models are read by the first process, which sends the others their shares; of optimizer state that
is carried, every process reads its share.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


def allow_on_a_cpu() -> None:
    """Let Accelerate shard on a CPU: it does so on accelerators only, though FSDP2 and gloo can."""
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    original = PartialState.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_XPU  # becomes FSDP; nothing else asks for an XPU then

    PartialState.__init__ = init


def unwritten() -> AbstractContextManager[object]:
    """While a model is opened that the first process reads: in the others its parameters' memory is never touched.

    transformers fills it with zeros, which would take the room that reading in one process is to save; Accelerate
    replaces them by what the first process sends.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Unwritten(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.zeros_like and isinstance(args[0], torch.nn.Parameter) and args[0].is_meta:
                func = torch.empty_like
            return func(*args, **(kwargs or {}))

    return Unwritten()


@contextmanager
def reference_in_layers(sharded: bool) -> Iterator[None]:
    """While a GRPO trainer is made: shard its KL reference as the trained model is.

    TRL shards it as one unit of weights that every process has read: each would hold all of it in its host's memory,
    and then on its device in every forward pass.
    """
    if not sharded:
        yield
        return
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model
    from trl.trainer import grpo_trainer

    original = grpo_trainer.prepare_fsdp
    grpo_trainer.prepare_fsdp = lambda model, accelerator: fsdp2_prepare_model(accelerator, model).eval()
    try:
        with unwritten():
            yield
    finally:
        grpo_trainer.prepare_fsdp = original


def gather_model(trainer: Any) -> dict[str, Any] | None:
    """The weights of a sharded model, whole in the first process and none in the others; None where it is not sharded.

    All processes have to call it.
    """
    if not trainer.is_fsdp_enabled:
        return None
    weights: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model)
    # One matrix under two names is gathered twice, and would be stored twice.
    tied = getattr(trainer.accelerator.unwrap_model(trainer.model), "all_tied_weights_keys", None) or {}
    return {name: tensor for name, tensor in weights.items() if name not in tied}


def gather_optimizer(state: dict[str, Any], keep: bool) -> dict[str, Any]:
    """An optimizer's state dictionary with whole tensors; without any where the process is not to `keep` it.

    All processes have to call it. A sharded tensor is whole on every device for a moment, one after the other.
    """
    gathered: dict[int, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            whole = value.full_tensor() if hasattr(value, "full_tensor") else value
            if keep:
                gathered.setdefault(index, {})[name] = whole.cpu() if whole is not value else value
    return {**state, "state": gathered}


def shard_optimizer(state: dict[str, Any], param_groups: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole optimizer state in the shards of the parameters that it belongs to; as it is, where there are none.

    Of tensors that lie in a file (`load_carried`), only this process's share is read.
    """
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    # torch counts an optimizer's parameters through its groups.
    parameters = [parameter for group in param_groups for parameter in group["params"]]

    def share(index: int, value: Any) -> Any:
        parameter = parameters[index]
        if not isinstance(parameter, DTensor) or getattr(value, "shape", None) != parameter.shape:
            return value  # not sharded, or a number: Adam's count of steps
        mesh, placements = parameter.device_mesh, parameter.placements
        shape, offset = compute_local_shape_and_global_offset(value.shape, mesh, placements)
        own = value[tuple(slice(start, start + size) for start, size in zip(offset, shape, strict=True))]
        local = own.clone().to(parameter.device)
        return DTensor.from_local(local, mesh, placements, shape=parameter.shape, stride=parameter.stride())

    shared = {
        index: {name: share(index, value) for name, value in values.items()} for index, values in state["state"].items()
    }
    return {**state, "state": shared}
