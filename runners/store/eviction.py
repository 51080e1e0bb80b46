"""What to evict from a store that is too large: least GPU-seconds per byte first.

A block is evicted in one step or in two: its optimizer state (resumable becomes evaluable), then the rest. Dropping the
state comes first where it frees at least as many bytes as the rest holds, as Adam's does.

Simplified: what is at stake is the price of training the block itself again. A block whose stage was begun by blocks
that are gone as well costs theirs on top, which depends on what will be asked for and is not known here.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """How much of a block is evicted."""

    optimizer = "optimizer"
    """The optimizer state only: the block can still be scored, but its stage cannot be continued."""

    block = "block"
    """All that is left of the block."""


@dataclass(frozen=True)
class StoredBlock:
    """What eviction has to know of a stored block.

    `gpu_seconds` is the price of training it again, `finished` the time it was trained (seconds since 1970),
    `optimizer_bytes` the size of its optimizer state (0 when that was dropped), `other_bytes` that of all the rest.
    """

    key: str
    gpu_seconds: float
    finished: float
    other_bytes: int
    optimizer_bytes: int


@dataclass(frozen=True)
class Eviction:
    """One step: the bytes that it frees, and the GPU-seconds that making them again would cost."""

    key: str
    part: Part
    freed_bytes: int
    gpu_seconds: float

    @property
    def gpu_seconds_per_byte(self) -> float:
        """What a freed byte costs to make again."""
        return self.gpu_seconds / max(1, self.freed_bytes)


def choose_evictions(
    blocks: Iterable[StoredBlock], protected: Collection[str], excess_bytes: int
) -> tuple[Eviction, ...]:
    """The evictions that free `excess_bytes`, in the order in which to carry them out.

    Least GPU-seconds per byte first, older blocks first among equals, and no more than are needed. Blocks whose keys
    are `protected` are never among them, so that less than `excess_bytes` may be freed in total.
    """
    candidates = [
        (step.gpu_seconds_per_byte, block.finished, block.key, number, step)
        for block in blocks
        if block.key not in protected
        for number, step in enumerate(_steps(block))
    ]
    chosen: list[Eviction] = []
    freed = 0
    for *_, step in sorted(candidates, key=lambda candidate: candidate[:4]):
        if freed >= excess_bytes:
            break
        chosen.append(step)
        freed += step.freed_bytes
    return tuple(chosen)


def _steps(block: StoredBlock) -> list[Eviction]:
    # In two steps only where the first costs no more per byte: the sorted order then keeps state before block.
    if block.optimizer_bytes and block.optimizer_bytes >= block.other_bytes:
        return [
            Eviction(block.key, Part.optimizer, block.optimizer_bytes, block.gpu_seconds),
            Eviction(block.key, Part.block, block.other_bytes, block.gpu_seconds),
        ]
    return [Eviction(block.key, Part.block, block.other_bytes + block.optimizer_bytes, block.gpu_seconds)]


def gpu_seconds_at_stake(evictions: Iterable[Eviction]) -> float:
    """What making all of it again would cost: a block counts once, though it be evicted in two steps."""
    return sum({step.key: step.gpu_seconds for step in evictions}.values())
