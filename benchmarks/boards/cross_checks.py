"""What an entry must say by its leaderboard, and what entries must not have in common.

What: `entry_mismatches` is about an entry by itself, without its samples. `cross_mismatches` finds names that a reader
takes for one, a second `direct`, a sample file of two runs, blocks of one key with several weights, and prices far from
those of the same work.

Simplified: rows of different suites or decodings are in different tables, and may have one name.
"""

from collections.abc import Iterator, Sequence

from tuition.benchmarks.boards.accounts import account_mismatches, price_mismatches
from tuition.benchmarks.boards.entries import PARTIAL, SHORT_ID, MeasuredEntry, RepeatableEntry
from tuition.benchmarks.boards.outcomes import Mismatch
from tuition.benchmarks.boards.protocol import DeclaredScenario, Protocol
from tuition.benchmarks.boards.texts import alike, one_name
from tuition.benchmarks.suites.catalog import GENERATED, SUITES, generated
from tuition.benchmarks.suites.micro import SUITE_VERSION
from tuition.planner.allocation import Allocation

REFERENCE = "direct"
Listed = tuple[str, MeasuredEntry]


def entry_mismatches(
    id: str, entry: MeasuredEntry, protocol: Protocol | None, counts: DeclaredScenario | None = None
) -> Iterator[Mismatch]:
    """What an entry says otherwise than its leaderboard's protocol, the catalogue, its allocation and its blocks.

    `counts` are those of the entry's scenario where it is at hand; else what the protocol declares is taken.
    """
    yield from name_mismatches(id, entry, protocol)
    yield from catalogue_mismatches(id, entry)
    if protocol is not None:
        yield from (Mismatch(id, *broken) for broken in protocol.broken_by(entry))
    if isinstance(entry, RepeatableEntry):
        yield from account_mismatches(id, entry, counts or (protocol.scenario if protocol else None))


def name_mismatches(id: str, entry: MeasuredEntry, protocol: Protocol | None) -> Iterator[Mismatch]:
    """What is wrong with an entry's name by itself; the reference's must be what it says, direct GRPO."""
    try:
        one_name(entry.name)
    except ValueError as error:  # entries of today are refused when they are read
        yield Mismatch(id, "name", entry.name, str(error))
        return
    if alike(entry.name) != alike(REFERENCE):
        return
    if entry.name != REFERENCE:
        yield Mismatch(id, "name", entry.name, f"too like {REFERENCE!r}, the reference's name")
        return
    allocation = Allocation.parse(entry.allocation) if entry.allocation is not None else Allocation()
    scenario = None if protocol is None else protocol.scenario
    blocks = allocation.student_rl if scenario is None else scenario.labels // scenario.labels_per_block
    direct = Allocation(student_rl=max(blocks, 1))
    if allocation != direct or entry.shuffled:
        said = "a model without an allocation" if entry.allocation is None else entry.allocation
        yield Mismatch(
            id, "name", f"{entry.name} for {said}", f"{REFERENCE!r} is {direct if scenario else 'student_rl alone'}"
        )


def catalogue_mismatches(id: str, entry: MeasuredEntry) -> Iterator[Mismatch]:
    """A suite that has a catalogue's name, but not its version or number of problems."""
    whole, partial, limit = entry.suite.partition(PARTIAL)
    bare, _, version = whole.partition("@")
    if home := GENERATED.fullmatch(bare):
        if generated(whole) is None:
            yield Mismatch(id, "suite", entry.suite, f"this version has {home[0]}@{SUITE_VERSION}, up to its size")
        return
    if (suite := SUITES.get(bare)) is None:
        return
    if version != str(suite.version):
        yield Mismatch(id, "suite", entry.suite, f"the catalogue has {suite.versioned}")
        return
    num_problems = min(int(limit.removesuffix("]")), suite.num_problems) if partial else suite.num_problems
    if entry.num_problems != num_problems:
        yield Mismatch(id, f"num_problems (suite {entry.suite})", entry.num_problems, num_problems)


def cross_mismatches(entries: Sequence[Listed]) -> Iterator[Mismatch]:
    """Everything that entries contradict each other in; each is named at the later one."""
    yield from _names(entries)
    yield from _files(entries)
    repeatable = [(id, entry) for id, entry in entries if isinstance(entry, RepeatableEntry)]
    yield from _weights(repeatable)
    yield from price_mismatches(repeatable)


def _names(entries: Sequence[Listed]) -> Iterator[Mismatch]:
    first: dict[tuple[str, ...], Listed] = {}
    for id, entry in entries:
        table = (entry.suite, entry.preset.name, entry.preset.text(), alike(entry.name))
        other_id, other = first.setdefault(table, (id, entry))
        if other_id != id:
            yield Mismatch(
                id, "name", entry.name, f"taken by entry {other_id[:SHORT_ID]} ({other.name}) of the same table"
            )


def _files(entries: Sequence[Listed]) -> Iterator[Mismatch]:
    """A file of two runs, unless they state one checkpoint: `shared_checkpoints` names those."""
    first: dict[str, tuple[str, str, str | None]] = {}
    for id, entry in entries:
        for place, file in enumerate(entry.samples):
            here = f"samples[{place}] of entry {id[:SHORT_ID]} ({entry.name})"
            other, there, weights = first.setdefault(file.sha256, (id, here, file.weights_sha256))
            one_checkpoint = other != id and weights is not None and weights == file.weights_sha256
            if there != here and not one_checkpoint:
                yield Mismatch(id, f"samples[{place}].sha256", file.sha256, f"the file of {there}")


def shared_checkpoints(entries: Sequence[tuple[str, RepeatableEntry]]) -> Iterator[tuple[str, str, str]]:
    """(id, field, reason) of runs that state the checkpoint of another entry's run.

    Two routes may end in one checkpoint, as those do that have learnt nothing; only training again shows it.
    """
    first: dict[str, tuple[str, str]] = {}
    for id, entry in entries:
        for place, run in enumerate(entry.samples):
            if run.weights_sha256 is None:
                continue
            other, name = first.setdefault(run.weights_sha256, (id, entry.name))
            if other != id:
                reason = (
                    f"of entry {other[:SHORT_ID]} ({name}) too: only training again shows that both routes end in it"
                )
                yield id, f"samples[{place}].weights_sha256", reason


def _weights(entries: Sequence[tuple[str, RepeatableEntry]]) -> Iterator[Mismatch]:
    """Blocks of one key, trained on one kind of device, have one result."""
    first: dict[tuple[str, str | None], tuple[str, str]] = {}
    for id, entry in entries:
        for place, run in enumerate(entry.samples):
            for number, block in enumerate(run.blocks):
                if block.weights_sha256 is None:
                    continue
                field = f"samples[{place}].blocks[{number}].weights_sha256"
                where = f"{field} of entry {id[:SHORT_ID]} ({entry.name})"
                known, there = first.setdefault((block.key, entry.accelerator), (block.weights_sha256, where))
                if known != block.weights_sha256:
                    yield Mismatch(id, field, block.weights_sha256, f"{known} in {there}, a block of the same key")
