"""docs/adding.md as data: for each section the files that it lists, and the changes that it shows."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.docs.documents import ROOT

ADDING = ROOT / "docs" / "adding.md"
LISTED = re.compile(r"\| `([^`]+)` \|")
NAMED = re.compile(r"`([^`]+)`( \(new\))?:")
BEGUN = re.compile(r"```(\w+)")


@dataclass(frozen=True)
class Change:
    """What is done to one file: a new text, or in place of `before`, lines that it has once, `after`."""

    path: str
    before: str | None
    after: str

    def apply(self, root: Path) -> None:
        """Make the change below `root`; ValueError when the lines are not there, or more than once."""
        path = root / self.path
        if self.before is None:
            if path.exists():
                raise ValueError(f"{self.path} is called new and is there")
            path.write_text(self.after)
            return
        text = path.read_text()
        if text.count(self.before) != 1:
            raise ValueError(f"{self.path} has these lines {text.count(self.before)} times:\n{self.before}")
        path.write_text(text.replace(self.before, self.after))


@dataclass(frozen=True)
class Section:
    """What one section says. `data` are texts of files that it shows besides the repository's, by path."""

    listed: tuple[str, ...]
    changes: tuple[Change, ...]
    data: dict[str, str]


def section(title: str) -> Section:
    """The section of this title."""
    _, body = ADDING.read_text().split(f"\n## {title}\n")
    body = body.split("\n## ")[0]
    changes, data, named, new = [], {}, "", False
    blocks = re.split(r"^```", body, flags=re.MULTILINE)
    for prose, block in zip(blocks[::2], blocks[1::2], strict=False):
        for line in prose.splitlines():
            if match := NAMED.fullmatch(line):
                named, new = match[1], bool(match[2])
            elif match := re.search(r"`(data/[^`]+)`:$", line):
                named = match[1]
        kind, _, text = block.partition("\n")
        if kind == "diff":
            changes.append(Change(named, _side(text, "-"), _side(text, "+")))
        elif new:
            changes.append(Change(named, None, text))
            new = False
        else:
            data[named] = text
    return Section(tuple(LISTED.findall(body)), tuple(changes), data)


def added_files() -> set[str]:
    """Files that the document names and that are not in the repository."""
    names = re.findall(r"^`([^`]+)` \(new\):$", ADDING.read_text(), flags=re.MULTILINE)
    return set(names)


def _side(diff: str, sign: str) -> str:
    """One side of a diff: the lines of both, and those with this sign."""
    return "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in (" ", sign))
