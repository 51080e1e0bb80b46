"""Which items of its pool a block's steps draw, in which order, and how often.

A label stage's pool grows with every block, so each of its blocks begins a new permutation. A transfer stage's pool
stays the same, so its blocks deal out one stream of permutations: no item comes again before all others have come.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tuition.planner.route import Block, Route, derive_seed
from tuition.planner.stages import STAGE
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import AnySettings, RejectionSettings
from tuition.runners.store.block_record import Draws


def shuffled_passes(pool: Sequence[Any], count: int, seed: int) -> list[Any]:
    """`count` items: seeded permutations of the pool, one after the other, so that all come equally often."""
    rng = random.Random(seed)
    items: list[Any] = []
    while len(items) < count:
        items += rng.sample(pool, len(pool))
    return items[:count]


def drawn(block: Block, num_items: int, count: int) -> list[int]:
    """The `count` items, by their index in a pool of `num_items`, that a block's steps draw, in order."""
    if not STAGE[block.stage].is_transfer:
        return shuffled_passes(range(num_items), count, block.seed)
    # The seed of the stage's first block: what a later block goes on with needs no state, and no block depends on how
    # many follow.
    first = derive_seed(block.run_seed, block.stage, 0, str(block.teacher))
    return shuffled_passes(range(num_items), (block.index + 1) * count, first)[block.index * count :]


def draws_per_block(settings: AnySettings) -> int | None:
    """Prompts that a block draws, repeats counted; None for a teacher's SFT, which draws from its correct samples."""
    return None if isinstance(settings, RejectionSettings) else settings.steps * settings.prompts_per_step


def count_draws(indices: Iterable[int], num_items: int, slice_size: int) -> Draws:
    """How often the items of a pool are drawn; `slice_size` of them are one label block."""
    times = Counter(indices)
    seen = [times[index] for index in range(num_items)]
    slices = [seen[start : start + slice_size] for start in range(0, num_items, slice_size)]
    passes = tuple(round(sum(part) / len(part), 4) for part in slices)
    shares = Counter(min(count, 3) for count in seen)
    return Draws(never=shares[0], once=shares[1], twice=shares[2], more=shares[3], passes=passes)


def stage_draws(route: Route, scenario: Scenario) -> dict[str, Draws]:
    """How often each stage of a route draws the items of its pool, over all of its blocks.

    Without the stages whose rows depend on what a model gets right: a teacher's SFT, and GRPO with a filter.
    """
    found = {}
    for stage in dict.fromkeys(block.stage for block in route.blocks):
        settings = scenario.file.stages.of(stage)
        count = draws_per_block(settings)
        if count is None or getattr(settings, "filter", None) is not None:
            continue
        blocks = [block for block in route.blocks if block.stage == stage]
        num_items = len(blocks[-1].pool) or len(scenario.prompts)
        indices = [index for block in blocks for index in drawn(block, len(block.pool) or num_items, count)]
        found[stage] = count_draws(indices, num_items, slice_size(blocks[-1], num_items, scenario))
    return found


def slice_size(block: Block, num_items: int, scenario: Scenario) -> int:
    """Items of a block's pool of `num_items` that are counted together: one label block; prompts are not divided."""
    return scenario.file.labels_per_block if STAGE[block.stage].buys_labels else num_items
