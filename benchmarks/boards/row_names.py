"""Names of rows: a baseline's name stands for that baseline alone, and two names of one table must not look alike.

What: `name_mismatches` holds a row that is called like a baseline against that baseline's allocation; `twin_names`
finds names of one table that a reader takes for one.

Simplified: without the scenario, teacher and bridge are taken from the row itself, so a `half` with another bridge than
the scenario's passes. What a name that is no baseline's says ("search #3") is not checked.
"""

from collections.abc import Iterator, Mapping, Sequence

from tuition.benchmarks.baselines import (
    DIRECT,
    DIRECT_COMPUTE,
    MATCHED,
    RAW_TEACHER,
    SHUFFLED,
    UNTRAINED_STUDENT,
    BaselineError,
    baseline_allocations,
)
from tuition.benchmarks.boards.entries import SHORT_ID, MeasuredEntry
from tuition.benchmarks.boards.outcomes import Mismatch
from tuition.benchmarks.boards.texts import alike, one_name
from tuition.planner.allocation import Allocation, AllocationError

Baselines = Mapping[str, Allocation]
"""The baselines of a scenario that are plain chains of blocks, by name."""

_BY_LOOKS = {alike(name): name for name in MATCHED}


def name_mismatches(
    id: str, entry: MeasuredEntry, label_blocks: int | None, baselines: Baselines | None
) -> Iterator[Mismatch]:
    """What is wrong with an entry's name by itself.

    Args:
        id: of the entry.
        entry: whose name it is.
        label_blocks: how many blocks all labels of its scenario make; None where that is not known.
        baselines: of its scenario; None where that is not at hand.
    """
    try:
        one_name(entry.name)
    except ValueError as error:  # entries of today are refused when they are read
        yield Mismatch(id, "name", entry.name, str(error))
        return
    for words, baseline in _claimed(entry.name):
        if words != baseline:
            yield Mismatch(id, "name", entry.name, f"too like {baseline!r}, a baseline's name")
        elif (wanted := _refused_as(baseline, entry, label_blocks, baselines)) is not None:
            said = "a model without an allocation" if entry.allocation is None else entry.allocation
            said += " (shuffled)" if entry.shuffled else ""
            yield Mismatch(id, "name", f"{entry.name} for {said}", f"{baseline!r} is {wanted}")


def _claimed(name: str) -> Iterator[tuple[str, str]]:
    """(words, baseline) for each baseline as which a name presents its row.

    A name may have several parts, "half = search #3", each with a note, "direct-compute (compute of half)". The first
    word counts, and so does the whole part.
    """
    for part in name.split(" = "):
        whole = part.partition(" (")[0].strip()
        for words in dict.fromkeys([whole.partition(" ")[0], whole]):
            if (baseline := _BY_LOOKS.get(alike(words))) is not None:
                yield words, baseline
                break


def _refused_as(
    baseline: str, entry: MeasuredEntry, label_blocks: int | None, baselines: Baselines | None
) -> str | None:
    """What the baseline is, where the entry is not it; None where it is."""
    if baseline == RAW_TEACHER:
        return "a reference of a study: no student to deploy, and no entry of a leaderboard"
    shuffled = baseline in SHUFFLED
    told = " in one run without blocks" if shuffled else ""
    if entry.allocation is None:
        return f"an allocation of its scenario{told}"
    allocation = Allocation.parse(entry.allocation)
    try:
        wanted = _allocation(baseline, allocation, label_blocks, baselines)
    except (AllocationError, BaselineError):
        return f"another kind of route ({MATCHED[baseline]})"
    # The other baselines may be ordinary runs, as deployed: their rows say so beside the allocation.
    if allocation == wanted and (entry.shuffled or not shuffled):
        return None
    unknown = "" if baselines or label_blocks else ", whatever its number of label blocks"
    return f"{wanted}{told}{unknown}"


def _allocation(baseline: str, like: Allocation, label_blocks: int | None, baselines: Baselines | None) -> Allocation:
    """A baseline's allocation; what is not known is as in the allocation that is called so."""
    if baseline == UNTRAINED_STUDENT:
        return Allocation()
    plain = SHUFFLED.get(baseline, DIRECT if baseline == DIRECT_COMPUTE else baseline)
    known = baselines if baselines is not None else _like(like, label_blocks)
    # Its length depends on measured seconds: any number of replay blocks.
    if plain not in known:
        raise BaselineError(f"{baseline} needs a teacher")
    return known[plain].model_copy(update={"replay": like.replay}) if baseline == DIRECT_COMPUTE else known[plain]


def _like(like: Allocation, label_blocks: int | None) -> Baselines:
    """The baselines with an allocation's own teacher and bridge, and its labels where their number is not known."""
    if like.teacher is None:
        return {DIRECT: Allocation(student_rl=label_blocks or max(1, like.student_rl))}
    # Half's replay control has replay blocks where half has labels; a bridge alone has none, and needs no number.
    blocks = label_blocks or max(2, like.label_blocks + like.replay)
    # sample-sft has as many blocks as the bridge.
    return baseline_allocations(like.teacher, blocks, like.warmup, like.opd + like.transfer_sft, like.prompts)


def twin_names(entries: Sequence[tuple[str, MeasuredEntry]]) -> Iterator[Mismatch]:
    """Names of one table that look alike; each is named at the later entry."""
    first: dict[tuple[str, ...], tuple[str, MeasuredEntry]] = {}
    for id, entry in entries:
        other_id, other = first.setdefault((*entry.table, alike(entry.name)), (id, entry))
        if other_id != id:
            taken = f"taken by entry {other_id[:SHORT_ID]} ({other.name}) of the same table"
            yield Mismatch(id, "name", entry.name, taken)
