"""Measured leaderboards that ship with Tuition: one leaderboard folder each, named by suite and version as `micro@1`.

What: `shipped_boards` names them, `find_board` takes such a name or the path of any leaderboard folder. They are made
by `tuition leaderboard add` like every other leaderboard; a test verifies every one of their entries.

Simplified: every folder here is taken for a leaderboard, so that one that is broken is seen and not passed over.
Run `tuition leaderboard verify` to recompute them all.
"""

from pathlib import Path

from tuition.benchmarks.boards.entries import EntryError

FOLDER = Path(__file__).parent


def shipped_boards() -> dict[str, Path]:
    """The folders of the leaderboards that ship, by name."""
    folders = (path for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__")
    return {path.name: path for path in sorted(folders)}


def is_board(what: str) -> bool:
    """Whether this is meant as a leaderboard: a path, a folder here, or the name of one that ships."""
    return "/" in what or Path(what).is_dir() or what in shipped_boards()


def find_board(what: str) -> Path:
    """The folder of a leaderboard, from its path or the name of one that ships; EntryError for neither."""
    shipped = shipped_boards()
    if not is_board(what):
        known = ", ".join(shipped) or "none yet"
        raise EntryError(f"{what!r:.80} is neither a folder nor a shipped leaderboard (shipped: {known})")
    return Path(what) if what not in shipped or Path(what).is_dir() else shipped[what]
