"""Sharded training by FSDP2: weights, gradients and optimizer of a block are spread over the processes that train it.

What a block leaves is whole, as without sharding: every process takes part in gathering it, one writes it. Optimizer
state that is carried is read whole by every process, which keeps its share.
"""

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


def whole(value: Any) -> Any:
    """A value of a state dictionary; a sharded tensor is gathered by all processes together."""
    return value.full_tensor().cpu() if hasattr(value, "full_tensor") else value


def gather_model(trainer: Any) -> dict[str, Any] | None:
    """The weights of a sharded model, whole; None where it is not sharded. All processes have to call it."""
    if not trainer.is_fsdp_enabled:
        return None
    weights: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model)
    # One matrix under two names is gathered twice, and would be stored twice.
    tied = getattr(trainer.accelerator.unwrap_model(trainer.model), "all_tied_weights_keys", None) or {}
    return {name: tensor for name, tensor in weights.items() if name not in tied}


def gather_optimizer(state: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's state dictionary with whole tensors. All processes have to call it."""
    gathered = {
        index: {name: whole(value) for name, value in values.items()} for index, values in state["state"].items()
    }
    return {**state, "state": gathered}


def shard_optimizer(state: dict[str, Any], param_groups: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole optimizer state in the shards of the parameters that it belongs to; as it is, where there are none."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    # torch counts an optimizer's parameters through its groups.
    parameters = [parameter for group in param_groups for parameter in group["params"]]

    def share(index: int, value: Any) -> Any:
        parameter = parameters[index]
        if not isinstance(parameter, DTensor) or getattr(value, "shape", None) != parameter.shape:
            return value  # not sharded, or a number: Adam's count of steps
        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)

    shared = {
        index: {name: share(index, value) for name, value in values.items()} for index, values in state["state"].items()
    }
    return {**state, "state": shared}
