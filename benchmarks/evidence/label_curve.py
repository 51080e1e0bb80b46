"""What more labels buy: test scores of each model by itself, after GRPO on 1..B label blocks.

What: `label_curves` reads them from the rows that a complete table has of teachers' checkpoints and of direct GRPO.
Where a curve flattens before B, labels are not scarce, and no split can matter much.

Simplified: a block adds steps as well as labels, so this is no curve at equal updates.
"""

from dataclasses import dataclass

from tuition.benchmarks.evidence.seed_score import SeedScore, seed_score
from tuition.benchmarks.tables.recorded_table import RecordedTable
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.stages import STUDENT, STUDENT_RL


@dataclass(frozen=True)
class LabelCurve:
    """A model's scores by the number of labels that it was trained on; `untrained` before any, if that is recorded."""

    model: str
    untrained: float | None
    points: tuple[tuple[int, SeedScore], ...]


def label_curves(table: RecordedTable) -> tuple[LabelCurve, ...]:
    """The curves of the student and of every teacher that have two points or more."""
    per_block = table.header.recipe.labels_per_block
    found = []
    for model in (STUDENT, *table.header.space.teachers):
        points = []
        for blocks in range(1, table.header.space.num_label_blocks + 1):
            score = seed_score(table, _after(model, blocks))
            if score is not None:
                points.append((blocks * per_block, score))
        if len(points) > 1:
            outcomes_PK = table.untrained_PK(model)
            found.append(LabelCurve(model, None if outcomes_PK is None else float(outcomes_PK.mean()), tuple(points)))
    return tuple(found)


def _after(model: str, blocks: int) -> Checkpoint:
    if model == STUDENT:
        return Allocation(**{STUDENT_RL.name: blocks})
    return TeacherCheckpoint(teacher=model, stage="teacher_rl", blocks=blocks)
