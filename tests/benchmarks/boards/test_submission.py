"""A submission only adds: what it changes, removes or brings along beside is refused by name."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.forged_boards import COST, Document, make_honest, named, relist, rewrite
from tests.benchmarks.made_scores import micro_entry
from tuition.benchmarks.boards.board_folder import add_entries, read_manifest, write_manifest
from tuition.benchmarks.boards.verification.submission import new_ids, submission_mismatches
from tuition.benchmarks.reported import reported_entries

NEW: dict[str, Any] = {
    "allocation": "teacher=large teacher_rl=2 opd=2 student_rl=2",
    "labels_trained": 32,
    "gpu_seconds": COST,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_honest(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def submitted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("submitted")
    shutil.copytree(base, root / "board")
    add_entries(root / "board", [micro_entry(root, "quarter", 0.6, **NEW)])
    return root / "board"


@pytest.fixture
def board(submitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(submitted, tmp_path / "board"))


def said(board: Path, base: Path) -> list[str]:
    return [mismatch.sentence for mismatch in submission_mismatches(board, base)]


def test_new_entries_are_accepted(board: Path, base: Path) -> None:
    assert said(board, base) == []
    (id,) = new_ids(read_manifest(base), read_manifest(board))
    assert id == named(board, "quarter")[0]


def title_changed(board: Path) -> None:
    """As it may be: with the change that adds the entry."""
    *before, last = read_manifest(board).changelog
    manifest = read_manifest(board).model_copy(update={"title": "My board", "changelog": tuple(before)})
    write_manifest(board, manifest.changed(last))


def rival_removed(board: Path) -> None:
    id, _ = named(board, "teacher-upstream")

    def change(manifest: Document) -> None:
        manifest["changelog"][-1]["removed"] = [id]

    rewrite(board, change)


def rival_rewritten(board: Path) -> None:
    id, document = named(board, "teacher-upstream")
    relist(board, id, {**document, "command": "tuition other"})


def file_changed(board: Path) -> None:
    path = board / "samples" / f"{named(board, 'direct')[1]['samples'][0]['sha256']}.parquet"
    path.write_bytes(path.read_bytes() + b" ")


def file_gone(board: Path) -> None:
    (board / "entries" / f"{named(board, 'direct')[0]}.json").unlink()


def link_added(board: Path) -> None:
    (board / "samples" / "x.parquet").symlink_to("/etc/passwd")


def script_added(board: Path) -> None:
    (board / "conftest.py").write_text("print(1)")


def of_new(**fields: object) -> Callable[[Path], None]:
    def change(board: Path) -> None:
        id, document = named(board, "quarter")
        relist(board, id, {**document, **fields})

    return change


def weights_unknown(board: Path) -> None:
    id, document = named(board, "quarter")
    for run in document["samples"][:1]:
        run["weights_sha256"] = None
    relist(board, id, document)


def address_unknown(board: Path) -> None:
    id, document = named(board, "quarter")
    fields = {"model": "mine", "allocation": None, "scenario": None, "gpu_seconds": None, "accelerator": None}
    relist(board, id, {**document, **fields})


def reported_added(board: Path) -> None:
    add_entries(board, [(reported_entries("arxiv-2605.12483")[0], [])])


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing new": (lambda board: None, "nothing was added"),
    "another title": (title_changed, "leaderboard.json, title: stated My board"),
    "a rival removed": (rival_removed, "only adds"),
    "a rival rewritten": (rival_rewritten, "changes of before were rewritten"),
    "a file changed": (file_changed, ".parquet: stated changed, recomputed as it was before"),
    "a file gone": (file_gone, ".json: stated gone"),
    "a link": (link_added, "samples/x.parquet: stated no regular file"),
    "a script": (script_added, "conftest.py: stated a new file, recomputed no new entry needs it"),
    "no contamination statement": (of_new(contamination="Not checked: unknown."), "add with --contamination"),
    "local changes": (of_new(code_version="0.1.0+g0123.changed"), "a commit without local changes"),
    "weights of a server": (weights_unknown, "the weights' hash: score files, no server"),
    "weights nowhere": (address_unknown, "where the weights are: add with --weights"),
    "a reported number": (reported_added, "reported, format 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_submission_that_does_more_than_add_is_refused_by_name(case: str, board: Path, base: Path) -> None:
    change, message = REFUSED[case]
    if case == "nothing new":
        board = base
    change(board)
    found = said(board, base)
    assert any(message in one for one in found), found


def test_new_files_are_bounded_together(board: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuition.benchmarks.boards.verification.submission.MAX_ADDED_BYTES", 1000)
    assert any("recomputed at most 1,000 bytes" in one for one in said(board, base))
