"""A vLLM plugin for tests on a CPU: linear layers keep their weights, so that new ones can be loaded."""

from typing import Any


def register() -> None:
    """Replace the choice of a CPU's kernel, which repacks the weights, by torch's own product."""
    import torch
    from vllm.model_executor.layers import utils

    def keep_weights(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = keep_weights
