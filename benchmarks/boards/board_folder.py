"""Leaderboard folders: `leaderboard.json`, `entries/<id>.json` and `samples/<sha256>.parquet`, from untrusted disks.

What: `add_entries` puts entries and their sample files in, atomically and safe against another writer. `loaded_board`
reads a folder whole and refuses what is wrong.

Simplified: sample files are copied whole, never shared between folders. Nothing is deleted: an entry that is withdrawn
stays on disk and is named under `removed` in the changelog. A folder is a leaderboard when it holds `leaderboard.json`.
"""

import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial as bound
from io import BufferedReader
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from tuition.benchmarks.artefacts import write_text
from tuition.benchmarks.boards.cross_checks import cross_mismatches, entry_mismatches
from tuition.benchmarks.boards.entries import (
    MAX_ENTRY_BYTES,
    SHORT_ID,
    EntryError,
    LeaderboardEntry,
    MeasuredEntry,
    canonical,
    entry_id,
    entry_json,
    parse_entry,
    parse_json,
)
from tuition.benchmarks.boards.manifest import Change, Declared, Manifest
from tuition.benchmarks.boards.outcomes import Mismatch, Outcomes, compare_with_samples, read_statement
from tuition.benchmarks.boards.protocol import Protocol
from tuition.benchmarks.one_line import first_complaint, one_line

MANIFEST = "leaderboard.json"
OURS = (".lock", "entries", "samples", MANIFEST)
MAX_MANIFEST_BYTES = 16 << 20
MAX_SAMPLES_BYTES = 2 << 30
LOCK_SECONDS = 600.0
COPY_BYTES = 1 << 20
# Fields that say how a result came about and not what it is: a study that is run again may change them.
MADE_BY = {"command", "code_version", "versions"}


@dataclass(frozen=True)
class Added:
    """What an `add_entries` did: ids that are new, ids that were there, and ids that new ones replaced."""

    version: str
    new: tuple[str, ...]
    known: tuple[str, ...]
    replaced: tuple[str, ...]


def is_board(folder: Path) -> bool:
    """Whether a path is a leaderboard folder."""
    return (folder / MANIFEST).is_file()


def open_regular(path: Path, max_bytes: int) -> BufferedReader:
    """Open a regular file of a leaderboard for reading; EntryError for a link, a pipe, a device, or one too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise EntryError(f"{path} is missing") from None
    except OSError as error:
        reason = "is a symbolic link" if path.is_symlink() else f"cannot be read ({error.strerror})"
        raise EntryError(f"{path} {reason}: a leaderboard holds regular files only") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > max_bytes:
        os.close(descriptor)
        reason = f"has {found.st_size:,} bytes, the limit is {max_bytes:,}"
        raise EntryError(f"{path} {reason if stat.S_ISREG(found.st_mode) else 'is not a regular file'}")
    return os.fdopen(descriptor, "rb")


def _read(path: Path, max_bytes: int) -> bytes:
    with open_regular(path, max_bytes) as file:
        return file.read(max_bytes + 1)


def subfolder(folder: Path, name: str) -> Path:
    """`entries` or `samples` of a folder; EntryError for a link or a file in its place."""
    path = folder / name
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise EntryError(f"{path} is a link or a file, not a folder: remove it")
    return path


def read_manifest(folder: Path) -> Manifest:
    """`leaderboard.json` of a folder; EntryError when it is missing or broken."""
    path = folder / MANIFEST
    document = parse_json(_read(path, MAX_MANIFEST_BYTES), str(path), MAX_MANIFEST_BYTES)
    try:
        return Manifest.model_validate_json(canonical(document))
    except (ValidationError, ValueError) as error:
        reason = first_complaint(error) if isinstance(error, ValidationError) else one_line(error)
        raise EntryError(f"{path}: {reason}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `leaderboard.json`, which appears whole."""
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")


def read_entry(folder: Path, id: str) -> LeaderboardEntry:
    """One entry of a folder; EntryError unless its content hashes to its file's name."""
    path = subfolder(folder, "entries") / f"{id}.json"
    entry = parse_entry(_read(path, MAX_ENTRY_BYTES), str(path))
    found = entry_id(entry)
    if found != id:
        raise EntryError(f"{path}: its content has the id {found[:SHORT_ID]}, so it was changed after it was added")
    return entry


def compare_entry(folder: Path, id: str, entry: LeaderboardEntry) -> tuple[list[Mismatch], tuple[Outcomes, ...]]:
    """`compare_with_samples` on an entry's files in the folder; nothing for a reported entry."""
    if not isinstance(entry, MeasuredEntry):
        return [], ()
    samples = subfolder(folder, "samples")
    paths = [samples / f"{file.sha256}.parquet" for file in entry.samples]
    return compare_with_samples(id, entry, [bound(open_regular, path, MAX_SAMPLES_BYTES) for path in paths])


def says_what_it_is(folder: Path, sha256: str) -> bool:
    """Whether a sample file says which score it is; EntryError for a file that cannot be read."""
    with open_regular(subfolder(folder, "samples") / f"{sha256}.parquet", MAX_SAMPLES_BYTES) as file:
        return read_statement(file) is not None


def make_board(folder: Path, title: str | None, protocols: tuple[Protocol, ...], url: str | None = None) -> Manifest:
    """Make a leaderboard without entries. EntryError where there is one already, or other files."""
    with _writing(folder):
        if is_board(folder):
            raise EntryError(f"{folder} is a leaderboard already: its protocol cannot change; choose a new folder")
        today = time.strftime("%Y-%m-%d", time.gmtime())
        change = Change(version="1.0", date=today, change="Protocol declared")
        manifest = new_manifest(folder, title, change, protocols, url)
        write_manifest(folder, manifest)
        return manifest


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Hold a leaderboard's lock; its folder is made. EntryError for a folder of other things."""
    # Without a manifest but with our folders: another writer's first addition, or one that was killed.
    others = [path.name for path in folder.iterdir() if path.name not in OURS] if folder.exists() else []
    if not is_board(folder) and any(not name.startswith(f".partial-{MANIFEST}") for name in others):
        raise EntryError(f"{folder} holds other files but no {MANIFEST}: give a leaderboard or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / ".lock").is_symlink():
        raise EntryError(f"{folder / '.lock'} is a symbolic link: remove it")
    try:
        with FileLock(folder / ".lock", timeout=LOCK_SECONDS):
            yield
    except Timeout:
        raise EntryError(f"{folder} is being written by another process: try again when it is done") from None


def add_entries(
    folder: Path, additions: Iterable[tuple[LeaderboardEntry, Sequence[Path]]], title: str | None = None
) -> Added:
    """Add entries with their sample files, and raise the leaderboard's version once if any of them is new.

    Makes the folder where there is none. Every measured entry is recomputed from the copy of its samples before it is
    listed: EntryError, and nothing is listed or left, if a number differs. Idempotent; two writers wait for each other.
    Killed at any moment the leaderboard is as it was before, and the same call again completes it.

    The same result (checkpoints, samples, allocation) is listed once: told again by another command or code version it
    is known, with another name, label count or cost it replaces the earlier entry, whose file stays, in a new MAJOR.
    """
    with _writing(folder):
        old = read_manifest(folder) if os.path.lexists(folder / MANIFEST) else None
        with _taken_back(folder, old) as written:
            return _add_locked(folder, additions, title, old, written)


@contextmanager
def _taken_back(folder: Path, old: Manifest | None) -> Iterator[list[Path]]:
    """A list for the files that are written new: on an error they are removed, unless they were listed before it."""
    written: list[Path] = []
    try:
        yield written
    except (Exception, KeyboardInterrupt):
        if (read_manifest(folder) if os.path.lexists(folder / MANIFEST) else None) == old:
            for path in written:
                path.unlink(missing_ok=True)
        raise


def _add_locked(
    folder: Path,
    additions: Iterable[tuple[LeaderboardEntry, Sequence[Path]]],
    title: str | None,
    old: Manifest | None,
    written: list[Path],
) -> Added:
    if old is not None and title is not None and title != old.title:
        fix = f"leave --title out, or append a change that declares another to {MANIFEST}"
        raise EntryError(f"{folder} has the title {old.title!r}: {fix}")
    for left in folder.glob(f".partial-{MANIFEST}*"):
        left.unlink()
    for name in ("entries", "samples"):
        subfolder(folder, name).mkdir(exist_ok=True)
        for partial in (folder / name).glob(".partial-*"):  # of a killed writer; we hold the lock
            partial.unlink()
    there_before = [(id, entry) for id, entry in _listed(folder, old) if isinstance(entry, MeasuredEntry)]
    listed = {_result(entry): (id, entry) for id, entry in there_before}
    ids: dict[str, str] = {}
    replaced: list[str] = []
    measured: list[tuple[str, MeasuredEntry]] = []
    for entry, paths in additions:
        if old is not None:
            old.refuse(entry)
        id, there = listed.get(_result(entry), ("", entry)) if isinstance(entry, MeasuredEntry) else ("", entry)
        if id and there.model_dump(exclude=MADE_BY) == entry.model_dump(exclude=MADE_BY):
            ids[id] = there.name
            continue
        new_id = _put(folder, entry, paths, old, written)
        ids[new_id] = entry.name
        measured += [(new_id, entry)] if isinstance(entry, MeasuredEntry) else []
        if id:
            replaced.append(id)
    new = {id: name for id, name in ids.items() if old is None or id not in old.ids}
    if not new and old is not None:
        return Added(old.version, (), tuple(ids), tuple(replaced))
    kept = [(id, entry) for id, entry in there_before if id not in replaced and id not in ids]
    for mismatch in cross_mismatches([*kept, *measured]):
        raise EntryError(f"{ids.get(mismatch.id, mismatch.id)}: {mismatch.sentence}; nothing was added")
    manifest = _raised(folder, old, new, tuple(replaced), title)
    write_manifest(folder, manifest)
    return Added(manifest.version, tuple(new), tuple(id for id in ids if id not in new), tuple(replaced))


def _listed(folder: Path, manifest: Manifest | None) -> Iterator[tuple[str, LeaderboardEntry]]:
    for id in manifest.ids if manifest is not None else ():
        yield id, read_entry(folder, id)


def _result(entry: MeasuredEntry) -> tuple[object, ...]:
    """What makes two entries the same result: the checkpoints' samples, and what was decided to train them."""
    route = (entry.allocation, entry.shuffled, entry.scenario)
    return entry.samples, entry.suite, entry.preset.name, entry.preset.text(), entry.model, *route


def _put(
    folder: Path, entry: LeaderboardEntry, paths: Sequence[Path], manifest: Manifest | None, written: list[Path]
) -> str:
    """Write an entry and its sample files; its id. `written` gets those that were not there."""
    id = entry_id(entry)

    def new(path: Path) -> Path:
        if not os.path.lexists(path):
            written.append(path)
        return path

    if isinstance(entry, MeasuredEntry):
        for mismatch in entry_mismatches(id, entry, manifest.protocol(entry.suite) if manifest else None):
            raise EntryError(f"{entry.name}: {mismatch.sentence}; nothing was added")
        for file, path in zip(entry.samples, paths, strict=True):
            _copy_samples(path, new(folder / "samples" / f"{file.sha256}.parquet"))
        mismatches, _ = compare_entry(folder, id, entry)
        if mismatches:
            raise EntryError(f"{entry.name}: {mismatches[0].sentence}; nothing was added")
    write_text(new(folder / "entries" / f"{id}.json"), entry_json(entry))
    return id


def _raised(
    folder: Path, old: Manifest | None, new: dict[str, str], replaced: tuple[str, ...], title: str | None
) -> Manifest:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    names = list(dict.fromkeys(new.values()))
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more names" if len(names) > 5 else "")
    text = f"{len(new)} {'entry' if len(new) == 1 else 'entries'} added: {shown}" if new else "Nothing added yet"
    text = f"{text}; {len(replaced)} of them replace earlier ones"[:500] if replaced else text[:500]
    if old is None:
        return new_manifest(folder, title, Change(version="1.0", date=today, change=text, added=tuple(new)))
    major, minor = old.changelog[-1].number
    version = f"{major + 1}.0" if replaced else f"{major}.{minor + 1}"
    today = max(today, old.changelog[-1].date)  # dates do not go back, where the clock of another writer was ahead
    return old.changed(Change(version=version, date=today, change=text, added=tuple(new), removed=replaced))


def new_manifest(
    folder: Path, title: str | None, change: Change, protocols: tuple[Protocol, ...] = (), url: str | None = None
) -> Manifest:
    """The manifest of a new leaderboard, which is named by its folder. EntryError for a title that cannot be one."""
    name = re.sub(r"[^A-Za-z0-9._@-]+", "-", folder.resolve().name).lstrip("._@-")[:64] or "leaderboard"
    try:
        return Manifest.new(name, Declared(title=title or name, url=url), change, protocols)
    except ValidationError as error:
        raise EntryError(f"the new leaderboard: {first_complaint(error)}") from None


def _copy_samples(source: Path, target: Path) -> None:
    """Copy a sample file; what is there already with the right content stays (the caller checks the hash)."""
    if target.exists() and not target.is_symlink():
        with open_regular(source, MAX_SAMPLES_BYTES) as a, open_regular(target, MAX_SAMPLES_BYTES) as b:
            if _same(a, b):
                return
    partial = target.with_name(f".partial-{secrets.token_hex(8)}")
    try:
        with open_regular(source, MAX_SAMPLES_BYTES) as reading, partial.open("xb") as writing:
            while block := reading.read(COPY_BYTES):
                writing.write(block)
            writing.flush()
            os.fsync(writing.fileno())
        os.replace(partial, target)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _same(a: BufferedReader, b: BufferedReader) -> bool:
    while True:
        x, y = a.read(COPY_BYTES), b.read(COPY_BYTES)
        if x != y or not x:
            return x == y
