"""The manifest of a leaderboard folder, `leaderboard.json`: name, version, what it admits, and the changelog.

What: `Manifest` is its schema. The entries of a version are those that the changelog has added and not removed, so each
earlier version can be derived from the newest file. The changelog is a chain: every change holds the hash of the one
before, the first that of the name and the protocols. So whoever knows the last hash (the `head`) knows them all.

Simplified: nothing else says which entries a leaderboard has; a file that the changelog does not name is not in it.
Whoever rewrites the whole chain gets another head, which only somebody who knows the right one can tell.
"""

import hashlib
from functools import cached_property
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from tuition.benchmarks.boards.entries import PARTIAL, EntryError, LeaderboardEntry, MeasuredEntry, Strict, canonical
from tuition.benchmarks.boards.protocol import Protocol
from tuition.benchmarks.boards.texts import Hash, Text, Url

FORMAT: Final = 2


class Change(Strict):
    """One version of a leaderboard: what changed, and the ids of the entries that came and went.

    `previous` is the hash of what is before it in the chain; null in format 1, which had no chain.
    """

    version: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}\.(0|[1-9][0-9]{0,5})$")]
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    change: Text
    added: tuple[Hash, ...] = ()
    removed: tuple[Hash, ...] = ()
    previous: Hash | None = None

    @property
    def sha256(self) -> str:
        """Of its canonical JSON, `previous` included."""
        return _sha256(self.model_dump(mode="json"))

    @property
    def number(self) -> tuple[int, int]:
        """(major, minor)."""
        major, _, minor = self.version.partition(".")
        return int(major), int(minor)


class Manifest(Strict):
    """`leaderboard.json`. No `suites`: any; `presets` null: any, each in its own table. Format 1 has no protocols."""

    schema_version: Literal[1, 2] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    title: Text
    version: str
    url: Url | None = None
    suites: tuple[Text, ...] = ()
    presets: tuple[Text, ...] | None = None
    protocols: tuple[Protocol, ...] = ()
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
        suites = [protocol.suite for protocol in self.protocols]
        if len(set(suites)) != len(suites):
            raise ValueError(f"protocols are of {', '.join(suites)}: give one for a suite")
        if self.schema_version == 1:
            if self.protocols or any(change.previous for change in self.changelog):
                raise ValueError(f"format 1 has neither protocols nor a chain of hashes: write schema_version {FORMAT}")
        else:
            self._check_chain()
        return self

    def _check_chain(self) -> None:
        for change, chained in zip(self.changelog, self.chained.changelog, strict=True):
            if change.previous != chained.previous:
                said = "is missing" if change.previous is None else f"is {change.previous[:12]}…"
                raise ValueError(
                    f"the chain of the changelog breaks at version {change.version}: its `previous` {said}, but what "
                    f"is before it has the hash {chained.previous}"
                )

    @cached_property
    def chained(self) -> "Manifest":
        """The manifest in today's format, with every hash of the chain computed from what is before it."""
        before, changes = _sha256([self.name, [p.model_dump(mode="json") for p in self.protocols]]), []
        for change in self.changelog:
            changes.append(change.model_copy(update={"previous": before}))
            before = changes[-1].sha256
        return self.model_copy(update={"schema_version": FORMAT, "changelog": tuple(changes)})

    @property
    def head(self) -> str:
        """The hash of the last change: who knows it knows the whole changelog and the protocols."""
        return self.chained.changelog[-1].sha256

    def changed(self, change: Change) -> "Manifest":
        """The manifest, in today's format, with one more change."""
        chained, change = self.chained, change.model_copy(update={"previous": self.head})
        return chained.model_copy(update={"version": change.version, "changelog": (*chained.changelog, change)})

    def protocol(self, suite: str) -> Protocol | None:
        """What is declared for a suite, or None."""
        return next((protocol for protocol in self.protocols if protocol.suite == suite), None)

    @property
    def protocol_suites(self) -> str:
        """The suites for which something is declared."""
        return ", ".join(protocol.suite for protocol in self.protocols)

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

    @classmethod
    def new(cls, name: str, title: str, change: Change, protocols: tuple[Protocol, ...] = ()) -> Self:
        """A manifest with its first change. pydantic's ValidationError for a name that cannot be one."""
        first = _sha256([name, [protocol.model_dump(mode="json") for protocol in protocols]])
        changelog = (change.model_copy(update={"previous": first}),)
        return cls(
            schema_version=FORMAT, name=name, title=title, version=change.version, protocols=protocols,
            changelog=changelog,
        )  # fmt: skip

    def refuse(self, entry: LeaderboardEntry) -> None:
        """EntryError for a measured entry that the suites, presets or protocols of this leaderboard leave out."""
        if not isinstance(entry, MeasuredEntry):
            return
        if self.suites and entry.suite.partition(PARTIAL)[0] not in self.suites:
            raise EntryError(f"{entry.name}: suite {entry.suite} is not one of {', '.join(self.suites)} of {self.name}")
        if self.protocols and self.protocol(entry.suite) is None:
            raise EntryError(
                f"{entry.name}: suite {entry.suite} is not one of {self.protocol_suites}, for which {self.name} has a "
                "protocol"
            )
        if self.presets is not None and entry.preset.name not in self.presets:
            allowed = ", ".join(self.presets)
            raise EntryError(f"{entry.name}: preset {entry.preset.name!r} is not one of {allowed} of {self.name}")


def _sha256(document: object) -> str:
    return hashlib.sha256(canonical(document).encode()).hexdigest()
