"""Names of rows: a baseline's name stands for that baseline alone, and two names of one table must not look alike.

What: `name_mismatches` holds a row that is called like a baseline against that baseline's allocation; `twin_names`
finds names of one table that a reader takes for one.

Simplified: without the scenario, teacher and bridge are taken from the row itself, so a `half` with another bridge than
the scenario's passes. What the rest of a name says ("search #3") is not checked.
"""

import re
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
_WORD = re.compile(r"[^\W_]+")
_COMPUTE_OF = re.compile(rf"^({DIRECT_COMPUTE}) \(compute of [^()]+\)$")
SOURCE_WORDS = {"paper", "arxiv", "reported"}
"""What no measured row is called."""


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
    trained = entry.allocation is not None
    if (word := _source_named(entry.name, trained)) is not None:
        yield Mismatch(id, "name", entry.name, f"no {word!r}: what a source printed is a reported entry")
    for words, baseline in _claimed(entry.name, trained):
        if words != baseline:
            yield Mismatch(id, "name", entry.name, f"too like {baseline!r}, a baseline's name")
        elif (wanted := _refused_as(baseline, entry, label_blocks, baselines)) is not None:
            said = "a model without an allocation" if entry.allocation is None else entry.allocation
            said += " (shuffled)" if entry.shuffled else ""
            yield Mismatch(id, "name", f"{entry.name} for {said}", f"{baseline!r} is {wanted}")


def _claimed(name: str, trained: bool) -> Iterator[tuple[str, str]]:
    """(words, baseline) for each baseline as which a name presents its row, wherever in it; the longest first.

    "direct-compute (compute of half)" is the program's own name of one baseline. In the name of a model without an
    allocation, a word within a longer one is no claim: org/direct-7b.
    """
    name = _COMPUTE_OF.sub(r"\1", name)
    words, start = list(_WORD.finditer(name)), 0
    while start < len(words):
        for end in range(len(words), start, -1):
            said = name[words[start].start() : words[end - 1].end()]
            alone = trained or end > start + 1 or _stands_alone(name, words[start])
            if alone and (baseline := _BY_LOOKS.get(alike(said))) is not None:
                yield said, baseline
                start = end
                break
        else:
            start += 1


def _stands_alone(name: str, word: re.Match[str]) -> bool:
    around = name[: word.start()][-1:] + name[word.end() :][:1]
    return not set(around) & set("-_./")


def _source_named(name: str, trained: bool) -> str | None:
    """A word by which a measured row presents itself as what a source printed."""
    words = (word for word in _WORD.finditer(name) if trained or _stands_alone(name, word))
    return next((word[0] for word in words if alike(word[0]) in SOURCE_WORDS), None)


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
