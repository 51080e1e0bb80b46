"""Baselines: the exact rows, and that each keeps to the budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.baselines import baseline_allocations
from planner.allocation import AllocationError


def test_the_rows_for_eight_blocks() -> None:
    rows = {name: str(row) for name, row in baseline_allocations("large", 8, warmup=1, opd=2).items()}
    assert rows == {
        "direct": "student_rl=8",
        "raw-bridge": "teacher=large warmup=1 opd=2",
        "opd-only": "teacher=large teacher_rl=8 opd=3",
        "teacher-upstream": "teacher=large teacher_rl=8 warmup=1 opd=2",
        "half": "teacher=large teacher_rl=4 warmup=1 opd=2 student_rl=4",
        "half-replay": "teacher=large teacher_rl=4 warmup=1 opd=2 replay=4",
    }


@given(st.integers(2, 20), st.integers(0, 3), st.integers(1, 3), st.sampled_from(["pool", "labels"]))
def test_every_baseline_keeps_to_the_budget(blocks: int, warmup: int, opd: int, prompts: str) -> None:
    rows = baseline_allocations("t", blocks, warmup, opd, prompts)  # type: ignore[arg-type]
    for row in rows.values():
        row.check_budget(blocks)
    spends_all = ("direct", "opd-only", "teacher-upstream", "half")
    assert {rows[name].label_blocks for name in spends_all} == {blocks}
    assert {row.prompts for name, row in rows.items() if name != "direct"} == {prompts}


def test_what_has_no_half_or_no_bridge_is_refused() -> None:
    with pytest.raises(ValueError, match="num_label_blocks is 1"):
        baseline_allocations("large", 1, warmup=1, opd=1)
    with pytest.raises(AllocationError):
        baseline_allocations("large", 8, warmup=0, opd=0)
