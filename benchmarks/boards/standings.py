"""Standings of a leaderboard: which entries may share a table, in which order, with which interval of ranks.

What: `tables` puts measured entries of one suite, one preset and the same problems into one table and ranks them by
paired differences; entries of fewer than `RANKED_SEEDS` training seeds stand by score and have no rank, and reported
entries get separate sections.

Simplified: runs of seeds that only one of two entries has are paired in the order of their seeds; the shorter list
decides; a checkpoint without a training seed is paired with each of them. Ranks are corrected for the number of pairs
(Holm), the intervals of differences are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from tuition.benchmarks.baselines import DIRECT
from tuition.benchmarks.boards.accounts import unchecked_prices
from tuition.benchmarks.boards.entries import PARTIAL, EntryError, MeasuredEntry, ReportedEntry
from tuition.benchmarks.boards.loaded_board import Board, Listed
from tuition.benchmarks.boards.outcomes import Outcomes
from tuition.benchmarks.boards.ranked_rows import (
    FEW_PROBLEMS,
    NO_RANKS,
    ONE_RUN,
    SMALL_SUITE,
    rank_text,
    unseen_note,
)
from tuition.benchmarks.grading.policies import PolicyError, refuse_mixed
from tuition.benchmarks.provenance import PROCESSOR, names_no_processor
from tuition.benchmarks.statistics.intervals import Array, Difference, paired_difference
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS, distinguished_pairs, holm, ranks_left_open
from tuition.benchmarks.statistics.seed_variance import SeedVariance, SeedVariances

REFERENCE = DIRECT  # direct GRPO, where it is in the table

# The difference of two entries that have no problems in common: it may be anything.
OPEN = Difference(0.0, -1.0, 1.0, num_problems=0, num_seeds=0, excludes_training_variance=True, p_value=1.0)


@dataclass(frozen=True)
class Standing:
    """A row of a table.

    The ranks are None of an entry with fewer than `RANKED_SEEDS` training seeds. `price_unchecked`: why nothing on the
    leaderboard could be held against its price; None where something was.
    `difference` is this row less the reference row: None on the reference itself, and where the two cannot be compared
    (fewer than two common problems).
    """

    listed: Listed
    entry: MeasuredEntry
    rank_first: int | None
    rank_last: int | None
    difference: Difference | None
    reference: bool
    price_unchecked: str | None = None

    @property
    def rank(self) -> str:
        """The interval as text."""
        return rank_text(self.rank_first, self.rank_last)


@dataclass(frozen=True)
class ComparedPair:
    """The difference of two entries by id, a - b. `p_value_holm` is None where one of the two has no rank."""

    a: str
    b: str
    difference: Difference
    p_value_holm: float | None


@dataclass(frozen=True)
class MeasuredTable:
    """Entries that are ranked together. `notes` are what must be read with it: one training run, partial, mixed.

    `pairs` are all that share two problems or more.
    """

    suite: str
    presets: tuple[str, ...]
    rows: tuple[Standing, ...]
    notes: tuple[str, ...]
    pairs: tuple[ComparedPair, ...]

    @property
    def title(self) -> str:
        """Suite and decoding."""
        return f"{self.suite} ({', '.join(self.presets)})"

    @property
    def ranked(self) -> bool:
        """Whether a row has a rank."""
        return any(row.rank_first is not None for row in self.rows)

    @property
    def reference(self) -> str:
        """Name of the row to which the differences are taken."""
        return next(row.entry.name for row in self.rows if row.reference)


@dataclass(frozen=True)
class ReportedTable:
    """Numbers of one table of one source; one row per subject, with its entries by suite."""

    citation: str
    url: str
    table: str
    suites: tuple[str, ...]
    rows: tuple[tuple[str, dict[str, tuple[Listed, ReportedEntry]]], ...]
    error_meaning: str


@dataclass(frozen=True)
class Standings:
    """Everything that a leaderboard shows."""

    measured: tuple[MeasuredTable, ...]
    reported: tuple[ReportedTable, ...]


def standings(board: Board, mix_presets: bool = False) -> Standings:
    """The tables of a leaderboard. With `mix_presets`, presets and parts of a suite share a table, and it says so."""
    groups: dict[tuple[str, ...], list[tuple[Listed, MeasuredEntry]]] = {}
    for listed in board.entries:
        entry = listed.entry
        if isinstance(entry, MeasuredEntry):
            whole = entry.suite.partition(PARTIAL)[0]
            apart = (entry.suite, entry.problem_ids_sha256, entry.preset.name, entry.preset.text())
            kind = (whole,) if mix_presets else apart
            groups.setdefault((entry.grader, *kind), []).append((listed, entry))
    prices = unchecked_prices([(one.id, one.entry) for one in board.entries if isinstance(one.entry, MeasuredEntry)])
    measured = [_table(group, prices) for group in groups.values()]
    if len(policies := {grader for grader, *_ in groups}) > 1:  # verdicts of two policies are never compared
        of = f"graded by another policy than other tables here ({', '.join(sorted(policies))})"
        measured = [replace(table, notes=(f"{table.rows[0].entry.grader}: {of}", *table.notes)) for table in measured]
    return Standings(tuple(sorted(measured, key=lambda table: table.title)), _reported(board))


def _table(group: Sequence[tuple[Listed, MeasuredEntry]], prices: Mapping[str, str]) -> MeasuredTable:
    group = sorted(group, key=lambda pair: (-pair[1].score.mean, pair[1].name, pair[0].id))
    variances = _seed_variances([listed for listed, _ in group])
    known = {
        (a.id, b.id): difference
        for (a, _), (b, _) in combinations(group, 2)
        if (difference := compare(a, b, _between(variances, a, b))) is not None
    }
    ids = _ranked_ids(group)
    between_ranked = {pair: known.get(pair, OPEN) for pair in combinations(ids, 2)}
    apart = distinguished_pairs(ids, between_ranked)
    adjusted = dict(zip(between_ranked, holm([one.p_value for one in between_ranked.values()]), strict=True))
    pairs = tuple(ComparedPair(*pair, difference, adjusted.get(pair)) for pair, difference in known.items())
    ranks = ranks_left_open(ids, apart)

    direct = [listed.id for listed, entry in group if entry.name == REFERENCE]
    reference = direct[0] if len(direct) == 1 else group[0][0].id

    def against(a: str, b: str) -> Difference | None:
        return known[a, b] if (a, b) in known else known[b, a].reversed() if (b, a) in known else None

    unranked = (None, None)
    rows = [
        Standing(
            listed, entry,
            rank_first=ranks.get(listed.id, unranked)[0],
            rank_last=ranks.get(listed.id, unranked)[1],
            difference=None if listed.id == reference else against(listed.id, reference),
            reference=listed.id == reference,
            price_unchecked=prices.get(listed.id),
        )
        for listed, entry in group
    ]  # fmt: skip
    suites = sorted({entry.suite for _, entry in group})
    presets = tuple(sorted({entry.preset.name for _, entry in group}))
    notes = _notes([entry for _, entry in group], rows)
    return MeasuredTable(" and ".join(suites), presets, tuple(rows), notes, pairs)


def _ranked_ids(group: Sequence[tuple[Listed, MeasuredEntry]]) -> list[str]:
    """Entries that have a rank, in order: of `RANKED_SEEDS` training seeds, and beside them base models."""
    trained = {listed.id for listed, entry in group if len(entry.seeds) >= RANKED_SEEDS}
    ids = [listed.id for listed, entry in group if listed.id in trained or entry.untrained]
    return ids if trained and len(ids) > 1 else []


def _seed_variances(group: Sequence[Listed]) -> dict[tuple[str, ...], SeedVariances]:
    """Of the entries, by their problems: how runs vary depends on those."""
    means: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for listed in group:
        if listed.outcomes:
            runs = [float(run.correct_PK.mean()) for run in listed.outcomes]
            means.setdefault(listed.outcomes[0].problem_ids, {})[listed.id] = runs
    return {ids: SeedVariances.of(rows) for ids, rows in means.items()}


def _between(variances: dict[tuple[str, ...], SeedVariances], a: Listed, b: Listed) -> SeedVariance | None:
    """None for entries of different problems: they are compared by their own runs."""
    if not a.outcomes or not b.outcomes or a.outcomes[0].problem_ids != b.outcomes[0].problem_ids:
        return None
    return variances[a.outcomes[0].problem_ids].between(a.id, b.id)


def _notes(entries: Sequence[MeasuredEntry], rows: Sequence[Standing]) -> tuple[str, ...]:
    notes = []
    if few := [entry for entry in entries if len(entry.seeds) < RANKED_SEEDS and not entry.untrained]:
        notes.append(NO_RANKS if len(few) == len(entries) else f"{NO_RANKS} ({len(few)} of {len(entries)} rows)")
    if single := sum(len(entry.samples) == 1 and not entry.untrained for entry in entries):
        notes.append(ONE_RUN if single == len(entries) else f"{ONE_RUN}, in {single} of {len(entries)} rows")
    if any(entry.partial for entry in entries):
        notes.append("partial suite: scored on its first problems only")
    if not all(entry.suite_verified for entry in entries):
        notes.append("unverified suite: its problems could not be checked against a known copy")
    if len({entry.preset.text() for entry in entries}) > 1:
        notes.append("mixed decoding presets: differences may come from presets as well as from models")
    if len({entry.suite for entry in entries}) > 1:
        notes.append("mixed parts of the suite: rows are compared on the problems they share")
    if len({tuple(file.training_seed for file in entry.samples) for entry in entries}) > 1:
        notes.append(
            "training seeds differ: rows are paired by the seeds they share, the others in the order of their seeds; "
            "a single checkpoint is paired with every run of the other row"
        )
    notes += _devices({entry.accelerator for entry in entries if entry.accelerator is not None})
    unchecked: dict[str, list[str]] = {}
    for row in rows:
        if row.price_unchecked is not None:
            unchecked.setdefault(row.price_unchecked, []).append(row.entry.name)
    notes += [f"‡ price not checked: {why} ({', '.join(names)})" for why, names in unchecked.items()]
    if any(row.difference is None and not row.reference for row in rows):
        notes.append("rows that share fewer than two problems are not compared, which widens their ranks")
    if any(row.difference is not None and row.difference.few_problems for row in rows):
        notes.append(FEW_PROBLEMS)
    if (problems := min(entry.num_problems for entry in entries)) < SMALL_SUITE:
        notes.append(unseen_note(problems))
    return tuple(notes)


def _devices(names: set[str]) -> Iterator[str]:
    """Notes on the devices whose seconds a table shows."""
    unnamed = {name for name in names if names_no_processor(name)}
    named = {name for name in names if name.startswith(PROCESSOR)}
    if unnamed and named:
        yield (
            f"GPU-seconds on {'; '.join(sorted(unnamed))} are of entries that an earlier version made, which did not "
            f"name the processor: it may be another than {'; '.join(sorted(named))}"
        )
        names = names - unnamed
    if len(names) > 1:
        yield f"GPU-seconds were measured on different devices ({'; '.join(sorted(names))})"


def compare(a: Listed, b: Listed, seed_variance: SeedVariance | None = None) -> Difference | None:
    """The paired difference a - b on the problems that both have; None with fewer than two of them.

    Training seeds that both have are paired with each other, the other runs in the order of their seeds (they are
    independent draws), as many as the shorter list has. A checkpoint without a training seed is fixed: it is paired
    with every run of the other, and the interval holds for other seeds of that one alone.
    """
    if not a.outcomes or not b.outcomes:
        raise EntryError(f"{a.short} and {b.short} cannot be compared: a reported entry has no samples")
    graders = [listed.entry.grader for listed in (a, b) if isinstance(listed.entry, MeasuredEntry)]
    try:
        refuse_mixed(graders)
    except PolicyError as error:
        raise EntryError(f"{a.short} and {b.short} cannot be compared: {error}") from None
    return compare_runs(a.outcomes, b.outcomes, seed_variance)


def compare_runs(
    a: Sequence[Outcomes], b: Sequence[Outcomes], seed_variance: SeedVariance | None = None
) -> Difference | None:
    """`compare` for the runs of two entries, one or more each."""
    common = sorted(set(a[0].problem_ids) & set(b[0].problem_ids))
    if len(common) < 2:
        return None
    seeds = [{run.seed: run for run in runs if run.seed is not None} for runs in (a, b)]
    both = sorted(seeds[0].keys() & seeds[1].keys())
    pairs = [(seeds[0][seed], seeds[1][seed]) for seed in both]
    others = [[run for run in runs if run.seed not in both] for runs in (_as_many_as(a, b), _as_many_as(b, a))]
    pairs += zip(*others, strict=False)

    def chosen(run: Outcomes) -> Array:
        places = {id: place for place, id in enumerate(run.problem_ids)}
        outcomes_PK: Array = run.correct_PK[[places[id] for id in common]]
        return outcomes_PK

    return paired_difference(
        [chosen(run) for run, _ in pairs], [chosen(run) for _, run in pairs], seed_variance=seed_variance
    )


def _as_many_as(one: Sequence[Outcomes], other: Sequence[Outcomes]) -> Sequence[Outcomes]:
    """The runs of one entry; a checkpoint without a training seed stands for as many as the other has."""
    checkpoint = len(one) == 1 and one[0].seed is None
    return tuple(one) * len(other) if checkpoint else one


def _reported(board: Board) -> tuple[ReportedTable, ...]:
    groups: dict[tuple[str, str, str, str], list[tuple[Listed, ReportedEntry]]] = {}
    for listed in board.entries:
        entry = listed.entry
        if isinstance(entry, ReportedEntry):
            meaning = entry.score.error_meaning or "no ± is stated"
            key = (entry.source.citation, entry.source.url, entry.source.table, meaning)
            groups.setdefault(key, []).append((listed, entry))
    tables = []
    for (citation, url, table, meaning), group in groups.items():
        rows: dict[str, dict[str, tuple[Listed, ReportedEntry]]] = {}
        for listed, entry in group:
            rows.setdefault(entry.name, {})[entry.suite] = (listed, entry)
        suites = tuple(dict.fromkeys(entry.suite for _, entry in group))
        tables.append(ReportedTable(citation, url, table, suites, tuple(rows.items()), meaning))
    return tuple(tables)
