"""Which splits a picture shows: those of the whole budget, the leading one, and those that are like another."""

from __future__ import annotations

from collections.abc import Collection

from tuition.planner.planning.advice import posterior_means
from tuition.planner.planning.choice import Bools
from tuition.planner.planning.grid import FIELDS, HARD, OPD, REPLAY, RL, SFT, STUDENT_RL, WARMUP, Grid
from tuition.planner.planning.planner import View


def budget_splits(view: View) -> Bools:
    """[nodes] which are splits of all labels that the study has, without replay."""
    counts = view.grid.counts
    whole = counts[:, [RL, SFT, STUDENT_RL]].sum(1) == view.grid.budget
    found: Bools = view.grid.allowed & whole & (counts[:, REPLAY] == 0)
    return found


def leading_split(view: View, among: Bools) -> int | None:
    """The node with the best posterior mean of some; None without any."""
    return int(posterior_means(view, among).argmax()) if among.any() else None


def like(grid: Grid, node: int, apart_from: Collection[int] = ()) -> Bools:
    """[nodes] which students have the same teacher and the same counts before GRPO, apart from some fields.

    Where the teacher's blocks may differ, they are of the node's kind; GRPO, where the node has none.
    """
    kept = [field for field in range(STUDENT_RL) if field not in apart_from]
    same: Bools = ~grid.is_teacher & (grid.counts[:, kept] == grid.counts[node, kept]).all(1)
    if {RL, SFT} <= set(apart_from):
        other = RL if grid.counts[node, SFT] or "rl" not in grid.space.prepare else SFT
        same &= grid.counts[:, other] == 0
    return same


def bridge_text(grid: Grid, node: int) -> str:
    """The transfer blocks of a split in words."""
    counts = grid.counts[node]
    return " ".join(f"{FIELDS[field]}={counts[field]}" for field in (WARMUP, OPD, HARD) if counts[field])
