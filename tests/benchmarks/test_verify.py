"""Verification: what an entry states about its samples and they do not bear out, and sample files that are hostile."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from benchmarks import boards
from benchmarks.boards import MANIFEST, load_board, read_manifest, verify_board
from benchmarks.entries import EntryError, MeasuredEntry, entry_id, entry_json
from benchmarks.grading import Grader
from benchmarks.outcomes import regrade
from benchmarks.records import file_sha256
from tests.benchmarks.made_scores import made_entry


def first(board: Path) -> tuple[str, MeasuredEntry]:
    id = read_manifest(board).ids[0]
    entry = boards.read_entry(board, id)
    assert isinstance(entry, MeasuredEntry)
    return id, entry


def flip(path: Path, verdict_too: bool = True) -> None:
    table = pd.read_parquet(path)
    table.loc[0, "correct"] = not table.loc[0, "correct"]
    if verdict_too:
        table.loc[0, "verdict"] = "correct" if table.loc[0, "correct"] else "wrong"
    table.to_parquet(path, index=False)


def relist(board: Path, old: str, entry: MeasuredEntry) -> str:
    """Put a changed entry in the place of an old one, as a forger would: new id, changed changelog."""
    (board / "entries" / f"{old}.json").unlink()
    new = entry_id(entry)
    (board / "entries" / f"{new}.json").write_text(entry_json(entry))
    manifest = board / MANIFEST
    manifest.write_text(manifest.read_text().replace(old, new))
    return new


def test_one_flipped_verdict_fails_by_its_hash(board: Path) -> None:
    id, entry = first(board)
    flip(board / "samples" / f"{entry.samples[0].sha256}.parquet")
    fields = {mismatch.field for mismatch in verify_board(board).mismatches}
    assert {"samples[0].sha256", "score.mean", "score.se_seeds"} <= fields
    with pytest.raises(EntryError, match="tuition leaderboard verify"):
        load_board(board)
    assert {mismatch.id for mismatch in verify_board(board).mismatches} == {id}


def test_one_flipped_verdict_fails_by_the_scores_where_the_hash_was_adjusted(board: Path) -> None:
    id, entry = first(board)
    path = board / "samples" / f"{entry.samples[0].sha256}.parquet"
    flip(path)
    sha256 = file_sha256(path)
    path.rename(path.with_name(f"{sha256}.parquet"))
    forged = entry.model_copy(
        update={"samples": (entry.samples[0].model_copy(update={"sha256": sha256}), *entry.samples[1:])}
    )
    new = relist(board, id, forged)
    found = verify_board(board).mismatches
    assert {mismatch.id for mismatch in found} == {new}
    assert {mismatch.field for mismatch in found} >= {"score.mean", "score.se_problems", "score.se_seeds"}
    mean = next(mismatch for mismatch in found if mismatch.field == "score.mean")
    assert mean.stated == entry.score.mean and abs(mean.recomputed - mean.stated) == pytest.approx(1 / 144)


@pytest.mark.parametrize("name", ["mean", "se_problems", "se_samples", "se_seeds"])
def test_every_number_of_a_score_is_checked(board: Path, name: str) -> None:
    id, entry = first(board)
    changed = entry.score.model_copy(update={name: getattr(entry.score, name) + 1e-6})
    relist(board, id, entry.model_copy(update={"score": changed}))
    assert [mismatch.field for mismatch in verify_board(board).mismatches] == [f"score.{name}"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"num_problems": 13}, "num_problems"), ({"num_samples": 5}, "num_samples"),
        ({"problem_ids_sha256": "0" * 64}, "problem_ids_sha256"),
    ],
)  # fmt: skip
def test_counts_and_ids_are_checked(board: Path, changes: dict[str, object], field: str) -> None:
    id, entry = first(board)
    relist(board, id, entry.model_copy(update=changes))
    assert {mismatch.field for mismatch in verify_board(board).mismatches} == {
        f"{field} (samples[{i}])" for i in range(3)
    }


def test_a_verdict_that_contradicts_correct_is_named(board: Path) -> None:
    _, entry = first(board)
    flip(board / "samples" / f"{entry.samples[1].sha256}.parquet", verdict_too=False)
    found = verify_board(board).mismatches
    assert any("row 0 has the verdict" in str(mismatch.recomputed) for mismatch in found)


def test_an_entry_that_was_edited_in_its_file_is_refused(board: Path) -> None:
    id, _ = first(board)
    path = board / "entries" / f"{id}.json"
    path.write_text(path.read_text().replace('"direct"', '"directed"'))
    assert "it was changed after it was named" in str(verify_board(board).mismatches[0].recomputed)
    with pytest.raises(EntryError, match="it was changed after it was named"):
        load_board(board)


def test_files_that_are_gone_or_too_many_are_named(board: Path) -> None:
    _, entry = first(board)
    (board / "samples" / f"{entry.samples[0].sha256}.parquet").unlink()
    (board / "entries" / f"{read_manifest(board).ids[1]}.json").unlink()
    (board / "samples" / "stray.parquet").write_bytes(b"x")
    found = verify_board(board)
    assert {mismatch.id for mismatch in found.mismatches} == set(read_manifest(board).ids[:2])
    assert all("is missing" in str(mismatch.recomputed) for mismatch in found.mismatches)
    assert "samples/stray.parquet: no entry of version 1.1 needs it" in found.notes


def damage_link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def damage_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damage_text(path: Path) -> None:
    path.write_bytes(b"PAR1 no parquet at all PAR1")


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_columns(path: Path) -> None:
    pd.DataFrame({"problem_id": ["a"], "correct": [True]}).to_parquet(path)


def damage_holes(path: Path) -> None:
    table = pd.read_parquet(path)
    table.loc[3, "problem_id"] = None
    table.to_parquet(path, index=False)


def damage_types(path: Path) -> None:
    table = pd.read_parquet(path)
    table.assign(correct=table["correct"].astype("int64")).to_parquet(path, index=False)


def damage_verdict(path: Path) -> None:
    table = pd.read_parquet(path)
    table.loc[3, "verdict"] = "brilliant"
    table.to_parquet(path, index=False)


def damage_twice(path: Path) -> None:
    table = pd.read_parquet(path)
    table.loc[1, "sample"] = 0
    table.to_parquet(path, index=False)


def damage_uneven(path: Path) -> None:
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)


def damage_empty(path: Path) -> None:
    pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)


def damage_long(path: Path) -> None:
    """A few bytes on disk that would be gigabytes in memory, were the texts expanded."""
    table = pyarrow.parquet.read_table(path)
    long = pyarrow.array(["x" * 1_000_000] * table.num_rows, type=table.schema.field("problem_id").type)
    pyarrow.parquet.write_table(table.set_column(0, "problem_id", long), path)


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_hostile_sample_files_are_a_mismatch_in_one_line(board: Path, damage: Callable[[Path], None]) -> None:
    id, entry = first(board)
    damage(board / "samples" / f"{entry.samples[0].sha256}.parquet")
    found = verify_board(board)
    assert found.mismatches and {mismatch.id for mismatch in found.mismatches} == {id}
    assert all(len(mismatch.sentence.splitlines()) == 1 for mismatch in found.mismatches)
    with pytest.raises(EntryError):
        load_board(board)


def test_a_table_of_too_many_rows_is_not_read(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.outcomes.MAX_ROWS", 47)
    assert "it has 48 rows, the limit is 47" in str(verify_board(board).mismatches[0].recomputed)


def test_files_over_the_limit_are_not_read(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "MAX_SAMPLES_BYTES", 100)
    assert "the limit is 100" in str(verify_board(board).mismatches[0].recomputed)


def test_regrading_names_every_verdict_that_changed(tmp_path: Path) -> None:
    entry, paths = made_entry(tmp_path, "half", seeds=(1,))
    table = pd.read_parquet(paths[0])
    golds = dict.fromkeys(table["problem_id"], "7")
    with Grader() as grader:
        with paths[0].open("rb") as file:
            assert regrade(entry, file, golds, grader).changes == ()
        with paths[0].open("rb") as file:
            other = regrade(entry, file, {**golds, "toy/000": "8"}, grader)
        with paths[0].open("rb") as file, pytest.raises(EntryError, match="1 problems have no answer"):
            regrade(entry, file, {id: "7" for id in golds if id != "toy/000"}, grader)
    assert len(other.changes) == 4 and {change[0] for change in other.changes} == {"toy/000"}
    assert other.num_samples == 48
