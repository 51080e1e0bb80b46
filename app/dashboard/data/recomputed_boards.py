"""Leaderboard folders as the page shows them: those that ship and those in the results folder, recomputed on reading.

An entry that cannot be read, or that its samples contradict, is named and left out; the rest is ranked. What a copy of
a leaderboard that ships has otherwise is named, too.
"""

from dataclasses import dataclass
from pathlib import Path

from tuition.app.dashboard.data.files import Unreadable, folders
from tuition.benchmarks import measured_boards, measured_planners
from tuition.benchmarks.boards.board_folder import MANIFEST, compare_entry, is_board, read_entry, read_manifest
from tuition.benchmarks.boards.entries import SHORT_ID, EntryError
from tuition.benchmarks.boards.loaded_board import Board, Listed
from tuition.benchmarks.boards.standings import Standings, standings
from tuition.benchmarks.measured_boards import changed_from_shipped
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder

SHIPPED = "shipped: "


@dataclass(frozen=True)
class ShownBoard:
    """A leaderboard with what was wrong in it."""

    board: Board
    standings: Standings
    unreadable: tuple[Unreadable, ...]


def board_folders(results: Path) -> dict[str, Path]:
    """Leaderboard folders by the name under which they are offered: of the results folder first, then those shipped."""
    own = [results, *folders(results), *(board for above in ResultsFolder(results).boards for board in folders(above))]
    found = {str(folder.relative_to(results)): folder for folder in own if is_board(folder)}
    shipped = Path(measured_boards.__file__).parent
    return {
        **found,
        **{f"{SHIPPED}{folder.name}": folder for folder in sorted(shipped.iterdir()) if is_board(folder)},
    }


def race_folders(results: Path) -> dict[str, Path]:
    """Folders of planners' races by the name under which they are offered: those of the results folder first."""
    held = sorted(path.parent for path in ResultsFolder(results).planners.glob("*/*.parquet"))
    own = [folder for folder in held if not folder.is_symlink()]
    shipped = sorted(path.parent for path in Path(measured_planners.__file__).parent.glob("*/*.parquet"))
    return {**{path.name: path for path in own}, **{f"{SHIPPED}{path.name}": path for path in shipped}}


def read_board(folder: Path) -> ShownBoard:
    """A leaderboard, every measured number recomputed from its samples. EntryError when its manifest is broken."""
    manifest = read_manifest(folder)
    listed, unreadable = [], []
    for id in manifest.ids:
        where = f"{folder.name}/entries/{id[:SHORT_ID]}…json"
        try:
            entry = read_entry(folder, id)
            mismatches, outcomes = compare_entry(folder, id, entry)
        except EntryError as error:
            unreadable.append(Unreadable(where, one_line(str(error).replace(str(folder), folder.name))))
            continue
        if mismatches:
            unreadable.append(Unreadable(where, f"{entry.name}: {mismatches[0].sentence}"))
        else:
            listed.append(Listed(id, entry, outcomes))
    for mismatch in changed_from_shipped(folder, manifest):
        unreadable.append(Unreadable(f"{folder.name}/{MANIFEST}", mismatch.sentence))
    board = Board(manifest, tuple(listed))
    return ShownBoard(board, standings(board), tuple(unreadable))


def manifest_path(folder: Path) -> Path:
    """The file by which a changed leaderboard is known."""
    return folder / MANIFEST
