"""What a route costs, in full or given the blocks that are already trained.

Seconds are predicted per block from the stage and the trained model alone: the growth of the pool, the teacher that a
transfer block reads and the length of the completions are not modelled.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, median
from types import MappingProxyType

from tuition.planner.route import Block, Route

# Our choice, where nothing was measured and the caller has no prior: only the ratio between routes matters then.
UNKNOWN_BLOCK_SECONDS = 60.0


class CheckpointState(StrEnum):
    """What a store holds of a block's checkpoint."""

    absent = "absent"
    """Nothing: the block has to be trained."""

    evaluable = "evaluable"
    """The weights: it can be scored, start the next stage, be a teacher or a KL reference."""

    resumable = "resumable"
    """The weights and the optimizer state: its stage can also be continued."""


def missing_blocks(route: Route, state: Callable[[str], CheckpointState]) -> tuple[Block, ...]:
    """The blocks that must be trained so that the route's final checkpoint is there, in the order of execution.

    Continuing a stage needs the parent resumable; a checkpoint that starts the next stage, is a teacher, a KL reference
    or the final one needs its weights only. A block that nothing missing depends on is not missing. Where a parent has
    weights but no optimizer state, the stage goes back to its latest resumable block, or to its start. Base checkpoints
    are always available.

    Args:
        route: the route.
        state: what the store holds for a key; it is asked for keys of the route's blocks only.
    """
    needs_weights = {route.final}
    needs_optimizer: set[str] = set()
    missing: list[Block] = []
    # Whatever a block depends on stands before it, so one pass from the end sees every need before it answers it.
    for block in reversed(route.blocks):
        if block.key not in needs_weights and block.key not in needs_optimizer:
            continue
        held = state(block.key)
        if held is CheckpointState.resumable:
            continue
        if held is CheckpointState.evaluable and block.key not in needs_optimizer:
            continue
        missing.append(block)
        (needs_optimizer if block.continues_stage else needs_weights).add(block.parent)
        needs_weights.add(block.stage_start)
        if block.teacher is not None:
            needs_weights.add(block.teacher)
    return tuple(reversed(missing))


@dataclass(frozen=True, slots=True)
class Price:
    """What a block cost when it was trained.

    Its rollouts, if it needed any, are a separate artefact, named by a key: several blocks may share them.
    """

    gpu_seconds: float
    """Without rollouts."""
    rollouts: str | None = None
    rollouts_gpu_seconds: float = 0.0


def charge(chain: Iterable[Price], made: Collection[str] = ()) -> list[float]:
    """GPU-seconds that each block of a chain is charged: its own, and its rollouts' where it is the first to need them.

    >>> shared = [Price(5.0, "rollouts", 2.0), Price(3.0, "rollouts", 2.0), Price(1.0)]
    >>> charge(shared)
    [7.0, 3.0, 1.0]
    >>> charge(shared, made={"rollouts"})
    [5.0, 3.0, 1.0]

    Args:
        chain: prices of a route's blocks, in order.
        made: keys of rollouts that are there already and are charged to nobody.
    """
    seconds: list[float] = []
    charged: set[str] = set()
    for price in chain:
        total = price.gpu_seconds
        if price.rollouts is not None and price.rollouts not in charged and price.rollouts not in made:
            total += price.rollouts_gpu_seconds
            charged.add(price.rollouts)
        seconds.append(total)
    return seconds


class BlockCosts:
    """Predicted seconds of a block, learnt from measured ones.

    The prediction for a (stage, model) is the median of its measured seconds. Before the first measurement it is the
    caller's prior; where there is none, the mean of what is known (medians and priors); where nothing is known,
    `UNKNOWN_BLOCK_SECONDS`.

    Args:
        prior_seconds: the caller's guess, by (stage, model); model is "student" or the teacher's name.

    Raises:
        ValueError: for a prior that is not a positive number.
    """

    def __init__(self, prior_seconds: Mapping[tuple[str, str], float] | None = None) -> None:
        prior = dict(prior_seconds or {})
        for (stage, model), seconds in prior.items():
            _check_seconds(stage, model, seconds)
        self.prior_seconds: Mapping[tuple[str, str], float] = MappingProxyType(prior)
        self._measured_seconds: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def record(self, stage: str, model: str, seconds: float) -> None:
        """Add the measured seconds of one trained block.

        Raises:
            ValueError: for seconds that are not a positive number.
        """
        _check_seconds(stage, model, seconds)
        self._measured_seconds[stage, model].append(seconds)

    def seconds(self, stage: str, model: str) -> float:
        """Predicted seconds of one block of this stage on this model."""
        measured = {key: median(values) for key, values in self._measured_seconds.items()}
        known = {**self.prior_seconds, **measured}
        if (stage, model) in known:
            return known[stage, model]
        return fmean(known.values()) if known else UNKNOWN_BLOCK_SECONDS

    def route_seconds(self, route: Route) -> float:
        """The route's full cost: all of its blocks, whatever is in the store."""
        return sum(self.seconds(block.stage, block.model) for block in route.blocks)

    def marginal_seconds(self, route: Route, state: Callable[[str], CheckpointState]) -> float:
        """What the route would still cost, given the blocks in the store (see `missing_blocks`)."""
        return sum(self.seconds(block.stage, block.model) for block in missing_blocks(route, state))


def _check_seconds(stage: str, model: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{stage} on {model}: {seconds!r} seconds; give a positive finite number")
