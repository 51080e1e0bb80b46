"""Leaderboard folders: adding, twice and at once; verification; and what a hostile folder may not do."""

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from filelock import FileLock

from benchmarks import boards
from benchmarks.boards import MANIFEST, add_entries, load_board, read_manifest, verify_board
from benchmarks.entries import EntryError, MeasuredEntry, entry_id, entry_json
from benchmarks.grading import Grader
from benchmarks.manifest import Manifest
from benchmarks.outcomes import Outcomes, regrade
from benchmarks.records import SAMPLES_FILE, file_sha256
from benchmarks.reported import reported_entries
from tests.benchmarks.made_scores import made_entry, sample_table, save_score

NAMES = {"direct": 0.3, "half": 0.45, "teacher-upstream": 0.7}


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard of three measured entries and four reported ones, made once."""
    root = tmp_path_factory.mktemp("example")
    folder = root / "board"
    add_entries(folder, [made_entry(root, name, accuracy) for name, accuracy in NAMES.items()], "Toy board")
    add_entries(folder, [(entry, []) for entry in reported_entries("arxiv-2605.12483")[:4]])
    return folder


@pytest.fixture
def board(example: Path, tmp_path: Path) -> Path:
    """A copy of the example, for a test to damage."""
    return Path(shutil.copytree(example, tmp_path / "board"))


def first(board: Path) -> tuple[str, MeasuredEntry]:
    id = read_manifest(board).ids[0]
    entry = boards.read_entry(board, id)
    assert isinstance(entry, MeasuredEntry)
    return id, entry


def test_what_was_added_is_there_and_recomputes(board: Path) -> None:
    found = verify_board(board)
    assert (found.measured, found.reported, found.mismatches, found.notes) == (3, 4, [], [])
    loaded = load_board(board)
    assert [listed.entry.name for listed in loaded.entries][:3] == list(NAMES)
    assert all(entry_id(listed.entry) == listed.id for listed in loaded.entries)
    assert [len(listed.outcomes) for listed in loaded.entries] == [3, 3, 3, 0, 0, 0, 0]
    assert isinstance(loaded.entries[0].outcomes[0], Outcomes)


def test_versions_rise_with_what_is_new_and_adding_twice_changes_nothing(board: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in board.rglob("*.*") if path.is_file()}
    again = add_entries(board, [made_entry(tmp_path, name, accuracy) for name, accuracy in NAMES.items()])
    assert (again.version, again.new, len(again.known)) == ("1.1", (), 3)
    assert {path: path.read_bytes() for path in board.rglob("*.*") if path.is_file()} == before
    more = add_entries(board, [made_entry(tmp_path, "opd-only")])
    manifest = read_manifest(board)
    assert more.version == manifest.version == "1.2"
    assert [change.version for change in manifest.changelog] == ["1.0", "1.1", "1.2"]
    assert manifest.changelog[-1].added == more.new


def test_a_result_is_listed_once_however_it_is_told(board: Path, tmp_path: Path) -> None:
    told = made_entry(tmp_path, "half", NAMES["half"], command="tuition search --trials 48", code_version="0.2.0")
    again = add_entries(board, [told])
    assert (again.new, len(again.known), again.replaced, again.version) == ((), 1, (), "1.1")
    more_labels = made_entry(tmp_path, "half", NAMES["half"], labels_owned=160)
    replaced = add_entries(board, [more_labels])
    assert (len(replaced.new), replaced.known, replaced.replaced, replaced.version) == (1, (), again.known, "1.2")
    assert read_manifest(board).changelog[-1].removed == again.known
    loaded = [listed.entry for listed in load_board(board).entries if listed.entry.name == "half"]
    assert [entry.labels_owned for entry in loaded] == [160] and verify_board(board).notes == []


def test_another_allocation_of_the_same_checkpoints_is_another_entry(board: Path, tmp_path: Path) -> None:
    assert len(add_entries(board, [made_entry(tmp_path, "half", NAMES["half"], allocation="student_rl=8")]).new) == 1


def _add_one(folder: Path, results: Path, number: int) -> None:
    # Two of the four processes add the same entry.
    add_entries(folder, [made_entry(results, f"row {number % 3}")])


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "board"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_one, args=(folder, tmp_path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    found = verify_board(folder)
    assert (found.measured, found.mismatches, found.notes) == (3, [], [])
    assert read_manifest(folder).version == "1.2"


@pytest.mark.parametrize("killed_at", ["entries", "manifest"])
def test_a_killed_add_lists_nothing_and_is_completed_by_the_same_call(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    addition = made_entry(tmp_path, "opd-only")
    real: Callable[[Path, str], None] = boards.write_text

    def dies(path: Path, text: str) -> None:
        if (path.name == MANIFEST) == (killed_at == "manifest"):
            (path.parent / ".partial-left").write_text("half of it")
            raise KeyboardInterrupt
        real(path, text)

    monkeypatch.setattr(boards, "write_text", dies)
    with pytest.raises(KeyboardInterrupt):
        add_entries(board, [addition])
    monkeypatch.undo()
    assert verify_board(board).measured == 3 and verify_board(board).mismatches == []
    assert add_entries(board, [addition]).version == "1.2"
    found = verify_board(board)
    assert (found.measured, found.mismatches, found.notes) == (4, [], [])


def test_a_first_add_that_was_killed_is_completed_by_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    addition = made_entry(tmp_path, "first")
    monkeypatch.setattr(boards, "write_text", dies)
    with pytest.raises(KeyboardInterrupt):
        add_entries(tmp_path / "new", [addition])
    monkeypatch.undo()
    assert add_entries(tmp_path / "new", [addition]).version == "1.0"
    assert verify_board(tmp_path / "new").mismatches == []


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


@pytest.mark.parametrize("name", ["entries", "samples"])
def test_a_subfolder_that_is_a_link_is_not_followed(board: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (board / name).rename(outside)
    (board / name).symlink_to(outside)
    before = sorted(outside.iterdir())
    assert verify_board(board).mismatches
    with pytest.raises(EntryError, match="no folder but a link"):
        add_entries(board, [made_entry(tmp_path, "opd-only")])
    assert sorted(outside.iterdir()) == before


def test_a_lock_that_is_a_link_is_refused(board: Path, tmp_path: Path) -> None:
    (board / ".lock").unlink(missing_ok=True)
    (board / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EntryError, match="symbolic link"):
        add_entries(board, [made_entry(tmp_path, "opd-only")])
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../up"}, "name is '../up'"), ({"version": "9.9"}, "version is '9.9'"),
        ({"changelog": []}, "changelog"), ({"extra": 1}, "unknown field 'extra'"), ({"title": "<b>"}, "printable"),
        ({"url": "javascript:x"}, "url is"), ({"schema_version": 2}, "schema_version"),
        ({"changelog": [{"version": "1.0", "date": "2026-01-01", "change": "x", "added": ["../../x"]}]}, "added"),
        ({"changelog": [{"version": v, "date": "2026-01-01", "change": "x"} for v in ("1.1", "1.0")]}, "do not rise"),
    ],
)  # fmt: skip
def test_a_broken_manifest_is_refused_in_one_line(board: Path, change: dict[str, object], message: str) -> None:
    path = board / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for call in (load_board, verify_board):
        with pytest.raises(EntryError, match=message) as error:
            call(board)
        assert len(str(error.value).splitlines()) == 1


def test_the_changelog_tells_the_entries_of_every_version(board: Path) -> None:
    manifest = read_manifest(board)
    gone = manifest.ids[1]
    document = json.loads((board / MANIFEST).read_text())
    document["version"] = "2.0"
    document["changelog"].append(
        {
            "version": "2.0",
            "date": "2027-01-01",
            "change": "Half withdrawn: wrong seeds",
            "added": [],
            "removed": [gone],
        }
    )
    (board / MANIFEST).write_text(json.dumps(document))
    assert gone not in read_manifest(board).ids and len(read_manifest(board).ids) == 6
    assert gone not in {listed.id for listed in load_board(board).entries}
    found = verify_board(board)
    assert found.measured == 2 and len(found.notes) == 3 and all("samples/" in note for note in found.notes)


def test_suites_and_presets_of_a_leaderboard_are_kept(board: Path, tmp_path: Path) -> None:
    document = json.loads((board / MANIFEST).read_text())
    (board / MANIFEST).write_text(json.dumps({**document, "suites": ["toy@1"], "presets": ["sampled"]}))
    with pytest.raises(EntryError, match="suite toy@2 is not one of toy@1"):
        add_entries(board, [made_entry(tmp_path, "x", suite="toy@2")])
    greedy = {"name": "greedy", "temperature": 0.0}
    with pytest.raises(EntryError, match="preset 'greedy' is not one of sampled"):
        add_entries(board, [made_entry(tmp_path, "x", decoding=greedy)])
    assert add_entries(board, [made_entry(tmp_path, "x", suite="toy@1[:5]")]).version == "1.2"


def test_an_addition_whose_numbers_do_not_recompute_is_refused(board: Path, tmp_path: Path) -> None:
    entry, paths = made_entry(tmp_path, "forged")
    forged = entry.model_copy(update={"score": entry.score.model_copy(update={"mean": 0.99})})
    with pytest.raises(EntryError, match=r"score\.mean: stated 0\.99.*nothing was added"):
        add_entries(board, [(forged, paths)])
    other, _ = made_entry(tmp_path, "other")
    with pytest.raises(EntryError, match="sha256"):
        add_entries(board, [(entry.model_copy(update={"samples": other.samples}), paths)])
    assert read_manifest(board).version == "1.1"


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(EntryError, match="holds other things"):
        add_entries(tmp_path / "home", [made_entry(tmp_path, "x")])
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.tex"]


def test_titles_are_not_changed_in_passing(board: Path, tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="has the title 'Toy board'"):
        add_entries(board, [made_entry(tmp_path, "x")], "Another")
    assert isinstance(read_manifest(board), Manifest)


def test_a_writer_waits_for_the_lock(board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "LOCK_SECONDS", 0.05)
    addition = made_entry(tmp_path, "x")
    with FileLock(board / ".lock"), pytest.raises(EntryError, match="another process"):
        add_entries(board, [addition])
    assert add_entries(board, [addition]).version == "1.2"


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


def test_scores_that_do_not_belong_together_make_no_entry(tmp_path: Path) -> None:
    from benchmarks.measured import entry_of_scores

    keys = [save_score(tmp_path, sample_table(0.5, seed), f"w{seed}", suite=f"toy@{seed}") for seed in (1, 2)]
    with pytest.raises(EntryError, match="not scored alike"):
        entry_of_scores(tmp_path / "scores", [(1, keys[0]), (2, keys[1])], {"name": "x"})
    other = save_score(tmp_path, sample_table(0.5, 3, num_problems=9), "w3", suite="toy@1")
    with pytest.raises(EntryError, match="different problems"):
        entry_of_scores(tmp_path / "scores", [(1, keys[0]), (3, other)], {"name": "x"})
    with pytest.raises(EntryError, match="is missing"):
        entry_of_scores(tmp_path / "scores", [(1, "0" * 64)], {"name": "x"})
    with pytest.raises(EntryError, match="not 64 hex digits"):
        entry_of_scores(tmp_path / "scores", [(1, "../../x")], {"name": "x"})
    (tmp_path / "scores" / keys[0][:2] / keys[0] / SAMPLES_FILE).write_bytes(b"x")
    with pytest.raises(EntryError, match="no sample table"):
        entry_of_scores(tmp_path / "scores", [(1, keys[0])], {"name": "x"})
