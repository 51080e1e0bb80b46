"""The curve over the teacher's share: test scores of t = 0..B label blocks on a teacher, the others on the student.

What: `share_curves` takes, for every teacher, the splits of the whole budget with one bridge, that of the named routes.
t = 0 is the opposite split, t = B all labels upstream. Every point has an interval for other training seeds on these
problems, as wide as the seeds say: problems are common to all points, and shift the curve as a whole. Whether two
points differ is asked by the paired difference, here with t = B.

Simplified: intervals stand point by point, and are not corrected for how many there are.
"""

from dataclasses import dataclass

from tuition.benchmarks.baselines import UPSTREAM
from tuition.benchmarks.evidence.seed_score import SeedScore, seed_score
from tuition.benchmarks.statistics.intervals import Difference, paired_difference
from tuition.benchmarks.tables.recorded_table import RecordedTable
from tuition.planner.allocation import Allocation
from tuition.planner.stages import STUDENT_RL


@dataclass(frozen=True)
class SharePoint:
    """A split: `teacher_blocks` on the teacher, the rest on the student.

    `minus_all` is the paired difference with t = B: None there, and where no seed has both.
    """

    teacher_blocks: int
    allocation: str
    score: SeedScore
    minus_all: Difference | None


@dataclass(frozen=True)
class ShareCurve:
    """All recorded points of one teacher, from t = 0 on; `bridge` in words."""

    teacher: str
    bridge: str
    num_label_blocks: int
    points: tuple[SharePoint, ...]


def share_curves(table: RecordedTable) -> tuple[ShareCurve, ...]:
    """One curve for every teacher that has a point, in the order of the search space."""
    upstream = Allocation.parse(table.header.names[UPSTREAM])
    total = upstream.label_blocks
    bridge = f"warmup={upstream.warmup} opd={upstream.opd}"
    found = []
    for teacher in table.header.space.teachers:
        splits = [split_of(upstream, teacher, blocks, total) for blocks in range(total + 1)]
        points = [
            SharePoint(split.teacher_label_blocks, str(split), score, _minus(table, split, splits[-1]))
            for split in splits
            if (score := seed_score(table, split)) is not None
        ]
        if points:
            found.append(ShareCurve(teacher, bridge, total, tuple(points)))
    return tuple(found)


def split_of(upstream: Allocation, teacher: str, teacher_blocks: int, label_blocks: int) -> Allocation:
    """All labels upstream, changed: another teacher, and only so many of the label blocks are its own."""
    changes = {"teacher": teacher, "teacher_rl": teacher_blocks, STUDENT_RL.name: label_blocks - teacher_blocks}
    return Allocation(**{**upstream.model_dump(), **changes})


def _minus(table: RecordedTable, split: Allocation, all_upstream: Allocation) -> Difference | None:
    seeds = [seed for seed in table.seeds(allocation=split) if (all_upstream, seed) in table.index]
    if not seeds or split == all_upstream:
        return None
    a, b = ([table.correct_PK(each, seed, "test") for seed in seeds] for each in (split, all_upstream))
    return paired_difference(a, b)
