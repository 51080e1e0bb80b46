"""Which allocations to train so that a whole search space is covered at little cost.

`cover` adds routes to a first list, one after the other, each time one that brings the space nearer to the chosen
routes for little further training. A route that shares its beginning with a chosen one is cheap, so the choice leans
on shared prefixes by itself.

Simplified: greedy, over the distinct routes of many random allocations of the space (all of them, where the space is
small); the distance is our choice and the same in every space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, Route
from tuition.planner.space import SearchSpace
from tuition.planner.stages import LABEL_STAGES, TRANSFER_STAGES

MAX_CANDIDATES = 1500  # our choice: their distances fill 9 MB, and the choice takes seconds
MAX_DRAWS = 30_000
LABEL_WEIGHT = 2.0


def distances(space: SearchSpace, a: Sequence[Allocation], b: Sequence[Allocation]) -> NDArray[np.float32]:
    """Distances (len(a), len(b)): the sum over all block counts of |difference| / the most that the space allows.

    Label blocks count twice, because splits are what is searched for. Another teacher, or none, adds 1.
    """
    counts_a, counts_b = _coordinates(space, a), _coordinates(space, b)
    apart = np.zeros((len(a), len(b)), dtype=np.float32)
    for column_a, column_b in zip(counts_a.T, counts_b.T, strict=True):
        apart += np.abs(column_a[:, None] - column_b[None, :])
    teachers_a, teachers_b = (np.array([x.teacher or "" for x in allocations]) for allocations in (a, b))
    apart += teachers_a[:, None] != teachers_b[None, :]
    return apart


def _coordinates(space: SearchSpace, allocations: Sequence[Allocation]) -> NDArray[np.float32]:
    # The order of the columns is that in which distances are summed, and their rounding decides between equals.
    stages = (*LABEL_STAGES, *TRANSFER_STAGES)
    weights = {stage.name: LABEL_WEIGHT for stage in LABEL_STAGES}
    scale = {stage.name: max(1, space.most_blocks(stage)) for stage in stages}
    scale |= {"replay": max(space.num_label_blocks, space.max_replay)}
    counts = [allocation.model_dump() for allocation in allocations]
    rows = [[weights.get(name, 1.0) * row[name] / most for name, most in scale.items()] for row in counts]
    return np.array(rows, dtype=np.float32).reshape(len(allocations), len(scale))


def candidates(space: SearchSpace, compile: Callable[[Allocation], Route], seed: int) -> list[Route]:
    """Distinct routes of random allocations of the space, at most MAX_CANDIDATES; the same for the same seed."""
    routes: dict[str, Route] = {}
    for allocation in dict.fromkeys(space.random_allocations(MAX_DRAWS, seed)):
        route = compile(allocation)
        routes.setdefault(route.key, route)
        if len(routes) == MAX_CANDIDATES:
            break
    return list(routes.values())


def cover(
    space: SearchSpace,
    pool: Sequence[Route],
    first: Sequence[Route],
    count: int,
    block_seconds: Callable[[Block], float],
    run_seconds: float,
) -> list[Route]:
    """`count` routes with distinct keys: `first` (all of them, though they be more), then the best of `pool`.

    A route's gain is the sum over the pool of how much nearer it brings the nearest chosen route; its cost is the
    seconds of its blocks that no chosen route has, and `run_seconds`, what any run costs (its scores). The largest
    gain / sqrt(cost) is taken, the earlier route among equals; nothing further when nothing gains. Gain alone trains
    many more blocks than it must, and gain / cost crowds the routes around few teachers: the root is our choice.

    Raises:
        ValueError: when `run_seconds` is not above 0.
    """
    if not run_seconds > 0:
        raise ValueError(f"run_seconds={run_seconds!r}; a run costs more than 0 seconds")
    chosen = list({route.key: route for route in first}.values())
    trained = {block.key for route in chosen for block in route.blocks}
    allocations = [route.allocation for route in pool]
    apart = distances(space, allocations, allocations)
    nearest = np.full(len(pool), np.inf, dtype=np.float32)
    if chosen and pool:
        nearest = distances(space, allocations, [route.allocation for route in chosen]).min(axis=1)
    # Without a first route everything is equally far from everything: as far as the space is wide.
    nearest = np.minimum(nearest, apart.max(initial=1.0))
    while len(chosen) < count and len(pool):
        gains = np.maximum(nearest[None, :] - apart, 0).sum(axis=1)
        costs = np.array(
            [run_seconds + sum(block_seconds(b) for b in route.blocks if b.key not in trained) for route in pool]
        )
        best = int(np.argmax(gains / np.sqrt(costs)))
        if gains[best] <= 0:
            break
        chosen.append(pool[best])
        trained |= {block.key for block in pool[best].blocks}
        nearest = np.minimum(nearest, apart[best])
    return chosen
