"""The curve over the teacher's share, and the best split of each family, on a complete table."""

import pytest

from tests.benchmarks.made_table import SEEDS, SPACE, made_complete_table
from tuition.benchmarks.evidence.label_curve import label_curves
from tuition.benchmarks.evidence.share_curve import share_curves
from tuition.benchmarks.evidence.split_families import FAMILIES, best_of_families, family_of
from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.benchmarks.tables.recorded_table import RecordedTable, checked_table, role_of
from tuition.planner.allocation import Allocation, Checkpoint

LURE = "teacher=large teacher_rl=1 warmup=1 opd=2 student_rl=3"
SOUND = "teacher=small teacher_rl=2 warmup=1 student_rl=1"


def mean(checkpoint: Checkpoint, seed: int) -> float:
    """A valley over the share of the large teacher; one inner split shines on the judges only, another on the draws."""
    if str(checkpoint) in (LURE, SOUND):
        return 1.0 if role_of(seed) == ("judge" if str(checkpoint) == LURE else "draw") else 0.0
    if isinstance(checkpoint, Allocation) and checkpoint.teacher == "large":
        return 0.7 if checkpoint.teacher_label_blocks in (0, 4) else 0.2
    return 0.4


@pytest.fixture(scope="module")
def table() -> RecordedTable:
    return made_complete_table(mean=mean, num_problems=40, samples=4)


def test_every_teacher_has_the_whole_curve_with_the_bridge_of_the_named_routes(table: RecordedTable) -> None:
    large, small = share_curves(table)
    assert (large.teacher, small.teacher, large.bridge) == ("large", "small", "warmup=1 opd=1")
    assert [point.teacher_blocks for point in large.points] == [0, 1, 2, 3, 4]
    assert large.points[0].allocation == table.header.names["opposite"]
    assert large.points[4].allocation == table.header.names["teacher-upstream"]
    assert small.points[1].allocation == "teacher=small teacher_rl=1 warmup=1 opd=1 student_rl=3"
    valley = large.points[2]
    found = valley.score
    assert found.seeds == SEEDS and found.low is not None and found.high is not None
    assert found.low < found.score.mean < found.high < large.points[0].score.score.mean
    ends = [
        [table.correct_PK(Allocation.parse(p.allocation), s, "test") for s in SEEDS] for p in (valley, large.points[4])
    ]
    assert valley.minus_all == paired_difference(*ends) and large.points[4].minus_all is None


def test_one_seed_has_no_interval_and_what_is_not_recorded_no_point(table: RecordedTable) -> None:
    rows = [run for run in table.rows if run.seed == SEEDS[0] and "small" not in run.allocation]
    (curve,) = share_curves(checked_table(table.header, [run for run in rows if "teacher_rl=2" not in run.allocation]))
    assert [point.teacher_blocks for point in curve.points] == [0, 1, 3, 4]
    assert {(point.score.low, point.score.high) for point in curve.points} == {(None, None)}


def test_the_best_of_each_family_is_picked_by_draws_alone(table: RecordedTable) -> None:
    best = best_of_families(table)
    assert list(best) == ["best-split", *FAMILIES]
    assert str(best["best-interior"].allocation) == SOUND and best["best-interior"].validation == 1.0
    assert best["best-split"].allocation == best["best-interior"].allocation, "what shines on judges is not picked"
    families = {name: family_of(picked.allocation) for name, picked in best.items()}
    assert all(families[name] == name for name in FAMILIES)
    assert sum(best[name].num_splits for name in FAMILIES) == best["best-split"].num_splits
    assert best["best-split"].num_splits == len(SPACE.allocations())
    assert best["best-upstream"].allocation.student_label_blocks == 0


def test_every_model_has_a_curve_over_its_own_labels(table: RecordedTable) -> None:
    header = table.header.model_copy(update={"untrained": {"large": (2,) * 40}})
    student, large, small = label_curves(checked_table(header, table.rows))
    assert (student.model, large.model, small.model) == ("student", "large", "small")
    assert [labels for labels, _ in large.points] == [2, 4, 6, 8] and large.points[0][1].seeds == SEEDS
    assert (student.untrained, large.untrained) == (None, 0.5)
    assert label_curves(checked_table(header, [run for run in table.rows if run.allocation == "student_rl=1"])) == ()
