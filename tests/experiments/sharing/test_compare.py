"""What the comparison of blocks with ordinary runs says of made-up scores."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.experiments.sharing.compare import means, read_scores, regrets, report, taus, whole_splits
from tests.experiments.sharing.train import Job, compared, read, refuse_other_scenarios, train_seed
from tuition.benchmarks.tables.shipped import find_table
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


def test_a_file_of_two_scenarios_is_refused(tmp_path: Path) -> None:
    frame, path = made(0), tmp_path / "scores.parquet"
    frame.to_parquet(path)
    assert len(read_scores(path)) == len(frame)
    pd.concat([frame, frame.assign(scenario="other@000000000001")]).to_parquet(path)
    with pytest.raises(SystemExit, match="has scores of made@000000000000, other@000000000001: one file for each"):
        read_scores(path)
    frame[:0].to_parquet(path)
    with pytest.raises(SystemExit, match="has scores of no scenario"):
        read_scores(path)


def test_the_curve_is_over_the_splits_of_the_whole_budget() -> None:
    assert whole_splits(made(0)) == [(1, SPLITS[1]), (2, SPLITS[2])]


@pytest.mark.parametrize("name", ["micro", "micro-b"])
def test_at_least_24_allocations_are_compared(name: str) -> None:
    found = compared(Scenario.load(name))
    assert isinstance(found[0], TeacherCheckpoint) and sum(isinstance(one, Allocation) for one in found) >= 24


def test_another_scenarios_table_or_file_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    scenario, earlier = Scenario.load("micro-b"), tmp_path / "earlier.parquet"
    with pytest.raises(SystemExit, match="is of micro@a2f9f188d0a2, not of micro-b@9e4eb3c20d5c"):
        refuse_other_scenarios(scenario, find_table("micro@2"), earlier)
    made(0).to_parquet(earlier)
    with pytest.raises(SystemExit, match=r"has scores of made@000000000000, .*name another --out"):
        refuse_other_scenarios(scenario, None, earlier)


def test_a_half_finished_folder_gives_up_no_row_of_the_earlier_file(tmp_path: Path) -> None:
    scenario, out = Scenario.load("micro-b"), tmp_path / "scores.parquet"
    rows = [
        {"scenario": f"micro-b@{scenario.sha256[:12]}", "allocation": str(one), "ordinary": ordinary, "seed": 1000}
        | {"samples": 8, "correct": [1, 2], "gpu_seconds": 1.0}
        for one in compared(scenario)[:2]
        for ordinary in (False, True)
    ]
    pd.DataFrame(rows).to_parquet(out)
    folder = tmp_path / f"micro-b-{scenario.sha256[:12]}-1000"
    folder.mkdir()
    (folder / "scores.jsonl").write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[1])[:50])
    path = train_seed(Job("micro-b", "today", 1000, 2, None, tmp_path, out))
    assert sorted(map(json.dumps, read(path))) == sorted(map(json.dumps, rows)), "all known: nothing is trained"
    assert len(path.read_text().splitlines()) == 4, "the line that was cut short is gone"
