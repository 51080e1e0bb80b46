"""A recording among the tables that ship: checked, named for its bench, and without the folders of a machine."""

from pathlib import Path

import pytest

from tests.benchmarks.made_table import SEEDS, SPACE, made_header, made_runs
from tuition.benchmarks.provenance import without_folders
from tuition.benchmarks.tables.publish import publish
from tuition.benchmarks.tables.recorded_table import RecordedError, read_table, write_table

COMMAND = "tuition record --scenario made --results /home/me/rec --out '/home/me/a folder/made.parquet'"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    texts = [str(allocation) for allocation in SPACE.allocations()[:5]]
    runs = [run.model_copy(update={"command": COMMAND}) for run in made_runs(made_header(), texts, SEEDS[:2])]
    write_table(tmp_path / "recording.parquet", made_header(), runs)
    return tmp_path / "recording.parquet"


def test_rows_stay_as_they_are_but_for_folders_in_commands(recording: Path, tmp_path: Path) -> None:
    before, after = read_table(recording), read_table(publish(recording, "made@2", tmp_path))
    assert (tmp_path / "made@2.parquet").is_file() and after.header == before.header
    assert {run.command for run in after.rows} == {"tuition record --scenario made --results rec --out made.parquet"}
    again = [run.model_copy(update={"command": COMMAND}) for run in after.rows]
    assert again == list(before.rows)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("made", "no bench with a version"),
        ("made@0", "no bench"),
        ("micro@2", "of the scenario made"),
        ("made@1", "ships already"),
    ],
)
def test_a_wrong_name_is_refused(recording: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "made@1.parquet").touch()
    with pytest.raises(RecordedError, match=message):
        publish(recording, name, tmp_path)
    assert not list(tmp_path.glob("*@[02]*"))


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "empty.parquet", made_header(), [])
    with pytest.raises(RecordedError, match=r"empty.parquet has no row: record it"):
        publish(tmp_path / "empty.parquet", "made@1", tmp_path)
    assert not (tmp_path / "made@1.parquet").exists()


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("tuition record --out=/tmp/x/micro.parquet", "tuition record --out=micro.parquet"),
        ("tuition record --scenario ~/mine/own.yaml", "tuition record --scenario own.yaml"),
        ("tuition record --out results/micro.parquet", "tuition record --out results/micro.parquet"),
        ("python -m tests.x 'a b' 3", "python -m tests.x 'a b' 3"),
    ],
)
def test_only_absolute_paths_lose_their_folders(command: str, kept: str) -> None:
    assert without_folders(command) == kept
