"""A leaderboard that was read whole, to be shown: nothing of it is wrong, as far as files show without grading.

What: `load_board` reads a folder and refuses what its samples, protocol, other entries or what ships contradict.
`tuition.benchmarks.boards.verification` says everything that differs, and grades again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuition.benchmarks.boards.board_folder import compare_entry, read_entry, read_manifest
from tuition.benchmarks.boards.cross_checks import cross_mismatches, entry_mismatches
from tuition.benchmarks.boards.entries import SHORT_ID, EntryError, LeaderboardEntry, MeasuredEntry
from tuition.benchmarks.boards.manifest import Manifest
from tuition.benchmarks.boards.outcomes import Mismatch, Outcomes
from tuition.benchmarks.boards.verification.changelog_checks import changelog_mismatches
from tuition.benchmarks.measured_boards import changed_from_shipped


@dataclass(frozen=True)
class Listed:
    """An entry of a leaderboard; `outcomes` are one per training run, and empty for a reported entry."""

    id: str
    entry: LeaderboardEntry
    outcomes: tuple[Outcomes, ...] = ()

    @property
    def short(self) -> str:
        """The id as it is shown."""
        return self.id[:SHORT_ID]


@dataclass(frozen=True)
class Board:
    """A leaderboard that was read whole; every measured number was recomputed on the way."""

    manifest: Manifest
    entries: tuple[Listed, ...]


def load_board(folder: Path) -> Board:
    """Read a leaderboard. EntryError for anything broken, and for what is wrong without grading anything."""
    manifest = read_manifest(folder)
    listed = []
    for id in manifest.ids:
        entry = read_entry(folder, id)
        mismatches, outcomes = compare_entry(folder, id, entry)
        if isinstance(entry, MeasuredEntry):
            mismatches += entry_mismatches(id, entry, manifest.protocol(entry.suite))
        _refuse(folder, mismatches, entry)
        listed.append(Listed(id, entry, outcomes))
    names = {one.id: one.entry for one in listed}
    measured = [(one.id, one.entry) for one in listed if isinstance(one.entry, MeasuredEntry)]
    whole = (*changelog_mismatches(manifest), *cross_mismatches(measured), *changed_from_shipped(folder, manifest))
    for mismatch in whole:
        _refuse(folder, [mismatch], names.get(mismatch.id))
    return Board(manifest, tuple(listed))


def _refuse(folder: Path, mismatches: Sequence[Mismatch], entry: LeaderboardEntry | None) -> None:
    for mismatch in mismatches:
        whose = "" if entry is None else f"entry {mismatch.id[:SHORT_ID]} ({entry.name}): "
        raise EntryError(f"{whose}{mismatch.sentence}; `tuition leaderboard verify {folder}` lists all")
