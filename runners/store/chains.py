"""The chain of blocks that a checkpoint came from, from stored records: the teacher's blocks, then the student's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Link(Protocol):
    """What a chain needs of a block: keys of blocks, or hashes of base models, which no store holds."""

    @property
    def key(self) -> str:
        """Its own."""

    @property
    def index(self) -> int:
        """Its place in its stage, from 0."""

    @property
    def parent(self) -> str:
        """What it continues."""

    @property
    def teacher(self) -> str | None:
        """What it learns from, if it is a transfer block."""


B = TypeVar("B", bound=Link)


@dataclass(frozen=True)
class Chain(Generic[B]):
    """Blocks in the order in which they were trained, each once; `whole` unless an ancestor is known to be gone."""

    blocks: tuple[B, ...]
    whole: bool


def chain_of(final: B, find: Callable[[str], B | None]) -> Chain[B]:
    """The chain that ends in a block; `find` gives a stored block by key, None for what is not stored.

    Records that lead around in a circle end it.
    """
    student, whole = _back(final, find)
    start = next((block.teacher for block in student if block.teacher is not None), None)
    taught_by = None if start is None else find(start)
    teacher, teacher_whole = ([], True) if taught_by is None else _back(taught_by, find)
    return Chain((*teacher, *student), whole and teacher_whole)


def _back(last: B, find: Callable[[str], B | None]) -> tuple[list[B], bool]:
    """The blocks of one model up to this one, first to last, and whether none is gone."""
    found = {last.key: last}
    block = last
    while (before := find(block.parent)) is not None and before.key not in found:
        found[before.key] = block = before
    # The first block of a stage that starts from a base model has a parent that no store holds.
    return list(reversed(found.values())), before is None and block.index == 0
