"""Whether a changed leaderboard folder is an acceptable submission to the one that it was changed from.

What: `submission_mismatches` holds a folder against its base: nothing that was there has changed, everything new is one
or more changes at the end of the changelog, which only add measured entries of today's format, with all that others
need to sample them again. What the entries say is verified elsewhere (`whole_board`).

Simplified: whether the author is who they say, and whether the weights' address will last, nobody here can see.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.boards.board_folder import MANIFEST, read_entry, read_manifest
from tuition.benchmarks.boards.entries import EntryError, LeaderboardEntry, MeasuredEntry, RepeatableEntry
from tuition.benchmarks.boards.manifest import Manifest
from tuition.benchmarks.boards.outcomes import Mismatch

MAX_ADDED_BYTES = 50_000_000
"""What all new files of a submission may have together. Our choice: a repository carries them for ever."""
MAX_FILES = 100_000
FOLDERS = ("entries", "samples")


def new_ids(base: Manifest, manifest: Manifest) -> tuple[str, ...]:
    """Ids that the changed leaderboard has added."""
    return tuple(id for change in manifest.changelog[len(base.changelog) :] for id in change.added)


def submission_mismatches(folder: Path, base_folder: Path) -> Iterator[Mismatch]:
    """What a submission must not do, by file or field. EntryError when a manifest cannot be read."""
    base, manifest = read_manifest(base_folder), read_manifest(folder)
    yield from _manifest(base, manifest)
    yield from _files(folder, base_folder, base, manifest)
    for id in new_ids(base, manifest):
        try:
            entry = read_entry(folder, id)
        except EntryError:
            continue  # verification names it
        yield from _entry(id, entry)


def _manifest(base: Manifest, manifest: Manifest) -> Iterator[Mismatch]:
    for name in ("name", "title", "url", "suites", "presets", "protocols"):
        before, after = getattr(base, name), getattr(manifest, name)
        if before != after:
            yield Mismatch(manifest.head, f"{MANIFEST}, {name}", str(after), str(before))
    count = len(base.changelog)
    if manifest.chained.changelog[:count] != base.chained.changelog:
        yield Mismatch(manifest.head, "changelog", "changes of before were rewritten", f"begins with head {base.head}")
        return
    if len(manifest.changelog) == count:
        yield Mismatch(manifest.head, "changelog", "nothing was added", "a change with new entries at its end")
    for change in manifest.changelog[count:]:
        if change.removed:
            removed = ", ".join(id[:12] for id in change.removed)
            yield Mismatch(manifest.head, f"changelog, version {change.version}", f"removes {removed}", "only adds")
        if change.number[0] != base.changelog[-1].number[0]:
            major = f"{base.changelog[-1].number[0]}.x"
            yield Mismatch(manifest.head, "changelog", f"version {change.version}", f"{major}: maintainers raise it")


def _files(folder: Path, base_folder: Path, base: Manifest, manifest: Manifest) -> Iterator[Mismatch]:
    """Files of before that differ, and new ones that no new entry needs, that are no files, or that are too large."""
    before, after = _listing(base_folder), _listing(folder)
    for name in sorted(before.keys() | after.keys()):
        if name in (MANIFEST, ".lock"):
            continue
        if name not in after:
            yield Mismatch(base.head, name, "gone", "was there before")
        elif after[name] is None:
            yield Mismatch(base.head, name, "no regular file", "a regular file")
        elif name in before and (
            before[name] != after[name] or file_sha256(base_folder / name) != file_sha256(folder / name)
        ):
            yield Mismatch(base.head, name, "changed", "as it was before")
    new = {name: size for name, size in after.items() if name not in before and name not in (MANIFEST, ".lock")}
    wanted = _wanted(folder, base, manifest)
    for name in sorted(new.keys() - wanted):
        yield Mismatch(base.head, name, "a new file", "no new entry needs it")
    total = sum(size or 0 for size in new.values())
    if total > MAX_ADDED_BYTES:
        yield Mismatch(base.head, "new files", f"{total:,} bytes", f"at most {MAX_ADDED_BYTES:,} bytes")


def _wanted(folder: Path, base: Manifest, manifest: Manifest) -> set[str]:
    names = set()
    for id in new_ids(base, manifest):
        names.add(f"entries/{id}.json")
        try:
            entry = read_entry(folder, id)
        except EntryError:
            continue
        if isinstance(entry, MeasuredEntry):
            names |= {f"samples/{file.sha256}.parquet" for file in entry.samples}
    return names


def _listing(folder: Path) -> dict[str, int | None]:
    """Size of everything in a leaderboard folder, by its path there; None for what is no regular file.

    EntryError for more than MAX_FILES. Links are not followed.
    """
    found: dict[str, int | None] = {}
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                name = str(Path(entry.path).relative_to(folder))
                if entry.is_dir(follow_symlinks=False) and name in FOLDERS:
                    waiting.append(Path(entry.path))
                    continue
                regular = entry.is_file(follow_symlinks=False)
                found[name] = entry.stat(follow_symlinks=False).st_size if regular else None
                if len(found) > MAX_FILES:
                    raise EntryError(f"{folder} has more than {MAX_FILES:,} files: submit fewer")
    return found


def _entry(id: str, entry: LeaderboardEntry) -> Iterator[Mismatch]:
    """What a new entry lacks so that others can sample it again."""
    if not isinstance(entry, RepeatableEntry):
        kind = f"{entry.kind}, format {entry.schema_version}"
        yield Mismatch(
            id, "entry", kind, "a measured entry of today's format, by `tuition leaderboard add`", entry.name
        )
        return
    for place, run in enumerate(entry.samples):
        if run.weights_sha256 is None:
            yield Mismatch(id, f"samples[{place}].weights_sha256", None, "the weights' hash: score files, no server")
        if run.weights_address is None and entry.allocation is None:
            yield Mismatch(id, f"samples[{place}].weights_address", None, "where the weights are: add with --weights")
    if entry.contamination.startswith("Not checked"):
        yield Mismatch(id, "contamination", entry.contamination, "what is known: add with --contamination", entry.name)
    if ".changed" in entry.code_version:
        yield Mismatch(id, "code_version", entry.code_version, "a commit without local changes", entry.name)
