"""Environment variables that change training: in one place, for blocks that this process trains and for its children.

Accelerate, and TrainingArguments through it, read precision, compilation, sharding and device from the environment:
`ACCELERATE_MIXED_PRECISION=bf16` of a user's shell, or of a configuration file of `accelerate launch`, would train a
float32 scenario in bfloat16 under the same key.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

READ_BY_ACCELERATE = ("ACCELERATE_", "FSDP_", "DEEPSPEED_", "MEGATRON_LM_", "PARALLELISM_CONFIG_")
"""Beginnings of names."""

RENDEZVOUS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

FIRST_READS = "FSDP_CPU_RAM_EFFICIENT_LOADING"
"""Whether transformers reads weights in the first process only, for Accelerate to send the others their shares."""

FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_OFFLOAD_PARAMS": "false",
    FIRST_READS: "true",
}
"""What `accelerate launch` would set from its options, for `tuition.runners.training.sharding`."""


def set_for_training(device: str, sharded: bool) -> None:
    """Set what a block's training needs, and clear what else is there that would change it."""
    for name in [name for name in os.environ if name.startswith(READ_BY_ACCELERATE)]:
        del os.environ[name]
    os.environ["ACCELERATE_USE_CPU"] = str(device == "cpu")
    if sharded:
        os.environ.update(FSDP2)


@contextmanager
def training_environment(device: str, sharded: bool) -> Iterator[None]:
    """The environment of training; afterwards that of before.

    Colocated vLLM sets the variables of a rendezvous, which what is started later in this process must not inherit.
    """
    before = {name: text for name, text in os.environ.items() if _changes_training(name)}
    set_for_training(device, sharded)
    try:
        yield
    finally:
        for name in [name for name in os.environ if _changes_training(name)]:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def read_by_all() -> Iterator[None]:
    """While a model is opened that is not sharded: every process reads its weights."""
    before = os.environ.pop(FIRST_READS, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[FIRST_READS] = before


def _changes_training(name: str) -> bool:
    return name.startswith(READ_BY_ACCELERATE) or name in RENDEZVOUS
