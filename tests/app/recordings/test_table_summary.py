"""`tuition recorded`: what it says of completeness, and the noise floors that it shows."""

import json
from pathlib import Path

import pytest

from tests.app.conftest import Command
from tests.benchmarks.made_table import SEEDS, SPACE, all_checkpoints, made_complete_table, made_header, made_runs
from tuition.app.recordings.recording_tables import show_recorded
from tuition.app.recordings.table_summary import describe_table
from tuition.benchmarks.tables.recorded_table import write_table

TEXTS = [str(allocation) for allocation in SPACE.allocations()][:24]


def written(path: Path, seeds: tuple[int, ...]) -> Path:
    write_table(path, made_header(), made_runs(made_header(), TEXTS, seeds))
    return path


def test_noise_floors_are_shown_of_all_and_of_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = describe_table(written(tmp_path / "made.parquet", SEEDS))
    floor, leading = document["noise_floor"], document["noise_floor_of_leading"]
    assert (floor["allocations"], leading["allocations"], floor["missing"]) == (24, 20, None)
    assert floor["judge_seeds"] == list(SEEDS[::2]) and floor["judge_error"] > floor["shrunken_error"]
    assert floor["loss_of_one_draw_seed"]["raw"] >= floor["loss_of_one_draw_seed"]["shrunken"]
    assert floor["loss_of_one_draw_seed"]["low"] is None
    show_recorded(document)
    shown = capsys.readouterr().out
    assert "all 24" in shown and "best 20" in shown and f"{100 * floor['judge_error']:.2f}" in shown


def test_a_complete_table_says_so_and_another_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = made_complete_table(seeds=SEEDS[:2], untrained={"student": (1,) * 6})
    space = len(all_checkpoints(SPACE))
    for rows, complete, said in (
        (whole.rows, True, f"Complete: all {space} checkpoints of the search space, teachers' included, with 2 seeds."),
        (whole.rows[:-1], False, f"Not complete: 1 of 2 seeds have all {space} checkpoints"),
    ):
        write_table(tmp_path / "made.parquet", whole.header, rows)
        document = describe_table(tmp_path / "made.parquet")
        show_recorded(document)
        shown = capsys.readouterr().out
        assert document["complete"] is complete and said in shown and "Base models: student." in shown
    assert f"Seed {SEEDS[1]} lacks 1: {document['seeds'][1]['missing_first'][0]}." in shown
    assert "Recorded from 2026-01-01 00:00 to 2026-01-01 00:00 UTC" in shown and "code 0.1.0." in shown
    first = document["seeds"][0]
    assert (first["routes"] + first["teachers"], first["missing"]) == (space, 0)
    assert sum(row["gpu_seconds_training"] for row in document["seeds"]) == document["gpu_seconds_training"]


def test_no_split_is_called_best_by_the_seeds_that_judge(tmp_path: Path) -> None:
    document = describe_table(written(tmp_path / "made.parquet", SEEDS[:1]))
    assert document["best_by_draws"] is None and "best" not in document


@pytest.mark.slow
def test_too_few_seeds_are_said_plainly(tmp_path: Path, tuition: Command) -> None:
    path = str(written(tmp_path / "made.parquet", SEEDS[:2]))
    reason = "not enough seeds: 1 to draw from and 1 judges"
    assert reason in json.loads(tuition("recorded", path, "--json").stdout)["noise_floor"]["missing"]
    assert f"Noise floors: {reason}" in tuition("recorded", path).stdout
