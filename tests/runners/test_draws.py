"""Which items a block's steps draw, and how often a route sees each label and each prompt."""

from collections import Counter

import pytest

from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, Label, Recipe, compile_route
from tuition.planner.stages import STAGES, TRANSFER_STAGES, Stage
from tuition.runners.draws import count_draws, drawn, labels_drawn, shuffled_passes, stage_draws
from tuition.runners.scenarios.outline import load_to_plan
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import RLSettings
from tuition.runners.store.block_record import Draws

RECIPE = Recipe(
    student="s", teachers={"t": "t"}, labels=tuple(Label(str(i), f"p{i}", f"c{i}") for i in range(16)),
    labels_per_block=2, prompts_sha256="p", stages={stage.name: {"revision": 1} for stage in STAGES}, environment={},
)  # fmt: skip


def blocks_of(stage: Stage, count: int, seed: int = 0) -> list[Block]:
    """The first `count` blocks of a stage."""
    counts = {stage.name: count}
    if stage.model == "teacher":
        counts |= {"opd": 1}
    taught = stage.model == "teacher" or stage.is_transfer
    route = compile_route(Allocation(teacher="t" if taught else None, **counts), RECIPE, seed)
    return [block for block in route.blocks if block.stage == stage.name]


def test_draws_are_even_seeded_and_cover_the_pool() -> None:
    items = shuffled_passes(list(range(6)), 20, seed=3)
    assert items == shuffled_passes(list(range(6)), 20, seed=3) != shuffled_passes(list(range(6)), 20, seed=4)
    assert set(items) == set(range(6)) and set(Counter(items).values()) <= {3, 4}


@pytest.mark.parametrize("stage", TRANSFER_STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize(("num_items", "count"), [(10, 5), (10, 10), (10, 4), (7, 20)])
def test_the_blocks_of_a_transfer_stage_deal_out_one_stream(stage: Stage, num_items: int, count: int) -> None:
    blocks = blocks_of(stage, 4)
    dealt = [drawn(block, num_items, count) for block in blocks]
    stream = [index for items in dealt for index in items]
    # The stage's first block draws what it would draw alone, and no item comes again before all others have come.
    assert stream == shuffled_passes(range(num_items), 4 * count, blocks[0].seed)
    for start in range(0, len(stream) - num_items + 1, num_items):
        assert sorted(stream[start : start + num_items]) == list(range(num_items))
    # No block depends on how many follow.
    assert [drawn(block, num_items, count) for block in blocks_of(stage, 2)] == dealt[:2]
    assert [drawn(block, num_items, count) for block in blocks_of(stage, 4, seed=1)] != dealt


def test_two_half_passes_are_one_pass() -> None:
    indices = [index for block in blocks_of(TRANSFER_STAGES[0], 2) for index in drawn(block, 10, 5)]
    assert count_draws(indices, 10, 10) == Draws(never=0, once=10, twice=0, more=0, passes=(1.0,))


def test_the_blocks_of_a_label_stage_each_begin_a_new_permutation() -> None:
    (stage,) = [stage for stage in STAGES if stage.name == "student_rl"]
    for block in blocks_of(stage, 3):
        labels = labels_drawn(block, RLSettings(steps=3, prompts_per_step=3), block.pool)
        assert labels == shuffled_passes(block.pool, 9, block.seed)


def test_a_blocks_first_steps_may_draw_from_its_new_labels_alone() -> None:
    (stage,) = [stage for stage in STAGES if stage.name == "student_rl"]
    settings = RLSettings(steps=6, prompts_per_step=4, new_labels_first=0.5)
    first, second, *_ = blocks_of(stage, 3)
    assert Counter(labels_drawn(first, settings, first.pool)) == dict.fromkeys(first.pool, 12)
    labels = labels_drawn(second, settings, second.pool)
    assert Counter(labels[:12]) == dict.fromkeys(second.new_labels, 6), "three steps of four"
    assert Counter(labels[12:]) == dict.fromkeys(second.pool, 3)
    whole = settings.model_copy(update={"new_labels_first": 1.0})
    assert set(labels_drawn(second, whole, second.pool)) == set(second.new_labels)
    # A filter may leave nothing that is new.
    assert set(labels_drawn(second, settings, first.pool)) == set(first.pool)


def test_replay_takes_up_the_teachers_labels_first_and_has_nothing_new_after_them() -> None:
    allocation = Allocation(teacher="t", teacher_rl=1, opd=1, student_rl=1, replay=2)
    blocks = [block for block in compile_route(allocation, RECIPE, 0).blocks if block.stage == "student_rl"]
    assert [len(block.entering) for block in blocks] == [2, 2, 0] and not blocks[1].new_labels
    settings = RLSettings(steps=2, prompts_per_step=2, new_labels_first=0.5)
    assert set(labels_drawn(blocks[1], settings, blocks[1].pool)[:2]) == set(blocks[1].entering)
    assert labels_drawn(blocks[2], settings, blocks[2].pool) == shuffled_passes(blocks[2].pool, 4, blocks[2].seed)


def test_draws_are_counted_by_item_and_by_label_block() -> None:
    draws = count_draws([0, 0, 1, 2, 2, 2, 5], num_items=6, slice_size=2)
    assert draws == Draws(never=2, once=2, twice=1, more=1, passes=(1.5, 1.5, 0.5))
    assert draws.items == 6
    assert count_draws([0, 2, 2], num_items=3, slice_size=3) == Draws(never=1, once=1, twice=1, more=0, passes=(1.0,))


@pytest.fixture(scope="module")
def lora() -> Scenario:
    """A block draws as many labels as it buys, here from all that are bought so far."""
    scenario = load_to_plan("qwen3-4b-to-0.6b-lora")
    stages = scenario.file.stages
    for stage in ("teacher_rl", "student_rl"):
        stages = stages.changed(stage, new_labels_first=0.0)
    return scenario.with_stages(stages)


def test_a_route_counts_the_passes_of_all_blocks_of_a_stage(lora: Scenario) -> None:
    route = compile_route(Allocation(teacher="4b", teacher_rl=8, warmup=1, opd=2), lora.recipe, 0)
    draws = stage_draws(route, lora)
    assert list(draws) == ["teacher_rl", "warmup", "opd"]
    # Block k draws 256 of 256 k labels: a label of block j is drawn 1/j + ... + 1/8 times on average.
    wanted = [sum(1 / k for k in range(j, 9)) for j in range(1, 9)]
    assert draws["teacher_rl"].passes == pytest.approx(wanted, abs=0.11)
    # Of those of block j, (j - 1) / 8 are in none of the draws: 7/16 of all.
    assert draws["teacher_rl"].never / draws["teacher_rl"].items == pytest.approx(7 / 16, abs=0.02)
    assert (draws["warmup"].never, draws["warmup"].once) == (2048, 2048)
    assert (draws["opd"].once, draws["opd"].passes) == (4096, (1.0,))
    shipped = load_to_plan("qwen3-4b-to-0.6b-lora")
    draws = stage_draws(route, shipped)
    assert (draws["teacher_rl"].never, draws["teacher_rl"].once) == (0, 2048), "as shipped: each block its own, once"


def test_stages_whose_rows_depend_on_what_a_model_gets_right_are_left_out(lora: Scenario) -> None:
    route = compile_route(Allocation(teacher="4b", teacher_sft=1, opd=1), lora.recipe, 0)
    assert list(stage_draws(route, lora)) == ["opd"]
