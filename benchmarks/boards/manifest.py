"""The manifest of a leaderboard folder, `leaderboard.json`: name, version, what it admits, and the changelog.

What: `Manifest` is its schema. The entries of a version are those that the changelog has added and not removed, so each
earlier version can be derived from the newest file. The changelog is a chain: every change holds the hash of the one
before, the first that of the name and the protocols. What may change later (title, address, what is admitted) is
declared in the change with which it came. So whoever knows the last hash (the `head`) knows them all.

Simplified: nothing else says which entries a leaderboard has; a file that the changelog does not name is not in it.
Whoever rewrites the whole chain gets another head, which only somebody who knows the right one can tell.
"""

import hashlib
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from tuition.benchmarks.boards.entries import PARTIAL, EntryError, LeaderboardEntry, MeasuredEntry, Strict, canonical
from tuition.benchmarks.boards.protocol import Protocol
from tuition.benchmarks.boards.texts import Hash, Text, Url

FORMAT: Final = 3


class Declared(Strict):
    """What a leaderboard is called and where it is, and which suites and presets it admits."""

    title: Text
    url: Url | None = None
    suites: tuple[Text, ...] = ()
    presets: tuple[Text, ...] | None = None


class Change(Strict):
    """One version of a leaderboard: what changed, and the ids of the entries that came and went.

    `previous` is the hash of what is before it in the chain; null in format 1, which had no chain. `declared` is there
    in the first change, in format 3, and in every later one that declares something else.
    """

    version: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}\.(0|[1-9][0-9]{0,5})$")]
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    change: Text
    added: tuple[Hash, ...] = ()
    removed: tuple[Hash, ...] = ()
    previous: Hash | None = None
    declared: Declared | None = None

    @property
    def sha256(self) -> str:
        """Of its canonical JSON, `previous` included; hashes of format 2 stay what they are."""
        absent = {"declared"} if self.declared is None else None
        return _sha256(self.model_dump(mode="json", exclude=absent))

    @property
    def number(self) -> tuple[int, int]:
        """(major, minor)."""
        major, _, minor = self.version.partition(".")
        return int(major), int(minor)


class Manifest(Strict):
    """`leaderboard.json`. No `suites`: any; `presets` null: any, each in its own table.

    Format 1 has no protocols and no chain, format 2 no title, address, suites and presets in the chain.
    """

    schema_version: Literal[1, 2, 3] = 1
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
        if self.schema_version == FORMAT and (said := self.last_declared) != self.declared:
            names = [name for name, value in self.declared if said is None or getattr(said, name) != value]
            raise ValueError(
                f"{', '.join(names)} not as in the changelog: append a change that has them under `declared`"
            )
        return self

    @property
    def declared(self) -> Declared:
        """What it declares now, beside its protocols."""
        return Declared(title=self.title, url=self.url, suites=self.suites, presets=self.presets)

    @property
    def last_declared(self) -> Declared | None:
        """The same as the changelog has it; None in format 2, whose chain does not hold it."""
        return next((change.declared for change in reversed(self.changelog) if change.declared is not None), None)

    def _check_chain(self) -> None:
        for change, chained in zip(self.changelog, self.chained.changelog, strict=True):
            if change.previous != chained.previous:
                said = "is missing" if change.previous is None else f"is {change.previous[:12]}…"
                raise ValueError(
                    f"the chain of the changelog breaks at version {change.version}: its `previous` {said}, but what "
                    f"is before it has the hash {chained.previous}"
                )

    @property
    def chained(self) -> "Manifest":
        """The manifest with every hash of the chain computed from what is before it."""
        before, changes = _sha256([self.name, [p.model_dump(mode="json") for p in self.protocols]]), []
        for change in self.changelog:
            changes.append(change.model_copy(update={"previous": before}))
            before = changes[-1].sha256
        return self.model_copy(update={"schema_version": max(2, self.schema_version), "changelog": tuple(changes)})

    @property
    def head(self) -> str:
        """The hash of the last change: who knows it knows the whole changelog and the protocols."""
        return self.chained.changelog[-1].sha256

    def changed(self, change: Change) -> "Manifest":
        """The manifest, in today's format, with one more change."""
        chained, declared = self.chained, None if self.last_declared == self.declared else self.declared
        change = change.model_copy(update={"previous": self.head, "declared": declared})
        changelog = (*chained.changelog, change)
        return chained.model_copy(update={"schema_version": FORMAT, "version": change.version, "changelog": changelog})

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
    def new(cls, name: str, declared: Declared, change: Change, protocols: tuple[Protocol, ...] = ()) -> Self:
        """A manifest with its first change. pydantic's ValidationError for a name that cannot be one."""
        first = _sha256([name, [protocol.model_dump(mode="json") for protocol in protocols]])
        changelog = (change.model_copy(update={"previous": first, "declared": declared}),)
        return cls(
            schema_version=FORMAT, name=name, version=change.version, protocols=protocols, changelog=changelog,
            **dict(declared),
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
