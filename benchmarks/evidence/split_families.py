"""The families of splits, and the best recorded split of each: who gets the labels, teacher, student or both.

What: `best_of_families` picks each family's best allocation by its mean validation score over the draw seeds
(`recorded_table.leading_splits`), over all teachers, budgets and bridges alike. So an inner split that was the best of
hundreds meets corners that were picked in the same way, and all of them are judged on seeds that picked none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tuition.benchmarks.tables.recorded_table import RecordedTable, leading_splits, split_means
from tuition.planner.allocation import Allocation

BEST_SPLIT = "best-split"
BEST_INTERIOR = "best-interior"
BEST_UPSTREAM = "best-upstream"
BEST_OPPOSITE = "best-opposite"
BEST_DIRECT = "best-direct"

FAMILIES = {
    BEST_INTERIOR: "labels on both teacher and student",
    BEST_UPSTREAM: "labels on the teacher only",
    BEST_OPPOSITE: "labels on the student only, after a raw teacher's bridge",
    BEST_DIRECT: "labels on the student only, without a teacher",
}
"""The name of each family's best split, and what its splits have in common."""


@dataclass(frozen=True)
class Picked:
    """The best of `num_splits` allocations by mean validation over the draw seeds."""

    allocation: Allocation
    validation: float
    num_splits: int


def family_of(allocation: Allocation) -> str:
    """The family of an allocation that buys labels, by the name of its best."""
    if allocation.teacher is None:
        return BEST_DIRECT
    if not allocation.teacher_label_blocks:
        return BEST_OPPOSITE
    return BEST_INTERIOR if allocation.student_label_blocks else BEST_UPSTREAM


def best_of_families(table: RecordedTable) -> Mapping[str, Picked]:
    """The best split of all, and of each family; without those of which no allocation has all draw seeds."""
    means, leading = split_means(table), leading_splits(table)
    found = {}
    for name in (BEST_SPLIT, *FAMILIES):
        splits = [allocation for allocation in leading if name in (BEST_SPLIT, family_of(allocation))]
        if splits:
            found[name] = Picked(splits[0], means[splits[0]], len(splits))
    return found
