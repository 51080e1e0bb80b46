"""`tuition recorded`: the noise floors that it shows."""

import json
from pathlib import Path

import pytest

from tests.app.conftest import Command
from tests.benchmarks.made_table import SEEDS, SPACE, made_header, made_runs
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


@pytest.mark.slow
def test_too_few_seeds_are_said_plainly(tmp_path: Path, tuition: Command) -> None:
    path = str(written(tmp_path / "made.parquet", SEEDS[:2]))
    reason = "not enough seeds: 1 to draw from and 1 judges"
    assert reason in json.loads(tuition("recorded", path, "--json").stdout)["noise_floor"]["missing"]
    assert f"Noise floors: {reason}" in tuition("recorded", path).stdout
