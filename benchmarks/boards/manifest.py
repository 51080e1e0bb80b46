"""The manifest of a leaderboard folder, `leaderboard.json`: name, version, what it admits, and the changelog.

What: `Manifest` is its schema. The entries of a version are those that the changelog has added and not removed, so each
earlier version can be derived from the newest file.

Simplified: nothing else says which entries a leaderboard has; a file that the changelog does not name is not in it.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tuition.benchmarks.boards.entries import (
    PARTIAL,
    EntryError,
    Hash,
    LeaderboardEntry,
    MeasuredEntry,
    Strict,
    Text,
    Url,
)


class Change(Strict):
    """One version of a leaderboard: what changed, and the ids of the entries that came and went."""

    version: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}\.(0|[1-9][0-9]{0,5})$")]
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    change: Text
    added: tuple[Hash, ...] = ()
    removed: tuple[Hash, ...] = ()

    @property
    def number(self) -> tuple[int, int]:
        """(major, minor)."""
        major, _, minor = self.version.partition(".")
        return int(major), int(minor)


class Manifest(Strict):
    """`leaderboard.json`. No `suites`: any; `presets` null: any, each in its own table."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    title: Text
    version: str
    url: Url | None = None
    suites: tuple[Text, ...] = ()
    presets: tuple[Text, ...] | None = None
    changelog: tuple[Change, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        numbers = [change.number for change in self.changelog]
        if numbers != sorted(set(numbers)):
            raise ValueError("the changelog's versions do not rise: append the newest at the end")
        if self.version != self.changelog[-1].version:
            raise ValueError(
                f"version is {self.version!r:.40} but the changelog ends with {self.changelog[-1].version}"
            )
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the entries that this version has, in the order in which they came."""
        listed: dict[str, None] = {}
        for change in self.changelog:
            listed |= dict.fromkeys(change.added)
            for gone in change.removed:
                listed.pop(gone, None)
        return tuple(listed)

    def year(self, id: str) -> int:
        """The year in which an entry was added."""
        return next(int(change.date[:4]) for change in self.changelog if id in change.added)

    def refuse(self, entry: LeaderboardEntry) -> None:
        """EntryError for a measured entry that the suites or presets of this leaderboard leave out."""
        if not isinstance(entry, MeasuredEntry):
            return
        if self.suites and entry.suite.partition(PARTIAL)[0] not in self.suites:
            raise EntryError(f"{entry.name}: suite {entry.suite} is not one of {', '.join(self.suites)} of {self.name}")
        if self.presets is not None and entry.preset.name not in self.presets:
            allowed = ", ".join(self.presets)
            raise EntryError(f"{entry.name}: preset {entry.preset.name!r} is not one of {allowed} of {self.name}")
