"""What a changelog must be beside a chain: dates in order and not to come, and a new MAJOR wherever something went.

Simplified: that an entry was made on the day that the changelog states, nobody can see in a file.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from tuition.benchmarks.boards.entries import SHORT_ID
from tuition.benchmarks.boards.manifest import Change, Manifest
from tuition.benchmarks.boards.outcomes import Mismatch


def changelog_mismatches(manifest: Manifest) -> Iterator[Mismatch]:
    """Everything that a changelog says against its own rules, named by version."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)  # it is that already somewhere
    listed: set[str] = set()
    before: date | None = None
    for change in manifest.changelog:

        def wrong(field: str, stated: object, right: object, change: Change = change) -> Mismatch:
            return Mismatch(manifest.head, f"changelog, version {change.version}, {field}", stated, right)

        try:
            day = date.fromisoformat(change.date)
        except ValueError:
            yield wrong("date", change.date, "a date")
        else:
            if day > tomorrow:
                yield wrong("date", change.date, f"not after {tomorrow}")
            if before is not None and day < before:
                yield wrong("date", change.date, f"not before {before}, the date of the version before")
            before = day
        for id in change.removed:
            if id not in listed:
                yield wrong("removed", id, "an entry of the version before")
        if again := [id for id in change.added if id in listed]:
            yield wrong("added", again[0], "an entry that the version before does not have")
        listed = (listed - set(change.removed)) | set(change.added)
    yield from _minor_versions(manifest)


def _minor_versions(manifest: Manifest) -> Iterator[Mismatch]:
    """Versions that removed an entry, or admit other ones, without a new MAJOR."""
    admitted = None
    for earlier, change in zip([None, *manifest.changelog], manifest.changelog, strict=False):
        now = admitted if change.declared is None else (change.declared.suites, change.declared.presets)
        what = []
        if change.removed:
            what.append(f"removes {', '.join(id[:SHORT_ID] for id in change.removed)}")
        if admitted is not None and now != admitted:
            what.append("admits other suites or presets")
        admitted = now
        if what and earlier is not None and change.number[0] == earlier.number[0]:
            right = f"{change.number[0] + 1}.0: numbers of two such versions do not compare"
            field = f"changelog, version {change.version}"
            yield Mismatch(manifest.head, field, f"{change.version}, which {' and '.join(what)}", right)
