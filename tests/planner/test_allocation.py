from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.planner.allocation import Allocation, AllocationError, named_allocations, parse_checkpoint, replay_control

BLOCKS = st.integers(0, 12)


@st.composite
def allocations(draw: st.DrawFn) -> Allocation:
    """Any valid allocation."""
    student_rl = draw(BLOCKS)
    teacher = draw(st.none() | st.text("aZ09_./-", min_size=1, max_size=9))
    if teacher is None:
        return Allocation(student_rl=student_rl, replay=draw(BLOCKS) if student_rl else 0)
    prepared = {draw(st.sampled_from(["teacher_rl", "teacher_sft"])): draw(BLOCKS)}
    transfer = draw(
        st.fixed_dictionaries({"warmup": BLOCKS, "opd": BLOCKS}).filter(lambda bridge: sum(bridge.values()) > 0)
        | st.fixed_dictionaries({"transfer_sft": st.integers(1, 12)})
    )
    replay = draw(BLOCKS) if student_rl + sum(prepared.values()) else 0
    prompts = draw(st.sampled_from(["pool", "labels"]))
    return Allocation(teacher=teacher, student_rl=student_rl, replay=replay, prompts=prompts, **prepared, **transfer)


@given(allocations())
def test_parse_is_the_inverse_of_str(allocation: Allocation) -> None:
    assert Allocation.parse(str(allocation)) == allocation


@given(allocations())
def test_a_dump_makes_the_same_allocation(allocation: Allocation) -> None:
    assert Allocation.model_validate(allocation.model_dump()) == allocation


@given(allocations(), allocations())
def test_ids_differ_when_allocations_do(first: Allocation, second: Allocation) -> None:
    assert (first.id == second.id) == (first == second)


def test_str_prints_only_what_is_set_in_a_fixed_order() -> None:
    allocation = Allocation(student_rl=2, opd=2, warmup=1, teacher_rl=4, teacher="large", prompts="labels")
    assert str(allocation) == "teacher=large teacher_rl=4 warmup=1 opd=2 student_rl=2 prompts=labels"


def test_the_id_is_pinned() -> None:
    assert Allocation.parse("teacher=large teacher_rl=4 warmup=1 opd=2 student_rl=2").id == "49c72af345"


def test_the_base_student_is_an_allocation() -> None:
    assert str(Allocation()) == "base"
    assert Allocation.parse("base") == Allocation()
    assert Allocation().label_blocks == 0


def test_teacher_none_is_no_teacher() -> None:
    assert Allocation.parse("teacher=none student_rl=3") == Allocation(student_rl=3)


def test_a_teacher_may_have_a_number_for_a_name() -> None:
    assert Allocation.parse("teacher=70 opd=1").teacher == "70"


def test_label_blocks_count_both_sides() -> None:
    allocation = Allocation(teacher="large", teacher_sft=3, opd=1, student_rl=2, replay=7)
    assert (allocation.teacher_label_blocks, allocation.label_blocks) == (3, 5)


def test_an_allocation_is_frozen_and_hashable() -> None:
    allocation = Allocation(student_rl=1)
    with pytest.raises(ValueError, match="frozen"):
        allocation.student_rl = 2  # type: ignore[misc]
    assert {allocation: 1}[Allocation(student_rl=1)] == 1


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"opd": -1}, "opd=-1"),
        ({"student_rl": 1.5}, "student_rl=1.5"),
        ({"student_rl": True}, "student_rl=True"),
        ({"student_rl": "1"}, "student_rl='1'"),
        ({"teacher": 3}, "teacher=3"),
        ({"teacher": "two words", "opd": 1}, "one word"),
        ({"teacher": "", "opd": 1}, "one word"),
        ({"warmup": 1}, "name a teacher"),
        ({"teacher_rl": 1}, "name a teacher"),
        ({"teacher": "none", "opd": 1}, "name a teacher"),
        ({"teacher": "large", "teacher_rl": 2}, "the student would learn nothing"),
        ({"teacher": "large", "teacher_rl": 1, "teacher_sft": 1, "opd": 1}, "at most one of these"),
        ({"teacher": "large", "warmup": 1, "transfer_sft": 1}, "not both"),
        ({"replay": 2}, "no label is paid for"),
        ({"teacher": "large", "opd": 1, "replay": 2}, "no label is paid for"),
        ({"student_rl": 1, "prompts": "labels"}, "without a transfer block"),
        ({"student_rl": 1, "prompts": "all"}, "prompts='all'"),
        ({"student": 1}, "unknown field 'student'; allowed: teacher, teacher_rl"),
    ],
)
def test_nonsense_is_refused_in_one_line(fields: dict[str, Any], fix: str) -> None:
    with pytest.raises(AllocationError) as caught:
        Allocation(**fields)
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "'base'"),
        ("student_rl", "not name=value"),
        ("student_rl=", "not name=value"),
        ("=3", "unknown field"),
        ("student_rl=1 student_rl=1", "given twice"),
        ("student_rl=x", "student_rl='x'"),
        ("student_rl=1_0", "student_rl='1_0'"),
        ("base student_rl=1", "'base' is not name=value"),
        ("students=1", "unknown field 'students'; allowed: teacher,"),
    ],
)
def test_text_that_is_no_allocation_is_refused(text: str, fix: str) -> None:
    with pytest.raises(AllocationError) as caught:
        Allocation.parse(text)
    assert fix in str(caught.value)


def test_the_budget_names_the_numbers() -> None:
    allocation = Allocation(teacher="large", teacher_rl=5, opd=1, student_rl=4)
    allocation.check_budget(9)
    with pytest.raises(AllocationError, match=r"asks for 9 label blocks \(5 teacher \+ 4 student\) but .* has 8"):
        allocation.check_budget(8)


def test_replay_costs_no_label() -> None:
    Allocation(student_rl=8, replay=100).check_budget(8)


def test_the_replay_control_changes_only_the_student_blocks() -> None:
    allocation = Allocation(teacher="large", teacher_rl=4, warmup=1, opd=2, student_rl=3)
    assert str(replay_control(allocation)) == "teacher=large teacher_rl=4 warmup=1 opd=2 replay=3"


@pytest.mark.parametrize(
    "text",
    ["student_rl=4", "teacher=large teacher_rl=4 opd=1", "teacher=large teacher_rl=4 opd=1 student_rl=1 replay=1"],
)
def test_no_replay_control_where_it_means_nothing(text: str) -> None:
    with pytest.raises(AllocationError):
        replay_control(Allocation.parse(text))


def test_the_paper_routes_are_these_rows() -> None:
    rows = {name: str(row) for name, row in named_allocations("large", 9, warmup=1, opd=2).items()}
    assert rows == {
        "R1": "student_rl=9",
        "R2": "teacher=large teacher_rl=4 transfer_sft=3 student_rl=5 prompts=labels",
        "R3-full": "teacher=large teacher_rl=9 warmup=1 opd=2 prompts=labels",
        "R5-half": "teacher=large teacher_rl=4 warmup=1 opd=2 student_rl=5 prompts=labels",
        "R6": "teacher=large teacher_sft=4 warmup=1 opd=2 student_rl=5 prompts=labels",
        "R7": "teacher=large teacher_rl=4 warmup=1 opd=2 replay=5 prompts=labels",
        "R8": "teacher=large teacher_rl=4 opd=3 student_rl=5 prompts=labels",
        "raw": "teacher=large warmup=1 opd=2 prompts=labels",
    }


def test_the_paper_routes_need_two_blocks_and_a_bridge() -> None:
    with pytest.raises(AllocationError, match="halved"):
        named_allocations("large", 1, warmup=1, opd=1)
    with pytest.raises(AllocationError, match="the student would learn nothing"):
        named_allocations("large", 8, warmup=0, opd=0)


@given(allocations())
def test_the_checkpoints_of_a_route_are_one_a_block_and_end_at_its_own(allocation: Allocation) -> None:
    passed = allocation.checkpoints()
    assert len(passed) == len(set(passed)) == allocation.label_blocks + allocation.transfer_blocks + allocation.replay
    assert not passed or passed[-1] == allocation
    assert [parse_checkpoint(str(checkpoint)) for checkpoint in passed] == passed
