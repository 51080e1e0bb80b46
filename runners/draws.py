"""Which items of its pool a block's steps draw, in which order, and how often.

A label stage's pool grows with every block, so each of its blocks begins a new permutation; its first steps may draw
from the labels alone that enter with the block. A transfer stage's pool stays the same, so its blocks deal out one
stream of permutations: no item comes again before all others have come.
"""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from tuition.planner.route import Block, Route, derive_seed
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import AnySettings, RejectionSettings, RLSettings, TransferSettings
from tuition.runners.store.block_record import Draws

Item = TypeVar("Item")


def shuffled_passes(pool: Sequence[Item], count: int, seed: int) -> list[Item]:
    """`count` items: seeded permutations of the pool, one after the other, so that all come equally often."""
    rng = random.Random(seed)
    items: list[Item] = []
    while len(items) < count:
        items += rng.sample(pool, len(pool))
    return items[:count]


def labels_drawn(block: Block, settings: RLSettings, labels: Sequence[str]) -> list[str]:
    """The labels that the steps of a GRPO block draw, in order, from those of its pool that a filter leaves, or all."""
    per_step = settings.prompts_per_step
    first, count = settings.steps_on_new_labels * per_step, settings.steps * per_step
    return new_first(labels, block.entering, first, count, block.seed)


def new_first(pool: Sequence[Item], new: Collection[Item], num_first: int, count: int, seed: int) -> list[Item]:
    """`count` items of a pool: the first `num_first` of those that are new to it, the others of all.

    All are of the whole pool where nothing in it is new, or everything.
    """
    entering = set(new)
    entered = [item for item in pool if item in entering]
    if not num_first or len(entered) in (0, len(pool)):
        return shuffled_passes(pool, count, seed)
    return shuffled_passes(entered, num_first, seed) + shuffled_passes(
        pool, count - num_first, derive_seed(seed, "all")
    )


def drawn(block: Block, num_items: int, count: int) -> list[int]:
    """The `count` items, by their index in a pool of `num_items`, that a transfer block's steps draw, in order."""
    # The seed of the stage's first block: what a later block goes on with needs no state, and no block depends on how
    # many follow.
    first = derive_seed(block.run_seed, block.stage, 0, str(block.teacher))
    return shuffled_passes(range(num_items), (block.index + 1) * count, first)[block.index * count :]


def count_labels(pool: Sequence[str], labels: Iterable[str], labels_per_block: int) -> Draws:
    """How often the labels of a pool are drawn."""
    place = {label: index for index, label in enumerate(pool)}
    return count_draws([place[label] for label in labels], len(place), labels_per_block)


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
        blocks = [block for block in route.blocks if block.stage == stage]
        # The merged block of an ordinary run is the only one of its stage.
        settings = scenario.file.stages.of_block(blocks[-1])
        if isinstance(settings, RLSettings) and settings.filter is None:
            labels = [label for block in blocks for label in labels_drawn(block, settings, block.pool)]
            found[stage] = count_labels(blocks[-1].pool, labels, scenario.file.labels_per_block)
        elif isinstance(settings, TransferSettings):
            count = settings.steps * settings.prompts_per_step
            num_items = len(blocks[-1].pool) or len(scenario.prompts)
            indices = [index for block in blocks for index in drawn(block, num_items, count)]
            found[stage] = count_draws(indices, num_items, num_items)
    return found
