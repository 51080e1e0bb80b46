"""Evidence from a recorded table: paired differences of named entries on the test suite, as numbers, table and figure.

What: `compare` computes every comparison's paired difference with two intervals, named apart, and corrects the p-values
by Holm over all comparisons; `markdown` and `plot` show them. The main interval holds for other training seeds and
other problems (`statistics.crossed_interval`); the second for other training seeds on these problems alone
(`statistics.seed_interval`).

Simplified: an entry's outcomes come from counts, so samples of two entries are not paired; problems and seeds are. Each
comparison has its own seed variance (`OWN_VARIANCE` says why); rows of leaderboards moderate each other's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tuition.benchmarks.artefacts import finite_fields
from tuition.benchmarks.boards.forest_plot import tidy, write_figure
from tuition.benchmarks.boards.ranked_rows import FEW_PROBLEMS, ONE_RUN
from tuition.benchmarks.statistics.intervals import (
    Array,
    Difference,
    Score,
    paired_difference,
    score_over_seeds,
    seed_interval,
)
from tuition.benchmarks.statistics.multiplicity import SignFlip, holm, sign_flip
from tuition.benchmarks.statistics.seed_variance import OWN

OWN_VARIANCE = (
    "seed variance: each comparison's own, not moderated by other rows as on leaderboards, because an entry that was "
    "selected on some seeds is judged on the others alone, and its runs on the former say little about those."
)

# Okabe and Ito's palette, distinguishable by colour-blind readers; the markers differ as well.
_STYLES = {False: ("#0072B2", "o", "all recorded seeds"), True: ("#D55E00", "s", "judge seeds only")}


@dataclass(frozen=True)
class Comparison:
    """A question: entry `a` minus entry `b`. `judged`: on judge seeds only, as `a` was selected on the others."""

    a: str
    b: str
    question: str
    judged: bool = False


@dataclass(frozen=True)
class Entry:
    """A named allocation with its test outcomes: one (problems, samples) array for each training seed.

    `gpu_seconds` is what is charged for each seed; `note` says how the entry came about. A base model (`untrained`) has
    the same outcomes with each seed.
    """

    name: str
    allocation: str
    outcomes: Mapping[int, Array]
    labels_trained: int
    gpu_seconds: Mapping[int, float]
    note: str = ""
    untrained: bool = False

    @property
    def score(self) -> Score:
        """Its test score over all its seeds; that of a base model over the one checkpoint that it is."""
        return score_over_seeds([self.outcomes[seed] for seed in self.seeds or sorted(self.outcomes)[:1]])

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its training seeds; a base model has none."""
        return () if self.untrained else tuple(sorted(self.outcomes))


@dataclass(frozen=True)
class Compared:
    """The answer. `on_these_problems` is None with one seed; `p_holm` is corrected over all comparisons that were made.

    `gpu_seconds` is what `a` is charged beyond `b`, a mean over the seeds.
    """

    comparison: Comparison
    seeds: tuple[int, ...]
    difference: Difference
    on_these_problems: Difference | None
    sign_flip: SignFlip
    p_holm: float
    gpu_seconds: float


@dataclass(frozen=True)
class Evidence:
    """All entries and comparisons, and why some comparisons could not be made."""

    scenario: str
    suite: str
    entries: tuple[Entry, ...]
    compared: tuple[Compared, ...]
    left_out: tuple[tuple[Comparison, str], ...]
    notes: tuple[str, ...]


def compare(
    scenario: str,
    suite: str,
    entries: Sequence[Entry],
    comparisons: Sequence[Comparison],
    judge_seeds: Sequence[int],
    notes: Sequence[str] = (),
) -> Evidence:
    """Every comparison whose entries share a seed that it may use; the others are left out, with the reason."""
    by_name = {entry.name: entry for entry in entries}
    made: list[tuple[Comparison, tuple[int, ...], Difference]] = []
    left_out: list[tuple[Comparison, str]] = []
    asked: dict[tuple[str, str, tuple[int, ...]], Comparison] = {}
    for comparison in comparisons:
        missing = [name for name in (comparison.a, comparison.b) if name not in by_name]
        if missing:
            left_out.append((comparison, f"{missing[0]} is not recorded"))
            continue
        a, b = by_name[comparison.a], by_name[comparison.b]
        seeds = tuple(sorted(a.outcomes.keys() & b.outcomes.keys()))
        if comparison.judged:
            seeds = tuple(seed for seed in seeds if seed in judge_seeds)
        if a.allocation == b.allocation:
            left_out.append((comparison, f"both are the same allocation, {a.allocation}"))
        elif not seeds:
            left_out.append((comparison, "they share no usable seed"))
        elif (same := asked.setdefault((a.allocation, b.allocation, seeds), comparison)) is not comparison:
            left_out.append((comparison, f"it is {same.a} - {same.b} on the same seeds"))
        else:
            made.append((comparison, seeds, paired_difference(_pick(a, seeds), _pick(b, seeds))))
    adjusted = holm([difference.p_value for _, _, difference in made])
    compared = tuple(
        Compared(
            comparison,
            seeds,
            difference,
            seed_interval(_pick(by_name[comparison.a], seeds), _pick(by_name[comparison.b], seeds))
            if len(seeds) > 1
            else None,
            sign_flip(_pick(by_name[comparison.a], seeds), _pick(by_name[comparison.b], seeds)),
            p_holm,
            fmean(by_name[comparison.a].gpu_seconds[s] - by_name[comparison.b].gpu_seconds[s] for s in seeds),
        )
        for (comparison, seeds, difference), p_holm in zip(made, adjusted, strict=True)
    )
    return Evidence(scenario, suite, tuple(entries), compared, tuple(left_out), tuple(notes))


def _pick(entry: Entry, seeds: Sequence[int]) -> list[Array]:
    return [entry.outcomes[seed] for seed in seeds]


def to_json(evidence: Evidence) -> dict[str, Any]:
    """The evidence as JSON values: fractions, seconds, None where a number does not exist."""
    return {
        "scenario": evidence.scenario,
        "suite": evidence.suite,
        "heading": _heading(evidence),
        "seed_variance": OWN,
        "entries": [
            {
                "name": entry.name,
                "allocation": entry.allocation,
                "seeds": list(entry.seeds),
                "score": finite_fields(entry.score),
                "labels_trained": entry.labels_trained,
                "gpu_seconds": round(fmean(entry.gpu_seconds.values()), 3),
                "note": entry.note,
            }
            for entry in evidence.entries
        ],
        "comparisons": [
            {
                "a": compared.comparison.a,
                "b": compared.comparison.b,
                "question": compared.comparison.question,
                "judge_seeds_only": compared.comparison.judged,
                "seeds": list(compared.seeds),
                "difference": finite_fields(compared.difference),
                "p_value_holm": compared.p_holm,
                "on_these_problems": finite_fields(compared.on_these_problems) if compared.on_these_problems else None,
                "sign_flip": finite_fields(compared.sign_flip),
                "gpu_seconds": round(compared.gpu_seconds, 3),
            }
            for compared in evidence.compared
        ],
        "left_out": [{"a": c.a, "b": c.b, "question": c.question, "reason": r} for c, r in evidence.left_out],
        "notes": list(evidence.notes),
    }


def _heading(evidence: Evidence) -> str | None:
    return ONE_RUN if any(compared.difference.excludes_training_variance for compared in evidence.compared) else None


def markdown(evidence: Evidence) -> str:
    """Two Markdown tables, entries and comparisons, with what their numbers mean; percentages and points."""
    heading = _heading(evidence)
    lines = [
        f"Test scores on {evidence.suite}, scenario {evidence.scenario}."
        + (f" Some rows: {heading}." if heading else "")
    ]
    lines += [
        "",
        "| entry | allocation | seeds | score, % | s.e. over problems / samples / seeds | labels | GPU-s, full |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for entry in evidence.entries:
        score = entry.score
        errors = " / ".join(
            f"{100 * error:.1f}" if math.isfinite(error) else "-"
            for error in (score.se_problems, score.se_samples, score.se_seeds)
        )
        lines.append(
            f"| {entry.name} | `{entry.allocation}` | {len(entry.seeds)} | {100 * score.mean:.1f} | {errors} "
            f"| {entry.labels_trained} | {fmean(entry.gpu_seconds.values()):,.1f} |"
        )
    lines += [
        "",
        "| comparison | seeds | difference, points [95 %] | on these problems [95 %] | p | p, Holm | extra GPU-s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for compared in evidence.compared:
        these = _points(compared.on_these_problems) if compared.on_these_problems else "-"
        lines.append(
            f"| {compared.comparison.question}: {compared.comparison.a} - {compared.comparison.b} "
            f"| {len(compared.seeds)}{' (judge)' if compared.comparison.judged else ''} "
            f"| {_points(compared.difference)} | {these} | {_p(compared.difference.p_value)} "
            f"| {_p(compared.p_holm)} | {compared.gpu_seconds:+,.1f} |"
        )
    lines += ["", *_legend(evidence)]
    return "\n".join(lines) + "\n"


def _points(difference: Difference) -> str:
    mark = "†" if difference.few_problems else ""
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]{mark}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _legend(evidence: Evidence) -> list[str]:
    lines = [
        "- difference: paired by problem and training seed; its interval and p hold for other problems and, from two "
        "seeds on, other training seeds. p, Holm: corrected over the "
        f"{len(evidence.compared)} comparisons of this table.",
        "- on these problems: the interval for other training seeds only (t over the seeds' paired means).",
        f"- {OWN_VARIANCE}",
        "- GPU-s: device time from scratch, ignoring reuse; processor time on a CPU.",
    ]
    if any(compared.difference.few_problems for compared in evidence.compared):
        lines.append(f"- {FEW_PROBLEMS}")
    for compared in evidence.compared:
        if compared.difference.excludes_training_variance:
            lines.append(f"- {compared.comparison.a} - {compared.comparison.b}: {ONE_RUN}.")
    lines += [f"- {entry.name}: {entry.note}" for entry in evidence.entries if entry.note]
    lines += [f"- {note}" for note in evidence.notes]
    lines += [f"- left out: {c.question} ({c.a} - {c.b}): {reason}." for c, reason in evidence.left_out]
    return lines


def plot(evidence: Evidence, path: Path) -> None:
    """A forest plot of the comparisons. The format follows the path's ending (.png, .pdf, .svg); it appears whole."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = list(reversed(evidence.compared))
    figure = Figure(figsize=(7.2, 1.4 + 0.46 * max(1, len(rows))), layout="constrained")
    axes = figure.subplots()
    for height, compared in enumerate(rows):
        colour, marker, _ = _STYLES[compared.comparison.judged]
        low, middle, high = (
            100 * x for x in (compared.difference.low, compared.difference.mean, compared.difference.high)
        )
        axes.hlines(height, low, high, color=colour, linewidth=1.2)
        if compared.on_these_problems is not None:
            these = compared.on_these_problems
            axes.hlines(height, 100 * these.low, 100 * these.high, color=colour, linewidth=4, alpha=0.4)
        axes.plot(middle, height, marker, color=colour, markersize=6)
    axes.axvline(0, color="#666666", linewidth=0.8, linestyle=":")
    labels = [
        f"{row.comparison.question}\n{row.comparison.a} - {row.comparison.b}, {len(row.seeds)} seeds" for row in rows
    ]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(-0.6, max(1, len(rows)) - 0.4)
    axes.set_xlabel(
        f"difference on {evidence.suite}, points, paired, 95 % intervals\n"
        "(thin: other seeds and problems; thick: other seeds, these problems)",
        fontsize=8,
    )
    tidy(axes)
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.2, markersize=6, label=label)
        for judged, (colour, marker, label) in _STYLES.items()
        if any(row.comparison.judged == judged for row in rows)
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    heading = _heading(evidence)
    figure.suptitle(f"{evidence.scenario}{f': {heading}' if heading else ''}", fontsize=8, x=0.01, ha="left")
    write_figure(figure, path)
