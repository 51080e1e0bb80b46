from __future__ import annotations

import contextlib
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import FixedTrial

from tuition.planner.allocation import Allocation
from tuition.planner.space import MOST_PROPOSALS, SearchSpace, SpaceError

WIDE = SearchSpace(
    teachers=("large", "small"),
    num_label_blocks=8,
    max_warmup=2,
    max_opd=3,
    max_replay=4,
    prepare=("rl", "sft"),
    transfer=("bridge", "sft"),
)
NARROW = SearchSpace(teachers=("large",), num_label_blocks=8, max_warmup=1, max_opd=1)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    teachers = draw(st.sampled_from([(), ("large",), ("large", "small")]))
    max_warmup, max_opd = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any))
    return SearchSpace(
        teachers=teachers,
        num_label_blocks=draw(st.integers(1, 20)),
        max_warmup=max_warmup,
        max_opd=max_opd,
        max_replay=draw(st.integers(0, 3)),
        prepare=draw(st.sampled_from([("rl",), ("sft",), ("rl", "sft")])),
        transfer=draw(st.sampled_from([("bridge",), ("sft",), ("sft", "bridge")])),
        prompts=draw(st.sampled_from(["pool", "labels"])),
    )


@given(space=spaces(), seed=st.integers(0, 1000))
def test_params_decode_to_their_allocation(space: SearchSpace, seed: int) -> None:
    for allocation in space.random_allocations(20, seed):
        params = space.params_of(allocation)
        assert list(params) == list(space.distributions())
        assert space.suggest(FixedTrial(params)) == allocation


def test_a_space_that_is_too_large_to_be_listed_says_which_count_to_lower() -> None:
    most = MOST_PROPOSALS // 8 - 1
    assert len(SearchSpace(teachers=(), num_label_blocks=8, max_warmup=0, max_opd=0, max_replay=9).allocations()) == 80
    SearchSpace(teachers=(), num_label_blocks=8, max_warmup=0, max_opd=0, max_replay=most).check_size()
    for replay in (most + 1, 10**30):
        space = SearchSpace(teachers=(), num_label_blocks=8, max_warmup=0, max_opd=0, max_replay=replay)
        with pytest.raises(SpaceError, match=r"more than 1,000,000 proposals, .* lower max_replay, which is 1\d+$"):
            space.allocations()


@given(space=spaces(), seed=st.integers(0, 1000))
def test_no_proposal_is_over_budget(space: SearchSpace, seed: int) -> None:
    for allocation in space.random_allocations(20, seed):
        allocation.check_budget(space.num_label_blocks)
        assert allocation.label_blocks >= 1
        assert allocation.teacher is None or allocation.prompts == space.prompts


@pytest.mark.parametrize("num_label_blocks", [1, 2, 3, 7, 8])
def test_every_split_can_be_enqueued(num_label_blocks: int) -> None:
    space = SearchSpace(teachers=("large",), num_label_blocks=num_label_blocks, max_warmup=1, max_opd=1)
    for spent in range(1, num_label_blocks + 1):
        for teacher_blocks in range(spent + 1):
            allocation = Allocation(
                teacher="large", teacher_rl=teacher_blocks, opd=1, student_rl=spent - teacher_blocks
            )
            assert space.suggest(FixedTrial(space.params_of(allocation))) == allocation


def test_half_a_block_upstream_is_rounded_up() -> None:
    params = {"teacher": "large", "label_blocks": 4, "upstream": 1, "warmup": 1, "opd": 1}
    allocation = NARROW.decode(params)  # 4 * 1/8 = 0.5
    assert allocation is not None
    assert (allocation.teacher_rl, allocation.student_rl) == (1, 3)


def test_without_a_teacher_everything_about_the_transfer_is_ignored() -> None:
    params = {"teacher": "none", "label_blocks": 5, "upstream": 8, "warmup": 0, "opd": 0}
    assert NARROW.decode(params) == Allocation(student_rl=5)


def test_sft_transfer_takes_as_many_blocks_as_the_bridge() -> None:
    params = {
        "teacher": "small",
        "label_blocks": 4,
        "upstream": 8,
        "warmup": 2,
        "opd": 1,
        "replay": 1,
        "prepare": "sft",
        "transfer": "sft",
    }
    assert str(WIDE.decode(params)) == "teacher=small teacher_sft=4 transfer_sft=3 replay=1"


def test_parameters_with_one_choice_are_dropped() -> None:
    wide = ["teacher", "label_blocks", "upstream", "warmup", "opd", "replay", "prepare", "transfer"]
    assert list(WIDE.distributions()) == wide
    assert list(NARROW.distributions()) == wide[:5]
    direct = SearchSpace(teachers=(), num_label_blocks=8, max_warmup=2, max_opd=2)
    assert list(direct.distributions()) == ["label_blocks"]


def test_every_trial_suggests_the_same_parameters_in_the_same_order() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        with contextlib.suppress(optuna.TrialPruned):
            WIDE.suggest(trial)
        assert list(trial.params) == list(WIDE.distributions())


def test_a_teacher_without_transfer_is_pruned_and_marked_infeasible() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"teacher": "large", "label_blocks": 4, "upstream": 4, "warmup": 0, "opd": 0})
    trial = study.ask()
    with pytest.raises(optuna.TrialPruned, match="teacher=large"):
        NARROW.suggest(trial)
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert study.trials[0].constraints == {"transfer_blocks": 1.0}


@pytest.mark.parametrize(("max_warmup", "max_opd"), [(1, 1), (0, 1), (1, 0), (0, 2), (3, 0), (2, 2)])
def test_few_random_proposals_are_infeasible(max_warmup: int, max_opd: int) -> None:
    space = SearchSpace(teachers=("a", "b", "c", "d"), num_label_blocks=2, max_warmup=max_warmup, max_opd=max_opd)
    proposals: list[dict[str, Any]] = [{}]
    for name, distribution in space.distributions().items():
        if isinstance(distribution, IntDistribution):
            choices: list[Any] = list(range(distribution.low, distribution.high + 1))
        else:
            assert isinstance(distribution, CategoricalDistribution)
            choices = list(distribution.choices)
        proposals = [{**proposal, name: choice} for proposal in proposals for choice in choices]
    infeasible = sum(space.decode(proposal) is None for proposal in proposals)
    assert infeasible / len(proposals) < 0.25


def test_random_allocations_depend_on_the_seed_only() -> None:
    assert WIDE.random_allocations(10, seed=1) == WIDE.random_allocations(20, seed=1)[:10]
    assert WIDE.random_allocations(10, seed=1) != WIDE.random_allocations(10, seed=2)


@pytest.mark.parametrize(
    "text",
    [
        "base",
        "student_rl=9",
        "student_rl=1 replay=1",
        "teacher=large warmup=1 opd=1",
        "teacher=large teacher_rl=1 warmup=2",
        "teacher=small teacher_rl=1 warmup=1",
        "teacher=large teacher_sft=1 warmup=1",
        "teacher=large teacher_rl=1 transfer_sft=1",
        "teacher=large teacher_rl=1 warmup=1 prompts=labels",
    ],
)
def test_an_allocation_outside_the_space_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match="not in the search space"):
        NARROW.params_of(Allocation.parse(text))


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"num_label_blocks": 0}, "num_label_blocks=0"),
        ({"max_opd": -1}, "max_opd=-1"),
        ({"max_warmup": 0, "max_opd": 0}, "raise max_warmup or max_opd"),
        ({"teachers": ("none",)}, "leave it out"),
        ({"teachers": ("a", "a")}, "list it once"),
        ({"prepare": ()}, "prepare=()"),
        ({"prepare": ("dpo",)}, "'dpo'"),
        ({"budget": 3}, "unknown field 'budget'; allowed: teachers"),
    ],
)
def test_an_impossible_space_is_refused_in_one_line(change: dict[str, Any], fix: str) -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace(**{**NARROW.model_dump(), **change})
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_space_survives_json() -> None:
    assert SearchSpace(**WIDE.model_dump(mode="json")) == WIDE


@pytest.mark.parametrize("space", [WIDE, NARROW])
def test_all_allocations_are_those_that_can_be_proposed(space: SearchSpace) -> None:
    everything = space.allocations()
    assert len(everything) == len(set(everything)) and all(map(space.holds, everything[:: len(everything) // 20]))
    assert set(space.random_allocations(200, 0)) <= set(everything)
    labels = range(1, 9)
    splits = sum(total + 1 for total in labels)
    assert len(NARROW.allocations()) == len(labels) + 3 * splits, "direct, and three bridges for every split"
