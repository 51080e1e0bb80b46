"""A recipe remembers the blocks that it has compiled: that changes no route, and goes to no other process."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from tuition.planner import route as module
from tuition.planner.route import Recipe, compile_checkpoint, compile_route
from tuition.planner.space import SearchSpace

SPACE = SearchSpace(
    teachers=("large", "small"), num_label_blocks=3, max_warmup=1, max_opd=1, max_replay=2, prepare=("rl", "sft"),
    transfer=("bridge", "sft"),
)  # fmt: skip


@pytest.mark.parametrize("limit", [module.KNOWN_BLOCKS, 7])
def test_routes_are_those_of_a_recipe_that_has_compiled_nothing(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(module, "KNOWN_BLOCKS", limit)
    used = replace(recipe, stages={name: {**settings, "steps": 4} for name, settings in recipe.stages.items()})
    spaces = [SPACE.model_copy(update={"prompts": prompts}) for prompts in ("pool", "labels")]
    allocations = [allocation for space in spaces for allocation in space.allocations()]
    checkpoints = dict.fromkeys(one for allocation in allocations for one in allocation.checkpoints())
    assert len(checkpoints) > 300
    for seed in (1, 2, 1):
        for checkpoint in checkpoints:
            for ordinary in (False, True):
                route = compile_checkpoint(checkpoint, used, seed, ordinary=ordinary)
                assert route == compile_checkpoint(checkpoint, replace(used), seed, ordinary=ordinary)
                assert len(used.known_blocks) <= limit


def test_another_process_gets_the_recipe_without_them(recipe: Recipe) -> None:
    allocation = SPACE.allocations()[-1]
    route = compile_route(allocation, recipe, 0)
    assert recipe.known_blocks
    sent = pickle.loads(pickle.dumps(recipe))
    assert sent == recipe and "known_blocks" not in vars(sent)
    assert compile_route(allocation, sent, 0) == route
