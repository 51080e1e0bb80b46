"""Leaderboard folders: adding, twice and at once; verification; and what a hostile folder may not do."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.benchmarks.made_scores import NAMES, ROUTES, made_entry, sample_table, save_score
from tuition.benchmarks.boards import board_folder
from tuition.benchmarks.boards.board_folder import MANIFEST, add_entries, read_manifest
from tuition.benchmarks.boards.entries import EntryError, entry_id
from tuition.benchmarks.boards.loaded_board import load_board
from tuition.benchmarks.boards.manifest import Change, Manifest
from tuition.benchmarks.boards.measured_entry import ScoredRun, entry_of_scores
from tuition.benchmarks.boards.outcomes import Outcomes
from tuition.benchmarks.boards.verification.whole_board import verify_board
from tuition.benchmarks.scoring.score_store import SAMPLES_FILE


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
    assert (len(replaced.new), replaced.known, replaced.replaced, replaced.version) == (1, (), again.known, "2.0")
    assert read_manifest(board).changelog[-1].removed == again.known
    loaded = [listed.entry for listed in load_board(board).entries if listed.entry.name == "half"]
    assert [entry.labels_owned for entry in loaded] == [160] and verify_board(board).notes == []


def test_one_result_under_two_names_is_refused(board: Path, tmp_path: Path) -> None:
    with pytest.raises(EntryError, match=r"half: name: stated half, recomputed taken by entry .*; nothing was added"):
        add_entries(board, [made_entry(tmp_path, "half", 0.9)])
    for allocation in (ROUTES["half"], ROUTES["direct"]):
        same, paths = made_entry(tmp_path, "half", NAMES["half"], allocation=allocation)
        with pytest.raises(EntryError, match=r"weights of its own: entry \S+ \(half\) has them, listed once"):
            add_entries(board, [(same.model_copy(update={"name": "mine", "labels_owned": 99}), paths)])


def test_a_baseline_may_be_trained_as_deployed_under_its_name(tmp_path: Path) -> None:
    rows = [made_entry(tmp_path, name, shuffled=True) for name in ("direct", "half", "raw-bridge")]
    assert len(add_entries(tmp_path / "deployed", rows).new) == 3


def test_routes_whose_last_blocks_learnt_nothing_may_share_a_checkpoint(board: Path, tmp_path: Path) -> None:
    entry, paths = made_entry(tmp_path, "half", NAMES["half"])
    runs = tuple(
        run.model_copy(update={"blocks": (*run.blocks, run.blocks[-1].model_copy(update={"key": f"{place:064x}"}))})
        for place, run in enumerate(entry.samples)
    )
    spent = entry.gpu_seconds * 11 / 10 if entry.gpu_seconds else None
    longer = {"name": "longer", "allocation": f"{ROUTES['half']} replay=1", "gpu_seconds": spent, "samples": runs}
    add_entries(board, [(entry.model_copy(update=longer), paths)])
    found = verify_board(board)
    assert found.mismatches == [] and "only training again shows" in found.undecided[-1].reason


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


class Killed(BaseException):
    """What nothing can react to."""


@pytest.mark.parametrize("killed_at", ["entries", "manifest"])
def test_a_killed_add_lists_nothing_and_is_completed_by_the_same_call(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    addition = made_entry(tmp_path, "opd-only")
    real: Callable[[Path, str], None] = board_folder.write_text

    def dies(path: Path, text: str) -> None:
        if (path.name == MANIFEST) == (killed_at == "manifest"):
            (path.parent / ".partial-left").write_text("half of it")
            raise Killed
        real(path, text)

    monkeypatch.setattr(board_folder, "write_text", dies)
    with pytest.raises(Killed):
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
        raise Killed

    addition = made_entry(tmp_path, "first")
    monkeypatch.setattr(board_folder, "write_text", dies)
    with pytest.raises(Killed):
        add_entries(tmp_path / "new", [addition])
    monkeypatch.undo()
    assert add_entries(tmp_path / "new", [addition]).version == "1.0"
    assert verify_board(tmp_path / "new").mismatches == []


@pytest.mark.parametrize("name", ["entries", "samples"])
def test_a_subfolder_that_is_a_link_is_not_followed(board: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (board / name).rename(outside)
    (board / name).symlink_to(outside)
    before = sorted(outside.iterdir())
    assert verify_board(board).mismatches
    with pytest.raises(EntryError, match="is a link or a file, not a folder"):
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
        ({"title": "My"}, "title not as in"),
        ({"url": "javascript:x"}, "url is"), ({"schema_version": 4}, "schema_version"),
        ({"schema_version": 1}, "format 1 has neither protocols nor a chain"), 
        ({"name": "other"}, "chain of the changelog breaks at version 1.0"),
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
    withdrawn = {
        "version": "2.0",
        "date": manifest.changelog[-1].date,
        "change": "Half withdrawn: wrong seeds",
        "removed": [gone],
    }
    document |= {"version": "2.0", "changelog": [*document["changelog"], withdrawn]}
    (board / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(EntryError, match=r"breaks at version 2\.0: its `previous` is missing.*has the hash") as error:
        read_manifest(board)
    withdrawn["previous"] = str(error.value).split()[-1]
    (board / MANIFEST).write_text(json.dumps(document))
    assert gone not in read_manifest(board).ids and len(read_manifest(board).ids) == 6
    assert gone not in {listed.id for listed in load_board(board).entries}
    found = verify_board(board)
    assert found.measured == 2 and len(found.notes) == 3 and all("samples/" in note for note in found.notes)


def test_suites_and_presets_of_a_leaderboard_are_kept(board: Path, tmp_path: Path) -> None:
    manifest = read_manifest(board)
    closed = manifest.model_copy(update={"suites": ("toy@1",), "presets": ("sampled",)})
    date = manifest.changelog[-1].date
    board_folder.write_manifest(board, closed.changed(Change(version="2.0", date=date, change="Closed")))
    with pytest.raises(EntryError, match="suite toy@2 is not one of toy@1"):
        add_entries(board, [made_entry(tmp_path, "x", suite="toy@2")])
    greedy = {"name": "greedy", "temperature": 0.0}
    with pytest.raises(EntryError, match="preset 'greedy' is not one of sampled"):
        add_entries(board, [made_entry(tmp_path, "x", decoding=greedy)])
    assert add_entries(board, [made_entry(tmp_path, "x", suite="toy@1[:5]")]).version == "2.1"


def test_an_addition_whose_numbers_do_not_recompute_is_refused(board: Path, tmp_path: Path) -> None:
    entry, paths = made_entry(tmp_path, "forged")
    forged = entry.model_copy(update={"score": entry.score.model_copy(update={"mean": 0.99})})
    with pytest.raises(EntryError, match=r"score\.mean: stated 0\.99.*nothing was added"):
        add_entries(board, [(forged, paths)])
    other, _ = made_entry(tmp_path, "other")
    with pytest.raises(EntryError, match="sha256"):
        add_entries(board, [(entry.model_copy(update={"samples": other.samples}), paths)])
    assert read_manifest(board).version == "1.1"


def test_what_was_not_added_leaves_no_file(board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def files(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {".lock"}

    before = files(board)
    good, (same, same_paths) = made_entry(tmp_path, "good"), made_entry(tmp_path, "other")
    wrong = same.model_copy(update={"score": same.score.model_copy(update={"mean": 0.99})})
    taken = same.model_copy(update={"name": "direct"})
    for second in (wrong, taken):
        for folder in (board, tmp_path / "new") if second is wrong else (board,):
            with pytest.raises(EntryError, match="nothing was added"):
                add_entries(folder, [good, (second, same_paths)])
    assert files(board) == before and files(tmp_path / "new") == set()

    def full(folder: Path, manifest: Manifest) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(board_folder, "write_manifest", full)
    with pytest.raises(OSError, match="no space"):
        add_entries(board, [good])
    assert files(board) == before
    monkeypatch.undo()
    assert add_entries(board, [good]).version == "1.2" and len(files(board)) == len(before) + 4


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(EntryError, match="holds other files"):
        add_entries(tmp_path / "home", [made_entry(tmp_path, "x")])
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.tex"]


def test_titles_are_not_changed_in_passing(board: Path, tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="has the title 'Toy board'"):
        add_entries(board, [made_entry(tmp_path, "x")], "Another")
    assert isinstance(read_manifest(board), Manifest)


def test_a_writer_waits_for_the_lock(board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_folder, "LOCK_SECONDS", 0.05)
    addition = made_entry(tmp_path, "x")
    with FileLock(board / ".lock"), pytest.raises(EntryError, match="another process"):
        add_entries(board, [addition])
    assert add_entries(board, [addition]).version == "1.2"


def test_scores_that_do_not_belong_together_make_no_entry(tmp_path: Path) -> None:
    keys = [save_score(tmp_path, sample_table(0.5, seed), f"w{seed}", suite=f"toy@{seed}") for seed in (1, 2)]
    with pytest.raises(EntryError, match="not scored alike"):
        entry_of_scores(tmp_path / "scores", [ScoredRun(1, keys[0]), ScoredRun(2, keys[1])], {"name": "x"})
    other = save_score(tmp_path, sample_table(0.5, 3, num_problems=9), "w3", suite="toy@1")
    with pytest.raises(EntryError, match="different problems"):
        entry_of_scores(tmp_path / "scores", [ScoredRun(1, keys[0]), ScoredRun(3, other)], {"name": "x"})
    with pytest.raises(EntryError, match="is missing"):
        entry_of_scores(tmp_path / "scores", [ScoredRun(1, "0" * 64)], {"name": "x"})
    with pytest.raises(EntryError, match="not 64 hex digits"):
        entry_of_scores(tmp_path / "scores", [ScoredRun(1, "../../x")], {"name": "x"})
    (tmp_path / "scores" / keys[0][:2] / keys[0] / SAMPLES_FILE).write_bytes(b"x")
    with pytest.raises(EntryError, match="not a sample table"):
        entry_of_scores(tmp_path / "scores", [ScoredRun(1, keys[0])], {"name": "x"})


def test_the_weights_of_a_served_model_are_not_known(tmp_path: Path) -> None:
    key = save_score(tmp_path, sample_table(0.5, 1), "served qwen at http://127.0.0.1:8000")
    fields = {
        "name": "qwen",
        "model": "qwen",
        "command": "tuition bench",
        "code_version": "0.1.0",
        "contamination": "None.",
    }
    entry, paths, _ = entry_of_scores(tmp_path / "scores", [ScoredRun(None, key)], {**fields, "contamination": "None."})
    assert entry.samples[0].weights_sha256 is None and entry.seeds == ()
    assert len(add_entries(tmp_path / "board", [(entry, paths)]).new) == 1
