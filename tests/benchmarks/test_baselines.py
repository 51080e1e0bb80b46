"""Baselines: the exact rows, that each keeps to the budget, and how names are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.benchmarks.baselines import (
    EVALUATED_FIRST,
    MATCHED,
    SHUFFLED,
    TESTED_BY_SEARCH,
    UNTRAINED,
    baseline_allocations,
    choose_baselines,
)
from tuition.planner.allocation import AllocationError


def test_the_rows_for_eight_blocks() -> None:
    rows = {name: str(row) for name, row in baseline_allocations("large", 8, warmup=1, opd=2).items()}
    assert rows == {
        "direct": "student_rl=8",
        "raw-bridge": "teacher=large warmup=1 opd=2",
        "opposite": "teacher=large warmup=1 opd=2 student_rl=8",
        "opd-only": "teacher=large teacher_rl=8 opd=3",
        "sample-sft": "teacher=large teacher_rl=8 transfer_sft=3",
        "sft-teacher": "teacher=large teacher_sft=8 warmup=1 opd=2",
        "teacher-upstream": "teacher=large teacher_rl=8 warmup=1 opd=2",
        "half": "teacher=large teacher_rl=4 warmup=1 opd=2 student_rl=4",
        "half-replay": "teacher=large teacher_rl=4 warmup=1 opd=2 replay=4",
    }


@given(st.integers(2, 20), st.integers(0, 3), st.integers(1, 3), st.sampled_from(["pool", "labels"]))
def test_every_baseline_keeps_to_the_budget(blocks: int, warmup: int, opd: int, prompts: str) -> None:
    rows = baseline_allocations("t", blocks, warmup, opd, prompts)  # type: ignore[arg-type]
    for row in rows.values():
        row.check_budget(blocks)
    spends_less = {"raw-bridge": 0, "half-replay": blocks // 2}
    assert {name: row.label_blocks for name, row in rows.items()} == dict.fromkeys(rows, blocks) | spends_less
    assert {row.prompts for name, row in rows.items() if name != "direct"} == {prompts}
    for name in ("raw-bridge", "opposite", "opd-only", "sample-sft", "sft-teacher", "teacher-upstream"):
        assert rows[name].warmup + rows[name].opd + rows[name].transfer_sft == warmup + opd, name


def test_every_name_is_a_row_or_made_elsewhere() -> None:
    rows = baseline_allocations("large", 8, warmup=1, opd=2)
    assert MATCHED.keys() == rows.keys() | SHUFFLED.keys() | {"direct-compute"} | set(UNTRAINED)
    assert set(EVALUATED_FIRST) | set(SHUFFLED.values()) <= rows.keys()
    assert set(TESTED_BY_SEARCH) == {*EVALUATED_FIRST, "opposite", "untrained-student", "raw-teacher"}


def test_what_has_no_half_or_no_bridge_is_refused() -> None:
    with pytest.raises(ValueError, match="num_label_blocks is 1"):
        baseline_allocations("large", 1, warmup=1, opd=1)
    with pytest.raises(AllocationError):
        baseline_allocations("large", 8, warmup=0, opd=0)


def test_names_are_chosen_in_the_order_of_tables_with_direct_always() -> None:
    assert choose_baselines([]) == tuple(MATCHED)
    assert choose_baselines(["half", "sft-teacher", "half"]) == ("direct", "sft-teacher", "half")
    with pytest.raises(
        ValueError, match="unknown baseline 'best'; choose from direct, direct-compute, direct-shuffled"
    ):
        choose_baselines(["half", "best"])
