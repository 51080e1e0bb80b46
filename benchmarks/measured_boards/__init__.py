"""Measured leaderboards that ship with Tuition: one leaderboard folder each, named by suite and version as `micro@1`.

What: `shipped_boards` names them, `find_board` takes such a name or the path of any leaderboard folder. They are made
by `tuition leaderboard add` like every other leaderboard; a test verifies every one of their entries.

Simplified: every folder here is taken for a leaderboard, so that one that is broken is seen and not passed over.
Run `tuition leaderboard verify` to recompute them all.
"""

from pathlib import Path

from tuition.benchmarks.boards.board_folder import read_entry, read_manifest
from tuition.benchmarks.boards.entries import EntryError
from tuition.benchmarks.boards.manifest import Manifest
from tuition.benchmarks.boards.outcomes import Mismatch

FOLDER = Path(__file__).parent

# Version and head of the changelog's chain of every leaderboard that ships: a copy in which anything else is listed is
# no copy. `tuition leaderboard verify` prints the head of a new version.
HEADS = {
    "micro@1": ("1.2", "13be84273929d6b4a665021a374205499a919fea581128297c9e851bb9c7e004"),
    "micro@2": ("1.1", "73d9264610f21b7a2d6d6aa896367de3496581f157f6992ea53810ec955f0e2a"),
}


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


def is_shipped(manifest: Manifest) -> bool:
    """Whether a leaderboard is one that ships, as it ships or with later additions."""
    version, head = HEADS.get(manifest.name, ("", ""))
    return any(change.version == version and change.sha256 == head for change in manifest.chained.changelog)


def ships_so(manifest: Manifest) -> bool:
    """Whether a leaderboard is exactly what ships under its name."""
    if manifest.head != HEADS.get(manifest.name, ("", ""))[1]:
        return False
    return manifest.declared == read_manifest(FOLDER / manifest.name).declared


def _declared_otherwise(manifest: Manifest) -> list[Mismatch]:
    """What a copy says otherwise of title, address, suites and presets, where its own chain does not hold these."""
    if manifest.last_declared is not None:
        return []
    ours = read_manifest(FOLDER / manifest.name).declared
    pairs = {name: (value, getattr(ours, name)) for name, value in manifest.declared}
    return [Mismatch(manifest.head, name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]


def changed_from_shipped(folder: Path, manifest: Manifest) -> list[Mismatch]:
    """What a folder that has a shipped leaderboard's name lists otherwise: empty where nothing is, or for another name.

    EntryError when the one that ships cannot be read.
    """
    if manifest.name not in HEADS:
        return []
    if is_shipped(manifest):
        return _declared_otherwise(manifest)
    place = FOLDER / manifest.name
    shipped = {id: read_entry(place, id) for id in read_manifest(place).ids}
    now, found = [id for change in manifest.changelog for id in change.added], []
    for id, entry in shipped.items():
        if id not in now:
            found.append(Mismatch(id, "changelog", f"without this entry of {manifest.name}", "lists it", entry.name))
    ours = {entry.name: entry for entry in shipped.values()}
    for id in now:
        if id in shipped:
            continue
        try:
            entry = read_entry(folder, id)
        except EntryError:
            continue  # named already
        if (same := ours.get(entry.name)) is not None:
            theirs, right = entry.model_dump(), same.model_dump()
            differing = ", ".join(name for name in right if theirs.get(name) != right[name])
            found.append(
                Mismatch(id, "entry", f"another {entry.name}", f"differs in {differing} from what ships", entry.name)
            )
    version, head = HEADS[manifest.name]
    return found or [
        Mismatch(head, "changelog", f"a chain of {manifest.name}", f"not that of version {version}, which ships")
    ]
