from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tuition.planner
from tuition.planner.allocation import Allocation, AllocationError, replay_control
from tuition.planner.route import Block, Label, Recipe, RecipeError, Route, compile_route, derive_seed
from tuition.planner.stages import STAGE, STAGES

FULL = "teacher=large teacher_rl=3 warmup=2 opd=2 student_rl=3 replay=2"
TEACHER_BLOCKS = st.integers(0, 4)
STUDENT_BLOCKS = st.integers(0, 4)


def compiled(text: str, recipe: Recipe, seed: int = 0) -> Route:
    return compile_route(Allocation.parse(text), recipe, seed)


def keys(route: Route, *stages: str) -> list[str]:
    return [block.key for block in route.blocks if not stages or block.stage in stages]


def stage_of(route: Route, stage: str) -> list[Block]:
    return [block for block in route.blocks if block.stage == stage]


def ids(recipe: Recipe, first_block: int, past_block: int, seed: int = 0) -> tuple[str, ...]:
    size = recipe.labels_per_block
    return tuple(label.id for label in recipe.label_order(seed)[first_block * size : past_block * size])


# Structure


def test_blocks_stand_in_the_order_of_execution(recipe: Recipe) -> None:
    route = compiled(FULL, recipe)
    stages = ["teacher_rl"] * 3 + ["warmup"] * 2 + ["opd"] * 2 + ["student_rl"] * 5
    assert [block.stage for block in route.blocks] == stages
    assert [block.index for block in route.blocks] == [0, 1, 2, 0, 1, 0, 1, 0, 1, 2, 3, 4]
    assert [block.model for block in route.blocks] == ["large"] * 3 + ["student"] * 9
    assert route.key == route.final == route.blocks[-1].key


def test_each_stage_continues_the_one_before(recipe: Recipe) -> None:
    route = compiled(FULL, recipe)
    teacher, warmup, opd = stage_of(route, "teacher_rl"), stage_of(route, "warmup"), stage_of(route, "opd")
    student = stage_of(route, "student_rl")
    starts = [teacher[0].parent, warmup[0].parent, opd[0].parent, student[0].parent]
    assert starts == ["large-sha", "student-sha", warmup[-1].key, opd[-1].key]
    for stage in (teacher, warmup, opd, student):
        assert {block.stage_start for block in stage} == {stage[0].parent}
        assert [block.parent for block in stage[1:]] == [block.key for block in stage[:-1]]
        assert [block.continues_stage for block in stage] == [False] + [True] * (len(stage) - 1)


def test_transfer_blocks_read_the_final_teacher_and_no_other_block_has_one(recipe: Recipe) -> None:
    route = compiled(FULL, recipe)
    final_teacher = stage_of(route, "teacher_rl")[-1].key
    for block in route.blocks:
        assert block.teacher == (final_teacher if block.stage in ("warmup", "opd") else None)
    raw = compiled("teacher=large opd=1 student_rl=1", recipe)
    assert raw.blocks[0].teacher == "large-sha"


def test_the_base_student_is_a_route_without_blocks(recipe: Recipe) -> None:
    route = compiled("base", recipe)
    assert (route.blocks, route.final, route.labels_trained) == ((), "student-sha", ())


# Labels and pools


def test_the_teacher_buys_first_and_each_stage_draws_from_all_it_has_bought(recipe: Recipe) -> None:
    route = compiled("teacher=large teacher_rl=2 opd=1 student_rl=2", recipe)
    teacher, student = stage_of(route, "teacher_rl"), stage_of(route, "student_rl")
    assert [block.pool for block in teacher] == [ids(recipe, 0, 1), ids(recipe, 0, 2)]
    assert [block.new_labels for block in teacher] == [ids(recipe, 0, 1), ids(recipe, 1, 2)]
    assert [block.pool for block in student] == [ids(recipe, 2, 3), ids(recipe, 2, 4)]
    assert [block.new_labels for block in student] == [ids(recipe, 2, 3), ids(recipe, 3, 4)]
    assert route.labels_trained == ids(recipe, 0, 4)


def test_the_replay_control_grows_over_the_teachers_labels_and_no_further(recipe: Recipe) -> None:
    route = compile_route(
        replay_control(Allocation(teacher="large", teacher_rl=2, opd=1, student_rl=4)), recipe, seed=0
    )
    replay = stage_of(route, "student_rl")
    assert [block.pool for block in replay] == [ids(recipe, 0, 1)] + [ids(recipe, 0, 2)] * 3
    assert all(block.new_labels == () for block in replay)
    assert route.labels_trained == ids(recipe, 0, 2)


def test_replay_after_fresh_blocks_adds_the_teachers_labels_to_the_students(recipe: Recipe) -> None:
    replay = stage_of(compiled("teacher=large teacher_rl=1 opd=1 student_rl=2 replay=2", recipe), "student_rl")[2:]
    assert [block.index for block in replay] == [2, 3]
    assert [set(block.pool) for block in replay] == [set(ids(recipe, 0, 3))] * 2


def test_replay_without_a_teacher_stays_on_the_students_labels(recipe: Recipe) -> None:
    student = compiled("student_rl=2 replay=2", recipe).blocks
    assert [block.pool for block in student[2:]] == [ids(recipe, 0, 2)] * 2


def test_transfer_prompts_are_the_pool_or_the_teachers_problems(recipe: Recipe) -> None:
    assert compiled("teacher=large teacher_rl=2 opd=1", recipe).blocks[-1].pool == ()
    on_labels = compiled("teacher=large teacher_rl=2 opd=1 prompts=labels", recipe).blocks[-1]
    assert (on_labels.pool, on_labels.new_labels) == (ids(recipe, 0, 2), ())
    raw = compiled("teacher=large opd=1 prompts=labels", recipe)
    assert (raw.blocks[-1].pool, raw.labels_trained) == (ids(recipe, 0, 8), ())


@given(t=TEACHER_BLOCKS, s=STUDENT_BLOCKS, replay=st.integers(0, 6), seed=st.integers(0, 5))
def test_labels_are_paid_for_before_they_are_drawn_from(recipe: Recipe, t: int, s: int, replay: int, seed: int) -> None:
    allocation = Allocation(teacher="large", teacher_rl=t, opd=1, student_rl=s, replay=replay if t + s else 0)
    route = compile_route(allocation, recipe, seed)
    bought: set[str] = set()
    for block in route.blocks:
        assert not bought & set(block.new_labels)
        bought |= set(block.new_labels)
        assert set(block.pool) <= bought
        assert len(set(block.pool)) == len(block.pool)
    assert route.labels_trained == ids(recipe, 0, t + s, seed)


# Prefixes


@given(first=st.integers(1, 8), second=st.integers(1, 8))
def test_all_teacher_splits_share_one_teacher_chain(recipe: Recipe, first: int, second: int) -> None:
    short, long = sorted((first, second))
    short_route = compiled(f"teacher=large teacher_rl={short} opd=1", recipe)
    long_route = compiled(f"teacher=large teacher_rl={long} opd=1", recipe)
    assert keys(short_route, "teacher_rl") == keys(long_route, "teacher_rl")[:short]


@given(t=st.integers(1, 3), w=st.integers(0, 2), o=st.integers(1, 2), s=STUDENT_BLOCKS, more=st.integers(1, 3))
def test_routes_that_begin_alike_share_their_beginning(
    recipe: Recipe, t: int, w: int, o: int, s: int, more: int
) -> None:
    begin = f"teacher=large teacher_rl={t} warmup={w} opd={o}"
    route = compiled(f"{begin} student_rl={s}", recipe)
    longer = compiled(f"{begin} student_rl={s} replay={more}", recipe)
    assert keys(longer)[: len(route.blocks)] == keys(route)
    assert longer.key != route.key
    longer_opd = compiled(f"teacher=large teacher_rl={t} warmup={w} opd={o + more}", recipe)
    shared = t + w + o
    assert keys(longer_opd)[:shared] == keys(route)[:shared]
    if s:
        assert not set(keys(longer_opd)) & set(keys(route, "student_rl"))


def test_the_replay_control_shares_everything_but_the_last_blocks(recipe: Recipe) -> None:
    allocation = Allocation.parse("teacher=large teacher_rl=4 warmup=1 opd=2 student_rl=3")
    fresh, control = compile_route(allocation, recipe, 0), compile_route(replay_control(allocation), recipe, 0)
    assert keys(fresh)[:7] == keys(control)[:7]
    assert not set(keys(fresh)[7:]) & set(keys(control)[7:])
    assert len(fresh.blocks) == len(control.blocks)


# What a key covers


DESCENDANTS = {
    "teacher_rl": {"teacher_rl", "warmup", "opd", "student_rl"},
    "warmup": {"warmup", "opd", "student_rl"},
    "opd": {"opd", "student_rl"},
    "student_rl": {"student_rl"},
    "teacher_sft": set(),
    "transfer_sft": set(),
}


@pytest.mark.parametrize("stage", DESCENDANTS)
@pytest.mark.parametrize("change", [{"revision": 2}, {"learning_rate": 2e-4}, {"loss": "dapo"}])
def test_a_setting_changes_its_stage_and_what_follows_and_nothing_else(
    recipe: Recipe, stage: str, change: dict[str, Any]
) -> None:
    changed = replace(recipe, stages={**recipe.stages, stage: {**recipe.stages[stage], **change}})
    before, after = compiled(FULL, recipe), compiled(FULL, changed)
    differing = {old.stage for old, new in zip(before.blocks, after.blocks, strict=True) if old.key != new.key}
    assert differing == DESCENDANTS[stage]
    unchanged = [old.stage for old, new in zip(before.blocks, after.blocks, strict=True) if old.key == new.key]
    assert not DESCENDANTS[stage] & set(unchanged)


@pytest.mark.parametrize(
    ("change", "same_stages"),
    [
        ({"student": "other"}, {"teacher_rl"}),
        ({"teachers": {"large": "other"}}, set()),
        ({"prompts_sha256": "other"}, {"teacher_rl"}),
        ({"environment": {"device": "cuda"}}, set()),
    ],
)
def test_content_changes_the_keys_of_the_blocks_that_it_reaches(
    recipe: Recipe, change: dict[str, Any], same_stages: set[str]
) -> None:
    before, after = compiled(FULL, recipe), compiled(FULL, replace(recipe, **change))
    same = {old.stage for old, new in zip(before.blocks, after.blocks, strict=True) if old.key == new.key}
    assert same == same_stages


def test_names_and_ids_and_file_order_change_no_key(recipe: Recipe) -> None:
    renamed_labels = tuple(replace(label, id=f"renamed-{label.id}") for label in reversed(recipe.labels))
    renamed = replace(recipe, labels=renamed_labels, teachers={"big": "large-sha"})
    assert keys(compiled(FULL, recipe)) == keys(compiled(FULL.replace("large", "big"), renamed))


def test_file_order_changes_no_block_at_all(recipe: Recipe) -> None:
    twins = (Label("a", "problem", "content"), Label("b", "problem", "content"))
    labels = recipe.labels + twins
    forwards = compiled("student_rl=9", replace(recipe, labels=labels))
    assert forwards == compiled("student_rl=9", replace(recipe, labels=labels[::-1]))


def test_dict_order_changes_no_key(recipe: Recipe) -> None:
    stages = {
        stage: dict(reversed(list(settings.items()))) for stage, settings in reversed(list(recipe.stages.items()))
    }
    environment = dict(reversed(list(recipe.environment.items())))
    assert compiled(FULL, recipe) == compiled(FULL, replace(recipe, stages=stages, environment=environment))


def test_an_answer_enters_the_keys_of_rl_but_not_of_transfer(make_recipe: Callable[..., Recipe]) -> None:
    # One label block, so that the order of the labels, which depends on the answers, cannot change.
    before = make_recipe(labels=(Label("id", "problem", "old answer"),), labels_per_block=1)
    after = replace(before, labels=(Label("id", "problem", "new answer"),))
    raw = "teacher=large warmup=1 opd=1 student_rl=1 prompts=labels"
    old, new = compiled(raw, before), compiled(raw, after)
    assert keys(old, "warmup", "opd") == keys(new, "warmup", "opd")
    assert keys(old, "student_rl") != keys(new, "student_rl")
    trained = "teacher=large teacher_rl=1 opd=1"
    assert keys(compiled(trained, before), "teacher_rl") != keys(compiled(trained, after), "teacher_rl")


def test_a_problem_enters_the_keys_of_transfer_on_labels_only(recipe: Recipe) -> None:
    labels = tuple(replace(label, problem_sha256=f"other-{label.problem_sha256}") for label in recipe.labels)
    changed = replace(recipe, labels=labels)
    assert keys(compiled(FULL, recipe)) == keys(compiled(FULL, changed))
    on_labels = f"{FULL} prompts=labels"
    old, new = compiled(on_labels, recipe), compiled(on_labels, changed)
    assert keys(old, "teacher_rl") == keys(new, "teacher_rl")
    assert not set(keys(old, "warmup", "opd", "student_rl")) & set(keys(new, "warmup", "opd", "student_rl"))


def test_the_run_seed_changes_every_key_and_the_label_order(recipe: Recipe) -> None:
    assert not set(keys(compiled(FULL, recipe, 0))) & set(keys(compiled(FULL, recipe, 1)))
    assert recipe.label_order(0) != recipe.label_order(1)
    assert sorted(label.id for label in recipe.label_order(1)) == sorted(label.id for label in recipe.labels)


@given(seed=st.integers(0, 2**40))
def test_block_seeds_differ_within_a_route(recipe: Recipe, seed: int) -> None:
    route = compiled(FULL, recipe, seed)
    seeds = [block.seed for block in route.blocks]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= block_seed < 2**31 for block_seed in seeds)
    assert {block.run_seed for block in route.blocks} == {seed}


def test_block_seeds_follow_the_teacher(recipe: Recipe) -> None:
    direct = compiled("student_rl=1", recipe).blocks[0]
    raw = compiled("teacher=large opd=1 student_rl=1", recipe).blocks
    trained = compiled("teacher=large teacher_rl=1 opd=1 student_rl=1", recipe).blocks
    assert direct.seed == derive_seed(0, "student_rl", 0, "")
    assert [block.seed for block in raw] == [
        derive_seed(0, "opd", 0, "large-sha"),
        derive_seed(0, "student_rl", 0, "large-sha"),
    ]
    assert [block.seed for block in trained] == [
        derive_seed(0, "teacher_rl", 0, "large-sha"),
        derive_seed(0, "opd", 0, trained[0].key),
        derive_seed(0, "student_rl", 0, trained[0].key),
    ]


def test_derived_seeds_tell_their_parts_apart() -> None:
    assert len({derive_seed(1, 23), derive_seed(12, 3), derive_seed("1", 23), derive_seed(23, 1)}) == 4


# Keys are for ever: these name checkpoints on users' disks.

GOLDEN = {
    "teacher=large teacher_rl=2 warmup=1 opd=1 student_rl=1 replay=1": (
        "2d2758b958ef1431bc3d80ae23c54ef445e0b97aedaf88c70061f5ab39945357"
    ),
    "teacher=small teacher_sft=1 transfer_sft=1 prompts=labels": (
        "0c09ceae5e8ac43357a05ea0f124faca382c510ef9fb2c7f134f4c06c2b42028"
    ),
    "student_rl=8": ("bee8c3bd66ef16f90e226dd9d08388c8a9430a577c04a1ca62fb2c069a025ab3"),
}


@pytest.mark.parametrize("text", GOLDEN)
def test_keys_are_pinned(recipe: Recipe, text: str) -> None:
    assert compiled(text, recipe, seed=7).key == GOLDEN[text]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_keys_do_not_depend_on_the_hash_seed_of_python(hash_seed: str) -> None:
    # The recipe comes from conftest.py by its path: under another hash seed its sets and dicts are laid out anew.
    program = (
        "import runpy, sys\n"
        "from tuition.planner.allocation import Allocation\n"
        "from tuition.planner.route import compile_route\n"
        "recipe = runpy.run_path(sys.argv[1])['build_recipe']()\n"
        "for text in sys.argv[2:]: print(compile_route(Allocation.parse(text), recipe, 7).key)"
    )
    root = Path(tuition.planner.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).with_name("conftest.py")), *GOLDEN],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == list(GOLDEN.values())


# Errors


def test_more_labels_than_the_scenario_has_are_refused(recipe: Recipe) -> None:
    with pytest.raises(AllocationError, match="asks for 9 label blocks"):
        compiled("student_rl=9", recipe)


def test_an_unknown_teacher_is_told_the_known_ones(recipe: Recipe) -> None:
    with pytest.raises(AllocationError, match="unknown teacher 'huge'; the scenario has: large, small"):
        compiled("teacher=huge opd=1", recipe)


def test_a_stage_without_settings_is_refused(recipe: Recipe) -> None:
    stages = {stage: settings for stage, settings in recipe.stages.items() if stage != "transfer_sft"}
    with pytest.raises(AllocationError, match="no settings for stage 'transfer_sft'"):
        compiled("teacher=large transfer_sft=1", replace(recipe, stages=stages))


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"labels_per_block": 3}, "drop 1 labels"),
        ({"labels_per_block": 0}, "at least 1"),
        ({"labels": (Label("a", "p", "c"), Label("a", "q", "d"))}, "distinct"),
        ({"teachers": {"student": "sha"}}, "rename"),
        ({"teachers": {"none": "sha"}}, "rename"),
        ({"stages": {"opd": {"lr": 1.0}}}, "integer 'revision'"),
        ({"stages": {"opd": {"revision": "1"}}}, "integer 'revision'"),
        ({"stages": {"opd": {"revision": 1, "lr": float("nan")}}}, "not JSON"),
        ({"stages": {"opd": {"revision": 1, "path": Path("a")}}}, "not JSON"),
    ],
)
def test_an_unusable_recipe_is_refused(make_recipe: Callable[..., Recipe], change: dict[str, Any], fix: str) -> None:
    with pytest.raises(RecipeError, match=fix) as caught:
        make_recipe(**change)
    assert isinstance(caught.value, ValueError)


def test_label_blocks_are_counted(make_recipe: Callable[..., Recipe]) -> None:
    assert make_recipe().num_label_blocks == 8
    assert make_recipe(labels=()).num_label_blocks == 0


@pytest.mark.parametrize(
    "text",
    [
        "student_rl=8",
        "teacher=large teacher_rl=5 warmup=1 opd=2 student_rl=3",
        "teacher=large teacher_sft=2 opd=1 student_rl=1 replay=3",
    ],
)
def test_an_ordinary_run_is_one_block_a_label_stage_with_the_labels_and_steps_of_all(recipe: Recipe, text: str) -> None:
    recipe = replace(recipe, stages={stage.name: {"revision": 1, "steps": 10} for stage in STAGES})
    allocation = Allocation.parse(text)
    blocked, ordinary = (compile_route(allocation, recipe, 3, ordinary=flag) for flag in (False, True))
    for stage in dict.fromkeys(block.stage for block in blocked.blocks):
        several, merged = stage_of(blocked, stage), stage_of(ordinary, stage)
        if STAGE[stage].is_transfer:
            assert [block.index for block in merged] == [block.index for block in several]
            continue
        (one,) = merged
        assert one.merged == len(several) and one.pool == several[-1].pool == one.entering
        assert one.new_labels == tuple(label for block in several for label in block.new_labels)
        assert recipe.block_settings(stage, one.merged)["steps"] == 10 * len(several)
    assert ordinary.labels_trained == blocked.labels_trained and ordinary.key != blocked.key
