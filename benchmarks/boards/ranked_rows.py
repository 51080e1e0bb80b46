"""Leaderboard: a study's finalists and baselines on one suite, in the terminal, as JSON and as a figure.

What: `rank_rows` orders rows and gives each a rank interval, `render` makes a table of 100 columns, `to_json` a
document, `plot` a forest plot. Rows are compared by paired differences; each row is charged its full cost.

Simplified: ranks are corrected for the number of pairs, the intervals of differences are not. Rows of fewer than
`RANKED_SEEDS` training seeds have no rank and stand by score. Rows from papers are not here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tuition.benchmarks.artefacts import finite
from tuition.benchmarks.boards.forest_plot import tidy, write_figure
from tuition.benchmarks.grading.policies import FIRST_POLICY
from tuition.benchmarks.statistics.few_problems import share_unseen
from tuition.benchmarks.statistics.intervals import Array, Difference, Score, paired_difference
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS, rank_intervals
from tuition.benchmarks.statistics.seed_variance import MODERATED, OWN, SeedVariance, SeedVariances

if TYPE_CHECKING:
    from rich.table import Table

ONE_RUN = "one training run: excludes training variance"
NO_RANKS = f"no ranks below {RANKED_SEEDS} training seeds: rows stand by score, and retraining may reorder them"
RANK_CORRECTION = "holm"
FEW_PROBLEMS = (
    "† wider than the variance says: a difference may sit in problems of which these hold few or none, which no "
    "variance shows."
)
SMALL_SUITE = 100  # problems: below, what may have gone unseen is said. Our choice
SHUFFLED = " (shuffled, no blocks)"
TEACHER_NOTE = "raw-teacher is the teacher before any training: a reference without a rank, no student to deploy."

# Okabe and Ito's palette, distinguishable by colour-blind readers; the markers differ as well.
_STYLES = {
    "finalist": ("#0072B2", "o"),
    "baseline": ("#D55E00", "s"),
    "untrained": ("#009E73", "^"),
    "teacher": ("#CC79A7", "D"),
}


@dataclass(frozen=True)
class Row:
    """One entry with its test score: a finalist of the search, a baseline, the student before any training
    ("untrained"), or the teacher before any training ("teacher"), which is a reference and no student to deploy.

    `difference` is this row less the reference row (None on the reference row itself); `selected_validation` the
    validation score that won the search (a fraction, None for baselines); `gpu_seconds` the route's full cost,
    whatever the store held; `seeds` the training seeds, none of a base model; `shuffled` that its label stage was one
    ordinary run over all labels, without blocks.
    """

    name: str
    allocation: str
    kind: Literal["finalist", "baseline", "untrained", "teacher"]
    score: Score
    difference: Difference | None
    selected_validation: float | None
    labels_trained: int
    gpu_seconds: float
    seeds: tuple[int, ...]
    shuffled: bool = False


def rank_text(first: int | None, last: int | None) -> str:
    """An interval of ranks, the same in every table: "2", "2-4" where some are not distinguished, "-" without."""
    if first is None:
        return "-"
    return str(first) if first == last else f"{first}-{last}"


@dataclass(frozen=True)
class RankedRow:
    """A row and the interval of ranks consistent with the pairwise differences (1 is first).

    None of the teacher, and of rows with fewer than `RANKED_SEEDS` training seeds.
    """

    row: Row
    rank_first: int | None
    rank_last: int | None

    @property
    def rank(self) -> str:
        """The interval as text."""
        return rank_text(self.rank_first, self.rank_last)


@dataclass(frozen=True)
class Meta:
    """What all rows share: the study, the suite with its version, the decoding, and the study's label counts.

    `seed_variance` says how differences came to it: "moderated" by the table's rows, or each pair's "own", as in
    earlier versions. `looks` counts the tests of the study so far, this one included. `grader` is the version of the
    policy that graded; earlier versions did not write it down.
    """

    study: str
    suite: str
    decoding: str
    labels_validation: int
    labels_owned: int
    seed_variance: str = OWN
    looks: int = 1
    grader: str = FIRST_POLICY


Pairwise = Mapping[tuple[str, str], Difference]


def pairwise_differences(outcomes: Mapping[str, Sequence[Array]]) -> dict[tuple[str, str], Difference]:
    """The paired difference of every two entries, keyed (a, b) for a - b.

    `outcomes` holds for each name one (problems, samples) array per training seed, as `paired_difference` wants them,
    or one array alone for what has not been trained. The rows' seed variances moderate each other (`SeedVariances`).
    """
    table = SeedVariances.of({name: [float(run.mean()) for run in runs] for name, runs in outcomes.items()})
    return {(a, b): row_difference(outcomes[a], outcomes[b], table.between(a, b)) for a, b in combinations(outcomes, 2)}


def row_difference(a: Sequence[Array], b: Sequence[Array], seed_variance: SeedVariance | None = None) -> Difference:
    """The paired difference of two rows. One that has a single array stands for every training seed of the other."""
    return paired_difference(*on_same_seeds(a, b), seed_variance=seed_variance)


def on_same_seeds(a: Sequence[Array], b: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
    """Outcomes by training seed, as many of one as of the other: a base model is the same whatever the seed."""
    return (a if len(a) > 1 else [*a] * len(b)), (b if len(b) > 1 else [*b] * len(a))


def rank_rows(rows: Sequence[Row], pairwise: Pairwise) -> list[RankedRow]:
    """Rows by falling score (ties by name), those of `ranked_names` with their rank interval by `rank_intervals`.

    ValueError for a repeated name, a pair that is missing, or other than one reference row.
    """
    names = [row.name for row in rows]
    if len(set(names)) != len(names):
        raise ValueError(
            f"row {next(name for name in names if names.count(name) > 1)!r} appears twice; give rows distinct names"
        )
    _reference(rows)
    ranks = rank_intervals(ranked_names(rows), pairwise)
    return [
        RankedRow(row, *ranks.get(row.name, (None, None)))
        for row in sorted(rows, key=lambda row: (-row.score.mean, row.name))
    ]


def ranked_names(rows: Sequence[Row]) -> list[str]:
    """The rows that have a rank: students of `RANKED_SEEDS` training seeds, and beside them what was never trained."""
    trained = [row.name for row in rows if len(row.seeds) >= RANKED_SEEDS]
    ranked = [row.name for row in rows if row.name in trained or row.kind == "untrained"]
    return ranked if trained and len(ranked) > 1 else []


def _reference(rows: Sequence[Row]) -> str:
    names = [row.name for row in rows if row.difference is None]
    if len(names) != 1:
        raise ValueError(f"rows without a difference: {names}; exactly one row is the reference")
    return names[0]


def heading(rows: Sequence[RankedRow]) -> str | None:
    """What must be read before the rows, a line each; None where nothing must."""
    seeds = [len(ranked.row.seeds) for ranked in rows if ranked.row.seeds]
    lines = [NO_RANKS] if any(count < RANKED_SEEDS for count in seeds) else []
    return "\n".join([*lines, *([ONE_RUN] if 1 in seeds else [])]) or None


def to_json(rows: Sequence[RankedRow], meta: Meta) -> dict[str, Any]:
    """The leaderboard as plain JSON values: fractions, seconds, and None where a number does not exist."""
    document = {
        **asdict(meta),
        "heading": heading(rows),
        "reference": _reference([ranked.row for ranked in rows]),
        "rank_correction": RANK_CORRECTION,
        "rows": [
            {"rank_first": ranked.rank_first, "rank_last": ranked.rank_last, **asdict(ranked.row)} for ranked in rows
        ],
    }
    plain: dict[str, Any] = _without_nan(document)
    return plain


def from_json(document: Mapping[str, Any]) -> tuple[list[RankedRow], Meta]:
    """The inverse of `to_json`. KeyError, TypeError or ValueError for a document of another shape.

    So it is for a document of an earlier version, whose ranks were not corrected for the number of pairs. Documents of
    before 2026-11-30 name no `seed_variance`: their intervals and ranks are of each pair's own, and ranks of fewer than
    `RANKED_SEEDS` training seeds are left out.
    """
    if (correction := document.get("rank_correction")) != RANK_CORRECTION:
        raise ValueError(f"its ranks are corrected by {correction!r:.40}, not by {RANK_CORRECTION!r}")

    def numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: math.nan if value is None else value for name, value in fields.items()}

    ranked = []
    for entry in document["rows"]:
        fields = {name: value for name, value in entry.items() if name not in ("rank_first", "rank_last")}
        fields["score"] = Score(**numbers(fields["score"]))
        fields["difference"] = Difference(**numbers(fields["difference"])) if fields["difference"] else None
        fields["seeds"] = tuple(fields["seeds"])
        ranks = [None if entry[name] is None else int(entry[name]) for name in ("rank_first", "rank_last")]
        ranked.append(RankedRow(Row(**fields), *ranks))
    _reference([row.row for row in ranked])
    names = set(ranked_names([row.row for row in ranked]))
    ranked = [row if row.row.name in names else RankedRow(row.row, None, None) for row in ranked]
    known = {field.name: document[field.name] for field in dataclass_fields(Meta) if field.name in document}
    return ranked, Meta(**known)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(entry) for entry in value]
    return finite(value) if isinstance(value, float) else value


def render(rows: Sequence[RankedRow], meta: Meta) -> "Table":
    """The leaderboard as a table for a terminal of 100 columns; percentages, differences in points."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    reference = _reference([ranked.row for ranked in rows])
    title = "\n".join([f"{meta.study} on {meta.suite} ({meta.decoding})", *filter(None, [heading(rows)])])
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption, table.caption_justify = Text(_caption(rows, meta), style="dim"), "left"
    with_ranks = any(ranked.rank_first is not None for ranked in rows)
    if with_ranks:
        table.add_column("rank", no_wrap=True)
    table.add_column("entry", min_width=24)
    table.add_column("score, % ± s.e. over", no_wrap=True)
    table.add_column(Text(f"minus {reference},\npoints [{_level(rows)}]"), min_width=14)
    table.add_column("selected,\n%", justify="right", no_wrap=True)
    table.add_column("labels\ntrained", justify="right", no_wrap=True)
    table.add_column("GPU-s,\nfull", justify="right", no_wrap=True)
    for ranked in rows:
        row = ranked.row
        entry = Text(row.name, style="bold" if row.kind == "finalist" else "").append(
            f"\n{row.allocation}{SHUFFLED if row.shuffled else ''}", style="not bold dim"
        )
        selected = "-" if row.selected_validation is None else f"{100 * row.selected_validation:.1f}"
        table.add_row(
            *([ranked.rank] if with_ranks else []), entry, _score(row.score), _points(row.difference), selected,
            str(row.labels_trained),
            f"{row.gpu_seconds:,.0f}",
        )  # fmt: skip
    return table


def row_label(ranked: RankedRow) -> str:
    """A row in a figure: its name, and its rank if it has one."""
    if ranked.row.kind == "teacher":
        return f"{ranked.row.name} (reference)"
    return ranked.row.name if ranked.rank_first is None else f"{ranked.row.name} (rank {ranked.rank})"


def _level(rows: Sequence[RankedRow]) -> str:
    levels = sorted({ranked.row.difference.level for ranked in rows if ranked.row.difference is not None})
    return ", ".join(f"{100 * level:g} %" for level in levels) or "interval"


def _score(score: Score) -> str:
    errors = {"problems": score.se_problems, "samples": score.se_samples, "seeds": score.se_seeds}
    lines = [f"±{100 * error:.1f} {source}" for source, error in errors.items() if math.isfinite(error)]
    return f"{100 * score.mean:5.1f} " + "\n      ".join(lines)


def _points(difference: Difference | None) -> str:
    if difference is None:
        return "reference"
    mark = "†" if difference.few_problems else ""
    return f"{100 * difference.mean:+.1f}\n[{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]{mark}"


def _caption(rows: Sequence[RankedRow], meta: Meta) -> str:
    score = rows[0].row.score
    seeds = sorted({seed for ranked in rows for seed in ranked.row.seeds})
    return "\n".join(
        [
            f"avg@{score.num_samples} over {score.num_problems} problems; training seeds {', '.join(map(str, seeds))}.",
            f"graded by {meta.grader}.",
            *notes_on_differences(rows, meta),
            *([TEACHER_NOTE] if any(ranked.row.kind == "teacher" for ranked in rows) else []),
            "selected: the validation score by which the entry was selected.",
            f"labels of the study: {meta.labels_owned} owned, of which {meta.labels_validation} for validation.",
            "GPU-s: device time from scratch, ignoring reuse; processor time on a CPU.",
        ]
    )


def notes_on_differences(rows: Sequence[RankedRow], meta: Meta) -> list[str]:
    """What ranks and intervals are, and what they do not say; a sentence each."""
    notes = []
    if any(ranked.rank_first is not None for ranked in rows):
        notes.append("rank: ranks consistent with the paired differences, after Holm's correction over all pairs.")
    if any(len(ranked.row.seeds) > 1 for ranked in rows):
        notes.append(
            "Each row's seed variance is moderated by those of the other rows."
            if meta.seed_variance == MODERATED
            else "Of an earlier version: each pair's own seed variance alone, and no allowance for few problems."
        )
    notes.append("Intervals of differences are not corrected for multiple comparisons.")
    if any(ranked.row.difference is not None and ranked.row.difference.few_problems for ranked in rows):
        notes.append(FEW_PROBLEMS)
    if meta.looks > 1:
        notes.append(
            f"Test {meta.looks} of this study on the same problems: what is chosen after one test and tested again is "
            "flattered by the next."
        )
    problems = rows[0].row.score.num_problems
    if problems < SMALL_SUITE:
        notes.append(unseen_note(problems))
    return notes


def unseen_note(problems: int) -> str:
    """What so few problems may hide, whatever an interval says."""
    return f"{problems} problems may hold none of those that make up {share_unseen(problems, 0.95):.0%} of all."


def plot(rows: Sequence[RankedRow], path: Path) -> None:
    """A forest plot: scores on the left, paired differences to the reference row on the right.

    The format follows the path's ending (.png, .pdf, .svg). The file appears whole.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    reference = _reference([ranked.row for ranked in rows])
    figure = Figure(figsize=(7.2, 1.5 + 0.34 * len(rows)), layout="constrained")
    scores, differences = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1])
    for height, ranked in enumerate(reversed(rows)):
        row = ranked.row
        colour, marker = _STYLES[row.kind]
        mean, problems = 100 * row.score.mean, 100 * row.score.se_problems
        scores.hlines(height, mean - problems, mean + problems, color=colour, linewidth=1.2)
        if math.isfinite(row.score.se_seeds):
            seeds = 100 * row.score.se_seeds
            scores.hlines(height, mean - seeds, mean + seeds, color=colour, linewidth=3.5, alpha=0.45)
        scores.plot(mean, height, marker, color=colour, markersize=5)
        if row.difference is None:
            differences.plot(0, height, marker, color="white", markeredgecolor=colour, markersize=5)
            continue
        low, middle, high = (100 * x for x in (row.difference.low, row.difference.mean, row.difference.high))
        differences.hlines(height, low, high, color=colour, linewidth=1.2)
        differences.plot(middle, height, marker, color=colour, markersize=5)
    differences.axvline(0, color="#666666", linewidth=0.8, linestyle=":")
    labels = [row_label(ranked) for ranked in reversed(rows)]
    scores.set_yticks(range(len(rows)), labels, fontsize=8)
    scores.set_ylim(-0.6, len(rows) - 0.4)
    several = any(ranked.row.score.num_seeds > 1 for ranked in rows)
    errors = "thin: ± s.e. over problems,\nthick: over training seeds" if several else "± s.e. over problems"
    scores.set_xlabel(f"score, % ({errors})", fontsize=8)
    differences.set_xlabel(f"difference to {reference}, points\n({_level(rows)} interval, paired)", fontsize=8)
    for axes in (scores, differences):
        tidy(axes)
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.2, markersize=5, label=kind)
        for kind, (colour, marker) in _STYLES.items()
        if any(ranked.row.kind == kind for ranked in rows)
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    if title := heading(rows):
        figure.suptitle(title, fontsize=8, x=0.01, ha="left")
    write_figure(figure, path)
