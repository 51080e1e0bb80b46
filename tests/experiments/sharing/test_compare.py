"""What the comparison of blocks with ordinary runs says of made-up scores."""

import numpy as np
import pandas as pd
import pytest

from tests.experiments.sharing.compare import means, regrets, report, taus, whole_splits
from tests.experiments.sharing.train import compared
from tuition.planner.allocation import Allocation, TeacherCheckpoint
from tuition.runners.scenarios.scenario import Scenario

SPLITS = ["student_rl=2", "teacher=t teacher_rl=1 opd=1 student_rl=1", "teacher=t teacher_rl=2 opd=1"]
TEACHER = "teacher=t teacher_rl=2"


def made(gap: float, reverse: bool = False) -> pd.DataFrame:
    """Three seeds; the second split is best in ordinary runs; blocks score `gap` samples less, or in `reverse`."""
    truth = {SPLITS[0]: 4, SPLITS[1]: 12, SPLITS[2]: 8, TEACHER: 10}
    rows = []
    for seed in (1000, 2000, 3000):
        for text, level in truth.items():
            for ordinary in (False, True):
                correct = level if ordinary else (16 - level if reverse else level) - gap
                counts = np.clip(np.full(30, correct) + seed // 3000, 0, 16).astype(int).tolist()
                rows.append((f"made@{0:012}", text, ordinary, seed, 16, counts))
    return pd.DataFrame(rows, columns=["scenario", "allocation", "ordinary", "seed", "samples", "correct"])


def test_blocks_that_only_score_less_rank_alike_and_choose_as_well() -> None:
    frame = made(gap=2)
    blocks, ordinary = means(frame, False), means(frame, True)
    assert list(blocks.columns) == sorted(SPLITS), "a teacher is no student"
    assert taus(blocks, ordinary) == (pytest.approx(1), pytest.approx(1))
    assert not regrets(blocks, ordinary).any()
    text = "\n".join(report(frame))
    assert "Mean gap over all allocations: -12.5 [-12.5, -12.5]." in text and f"| {TEACHER} |" in text


def test_blocks_that_rank_the_other_way_round_are_told() -> None:
    frame = made(gap=0, reverse=True)
    blocks, ordinary = means(frame, False), means(frame, True)
    with_blocks, with_itself = taus(blocks, ordinary)
    assert with_blocks == pytest.approx(-1) and with_itself == pytest.approx(1)
    assert regrets(blocks, ordinary) == pytest.approx(50)


def test_the_curve_is_over_the_splits_of_the_whole_budget() -> None:
    assert whole_splits(made(0)) == [(1, SPLITS[1]), (2, SPLITS[2])]


@pytest.mark.parametrize("name", ["micro", "micro-b"])
def test_at_least_24_allocations_are_compared(name: str) -> None:
    found = compared(Scenario.load(name))
    assert isinstance(found[0], TeacherCheckpoint) and sum(isinstance(one, Allocation) for one in found) >= 24
