"""The evidence of recorded tables as Markdown: claims of the paper first, contradicted ones on top; then the numbers.

What: `sections` are what docs/micro.md shows piece by piece and `markdown` as one text. Claims, opposite split and
scores stand side by side for all tables; every table's comparisons follow. Percentages and points.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from tuition.benchmarks.baselines import DIRECT, OPPOSITE, RAW_TEACHER, UNTRAINED_STUDENT, UPSTREAM
from tuition.benchmarks.boards.ranked_rows import FEW_PROBLEMS, ONE_RUN
from tuition.benchmarks.evidence.claims import VERDICTS, Claim, Judged, printed_points
from tuition.benchmarks.evidence.comparisons import OWN_VARIANCE, Answers, Compared, Entry
from tuition.benchmarks.evidence.seed_score import SeedScore
from tuition.benchmarks.evidence.share_curve import ShareCurve
from tuition.benchmarks.evidence.split_families import BEST_INTERIOR, BEST_SPLIT, FAMILIES
from tuition.benchmarks.evidence.table_evidence import Evidence
from tuition.benchmarks.statistics.intervals import Difference
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS

_PICKED = (BEST_SPLIT, *FAMILIES)

BLOCKS = (
    "All of these were trained in blocks, which cost points, on `micro` more for a split that trains both models than "
    "for one that trains one (docs/sharing.md): a close call between them needs ordinary runs, `--as-deployed`."
)

TITLES = {
    "claims": "What the paper says, and what is seen",
    "opposite": "The opposite split",
    "share": "The teacher's share of the labels",
    "best": "The best split between teacher and student, against the corners",
    "comparisons": "Comparisons",
    "labels": "What more labels buy",
}


def sections(found: Sequence[Evidence]) -> dict[str, str]:
    """The text of each of TITLES."""
    return {
        "claims": _claims(found),
        "opposite": _opposite(found),
        "share": "\n\n".join([*(_share(evidence, curve) for evidence in found for curve in evidence.curves), BLOCKS]),
        "best": "\n\n".join(map(_best, found)),
        "comparisons": "\n\n".join(map(_comparisons, found)),
        "labels": "\n\n".join(_labels(evidence) for evidence in found if evidence.labels),
    }


def markdown(found: Sequence[Evidence]) -> str:
    """All sections under their titles."""
    parts = [f"## {TITLES[name]}\n\n{text}" for name, text in sections(found).items() if text]
    return "\n\n".join(parts) + "\n"


def _claims(found: Sequence[Evidence]) -> str:
    judged = {evidence.table: {j.claim: j for j in evidence.claims} for evidence in found}
    claims = list(dict.fromkeys(claim for by_claim in judged.values() for claim in by_claim))

    def order(claim: Claim) -> tuple[int, ...]:
        verdicts = [by_claim[claim].verdict for by_claim in judged.values() if claim in by_claim]
        return tuple(-verdicts.count(verdict) for verdict in VERDICTS)

    counts = [
        f"`{evidence.table}`: " + ", ".join(f"{evidence.count(verdict)} {verdict}" for verdict in VERDICTS)
        for evidence in found
    ]
    lines = [f"Verdicts. {'; '.join(counts)}.", ""]
    lines += _table(
        ("the paper says", "it prints, points", *(f"`{evidence.table}`, points [95 %]" for evidence in found)),
        (
            (_says(claim), _printed(claim), *(_seen(by_claim.get(claim)) for by_claim in judged.values()))
            for claim in sorted(claims, key=order)
        ),
    )
    lines += [
        "",
        "- contradicted, seen: the whole interval of the paired difference, for other training seeds and other "
        "problems, lies on the other side, or on the paper's side. Each interval stands for itself: where nothing "
        "differs, one claim in twenty gets a verdict by chance. With fewer than "
        f"{RANKED_SEEDS} seeds all are undecided.",
        "- it prints: the same difference on MATH-500 in the paper's tables, by teacher, from one training run.",
        "- judge seeds: the split was chosen by validation on the other seeds.",
    ]
    return "\n".join(lines)


def _says(claim: Claim) -> str:
    side = ">" if claim.sign > 0 else "<"
    return f"{claim.says} ({claim.a} - {claim.b} {side} {100 * claim.threshold:g})"


def _printed(claim: Claim) -> str:
    return ", ".join(f"{points:+.1f} ({model})" for model, points in printed_points(claim)) or "not measured"


def _seen(judged: Judged | None) -> str:
    if judged is None:
        return "-"
    if judged.compared is None:
        return f"undecided: {judged.reason}"
    word = f"**{judged.verdict}**" if judged.verdict == "contradicted" else judged.verdict
    return f"{word}: {points(judged.compared.difference)}, {_seeds(judged.compared)}"


def _seeds(compared: Compared) -> str:
    number = len(compared.seeds)
    return f"{number} {'judge ' if compared.comparison.judged else ''}seed{'s' if number > 1 else ''}"


_OPPOSITE_ROWS = {
    UNTRAINED_STUDENT: "student, untrained",
    RAW_TEACHER: "teacher, untrained (no student to deploy)",
    "raw-bridge": "the raw teacher's bridge, no labels",
    DIRECT: "direct GRPO, no bridge",
    OPPOSITE: "**opposite split**: the raw teacher's bridge, then all labels on the student",
    UPSTREAM: "all labels on the teacher, then the bridge",
}
_OPPOSITE_PAIRS = {(OPPOSITE, DIRECT): "opposite split - direct GRPO", (UPSTREAM, OPPOSITE): "all on the teacher - "}


def _opposite(found: Sequence[Evidence]) -> str:
    rows: list[list[str]] = []
    for name, shown in _OPPOSITE_ROWS.items():
        entries = [evidence.entry(name) for evidence in found]
        rows.append([shown, *(f"{100 * entry.score.mean:.1f}" if entry else "-" for entry in entries)])
    for (a, b), shown in _OPPOSITE_PAIRS.items():
        pairs = [evidence.compared(a, b) for evidence in found]
        title = f"{shown}opposite split" if shown.endswith(" - ") else shown
        rows.append(
            [f"{title}, points [95 %]", *(points(pair.difference) if pair else "not compared" for pair in pairs)]
        )
    lines = _table(("test score, %", *(f"`{evidence.table}`" for evidence in found)), rows)
    return "\n".join(
        [*lines, "", *_few(c for pair in _OPPOSITE_PAIRS for e in found if (c := e.compared(*pair)))]
    ).strip()


def _share(evidence: Evidence, curve: ShareCurve) -> str:
    lines = [
        f"`{evidence.table}`, teacher `{curve.teacher}`, bridge {curve.bridge}: "
        f"all {curve.num_label_blocks} label blocks, those that are not on the teacher on the student.",
        "",
    ]
    lines += _table(
        (
            "label blocks on the teacher",
            "seeds",
            "score, % [95 % over seeds]",
            "minus all on the teacher, points [95 %]",
        ),
        (
            (
                str(point.teacher_blocks),
                str(len(point.score.seeds)),
                _score(point.score),
                points(point.minus_all) if point.minus_all else "-",
            )
            for point in curve.points
        ),
        right=4,
    )
    few = any(point.minus_all and point.minus_all.few_problems for point in curve.points)
    return "\n".join([*lines, *(["", f"- {FEW_PROBLEMS}"] if few else [])])


def _labels(evidence: Evidence) -> str:
    numbers = sorted({labels for curve in evidence.labels for labels, _ in curve.points})
    by_curve = [dict(curve.points) for curve in evidence.labels]
    rows = [["0", *("-" if c.untrained is None else f"{100 * c.untrained:.1f}" for c in evidence.labels)]]
    rows += [[str(n), *(_score(scores[n]) if n in scores else "-" for scores in by_curve)] for n in numbers]
    lines = [f"`{evidence.table}`: GRPO on one model alone, block by block; a block adds steps, too.", ""]
    header = ("labels", *(f"`{curve.model}`, % [95 % over seeds]" for curve in evidence.labels))
    return "\n".join([*lines, *_table(header, rows, right=len(header))])


def _best(evidence: Evidence) -> str:
    entries = [entry for entry in evidence.entries if entry.name in _PICKED]
    lines = [
        f"**`{evidence.table}`**: interior splits have {FAMILIES[BEST_INTERIOR]}; the others are corners. Each best "
        "one was picked by validation on draw seeds; all comparisons are of test scores on judge seeds, which picked "
        "none.",
        "",
        *_compared_table(evidence.picked, "best splits"),
        "",
        *_entries(entries),
        "",
        *_judge_seeds(evidence.picked),
        *_few(evidence.picked.compared),
        *_notes(entries, evidence.picked),
    ]
    return "\n".join(lines)


def _judge_seeds(picked: Answers) -> list[str]:
    counts = sorted({len(compared.seeds) for compared in picked.compared})
    if not counts:
        return []
    return [
        f"- seeds: {' or '.join(map(str, counts))} that judge; the interval over S of them has S - 1 degrees of "
        "freedom, so with few only large differences show.",
        f"- p, Holm: corrected over the {len(picked.compared)} comparisons of best splits.",
    ]


def _comparisons(evidence: Evidence) -> str:
    planned = evidence.planned
    entries = [entry for entry in evidence.entries if entry.name not in _PICKED]
    heading = f" Some rows: {ONE_RUN}." if planned.one_run or evidence.picked.one_run else ""
    lines = [
        f"**`{evidence.table}`**: test scores on {evidence.suite}, scenario {evidence.scenario}.{heading}",
        "",
        *_compared_table(planned, "comparison"),
        "",
        *_entries(entries),
        "",
        "- difference: paired by problem and training seed; its interval and p hold for other problems and, from two "
        "seeds on, other training seeds. p, Holm: corrected over the "
        f"{len(planned.compared)} comparisons of this table.",
        "- on these problems: the interval for other training seeds only (t over the seeds' paired means).",
        f"- {OWN_VARIANCE}",
        "- GPU-s: device time from scratch, ignoring reuse; processor time on a CPU.",
        *_few(planned.compared),
        *_notes(entries, planned),
        *(f"- {note}" for note in evidence.notes),
    ]
    return "\n".join(lines)


def _notes(entries: Sequence[Entry], answers: Answers) -> list[str]:
    """What is said of single comparisons and entries, and what could not be compared."""
    one_run = [
        f"{compared.comparison.a} - {compared.comparison.b}"
        for compared in answers.compared
        if compared.difference.excludes_training_variance
    ]
    return [
        *([f"- {', '.join(one_run)}: {ONE_RUN}."] if one_run else []),
        *(f"- {entry.name}: {entry.note}" for entry in entries if entry.note),
        *(f"- left out: {c.question} ({c.a} - {c.b}): {reason}." for c, reason in answers.left_out),
    ]


def _entries(entries: Sequence[Entry]) -> list[str]:
    return _table(
        ("entry", "allocation", "seeds", "score, %", "s.e. over problems / samples / seeds", "labels", "GPU-s, full"),
        (
            (
                entry.name,
                f"`{entry.allocation}`",
                str(len(entry.seeds)),
                f"{100 * entry.score.mean:.1f}",
                " / ".join(
                    f"{100 * error:.1f}" if math.isfinite(error) else "-"
                    for error in (entry.score.se_problems, entry.score.se_samples, entry.score.se_seeds)
                ),
                str(entry.labels_trained),
                f"{fmean(entry.gpu_seconds.values()):,.1f}",
            )
            for entry in entries
        ),
        right=5,
    )


def _compared_table(answers: Answers, title: str) -> list[str]:
    return _table(
        (title, "seeds", "difference, points [95 %]", "on these problems [95 %]", "p", "p, Holm", "extra GPU-s"),
        (
            (
                f"{compared.comparison.question}: {compared.comparison.a} - {compared.comparison.b}",
                f"{len(compared.seeds)}{' (judge)' if compared.comparison.judged else ''}",
                points(compared.difference),
                points(compared.on_these_problems) if compared.on_these_problems else "-",
                p_text(compared.difference.p_value),
                p_text(compared.p_holm),
                f"{compared.gpu_seconds:+,.1f}",
            )
            for compared in answers.compared
        ),
        right=6,
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], right: int = 0) -> list[str]:
    """A Markdown table whose last `right` columns are aligned to the right."""
    rules = ["---"] * (len(header) - right) + ["---:"] * right
    return [
        f"| {' | '.join(header)} |",
        f"|{'|'.join(rules)}|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _score(score: SeedScore) -> str:
    within = "" if score.low is None or score.high is None else f" [{100 * score.low:.1f}, {100 * score.high:.1f}]"
    return f"{100 * score.score.mean:.1f}{within}"


def points(difference: Difference) -> str:
    """A difference with its interval, in points; † where few problems widen it."""
    mark = "†" if difference.few_problems else ""
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]{mark}"


def p_text(value: float) -> str:
    """A p-value."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _few(compared: Iterable[Compared]) -> list[str]:
    return [f"- {FEW_PROBLEMS}"] if any(c.difference.few_problems for c in compared) else []
