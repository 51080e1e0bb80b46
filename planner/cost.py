"""What a route costs, in full or given the blocks that are already trained, and what that is predicted from.

A predicted number is a `Cost`: device-seconds and their source, which may be that nothing is known. Sums are a `Total`,
which says how much of it comes from which source. Device-seconds are reserved ones: wall time times devices.

Simplified: a block's cost depends on its stage, the trained model and the teacher, not on the growth of the pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Any, NamedTuple

from tuition.planner.route import Block, Route

SECONDS_PER_HOUR = 3600.0


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


class Work(NamedTuple):
    """What a block's cost depends on: its stage, the model that it trains, and the teacher that it learns from."""

    stage: str
    model: str
    teacher: str | None = None

    def __str__(self) -> str:
        return f"{self.stage} of {self.model}" + (f" from {self.teacher}" if self.teacher else "")


def work_of(block: Block) -> Work:
    """What a block's cost depends on."""
    return Work(block.stage, block.model, block.teacher_model)


class Source(StrEnum):
    """Where a predicted number comes from, the best first."""

    measured = "measured"
    """Blocks of the same recipe, on the same kind of device."""
    estimated = "estimated"
    """Something else that was measured, scaled by a stated law."""
    stated = "stated in the scenario"
    """The scenario's author."""
    unknown = "unknown"
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Predicted device-seconds, None where nothing is known, and their basis in words.

    Raises:
        ValueError: for seconds that are not a finite number of at least 0, or that contradict the source.
    """

    seconds: float | None
    source: Source
    basis: str

    def __post_init__(self) -> None:
        if (self.seconds is None) != (self.source is Source.unknown):
            raise ValueError(f"{self.seconds!r} seconds cannot be {self.source}")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"{self.seconds!r} seconds; give a finite number of at least 0")

    def times(self, count: float) -> Cost:
        """The cost of `count` of them."""
        return Cost(None if self.seconds is None else self.seconds * count, self.source, self.basis)


UNKNOWN = Cost(None, Source.unknown, Source.unknown.value)


@dataclass(frozen=True)
class Total:
    """A sum of costs.

    Attributes:
        known: device-seconds by source, without the parts of which nothing is known.
        unknown: names of those parts.
    """

    known: Mapping[Source, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[tuple[str, Cost]]) -> Total:
        """The sum of named costs."""
        known: dict[Source, float] = {}
        unknown: dict[str, None] = {}
        for name, cost in parts:
            if cost.seconds is None:
                unknown[name] = None
            else:
                known[cost.source] = known.get(cost.source, 0.0) + cost.seconds
        return cls({source: known[source] for source in Source if source in known}, tuple(unknown))

    def __add__(self, other: Total) -> Total:
        sources = [source for source in Source if source in self.known or source in other.known]
        known = {source: self.known.get(source, 0.0) + other.known.get(source, 0.0) for source in sources}
        return Total(known, tuple(dict.fromkeys([*self.unknown, *other.unknown])))

    @property
    def at_least(self) -> float:
        """Device-seconds of the parts that are known."""
        return sum(self.known.values())

    @property
    def seconds(self) -> float | None:
        """Device-seconds of all parts; None where one is unknown."""
        return None if self.unknown else self.at_least

    @property
    def rounded(self) -> float | None:
        """The same to a tenth of a second, as documents have it."""
        return None if self.seconds is None else round(self.seconds, 1)

    def basis(self) -> dict[str, Any]:
        """Where the sum comes from, as JSON values: seconds by source, and the names of unknown parts."""
        return {
            **{source.name: round(seconds, 1) for source, seconds in self.known.items()},
            **({Source.unknown.name: list(self.unknown)} if self.unknown else {}),
        }


class BlockCosts:
    """Predicted costs of a scenario's blocks.

    Args:
        costs: by kind of work; what is left out is unknown.
    """

    def __init__(self, costs: Mapping[Work, Cost]) -> None:
        self.costs = dict(costs)

    def of(self, block: Block) -> Cost:
        """The predicted cost of a block; of an ordinary run's, that of the blocks that it is."""
        return self.costs.get(work_of(block), UNKNOWN).times(block.merged)

    def relative(self, block: Block) -> float:
        """A weight to compare routes by, above 0; never to be shown as time.

        Seconds where they are known. What is unknown weighs as much as the mean of what is known, and where nothing is
        known each block weighs 1.
        """
        seconds = self.of(block).seconds
        if seconds is not None:
            return seconds
        known = [cost.seconds for cost in self.costs.values() if cost.seconds is not None]
        return block.merged * (fmean(known) if known else 1.0)

    def total(self, blocks: Iterable[Block]) -> Total:
        """What blocks cost together."""
        return Total.of((str(work_of(block)), self.of(block)) for block in blocks)

    def marginal(self, route: Route, state: Callable[[str], CheckpointState]) -> Total:
        """What the route would still cost, given the blocks in the store (see `missing_blocks`)."""
        return self.total(missing_blocks(route, state))
