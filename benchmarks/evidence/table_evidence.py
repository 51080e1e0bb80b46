"""The evidence of a recorded table: everything that `tuition evidence` says of it, as numbers.

What: `Evidence` holds the claims with their verdicts (`claims.py`), the curves over the teacher's share
(`share_curve.py`) and over the labels (`label_curve.py`), the comparisons that were planned and those of the best
splits (`comparisons.py`); `to_json` makes JSON values of it. `markdown.py` and `figure.py` show several tables side by
side.
"""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tuition.benchmarks.artefacts import finite_fields
from tuition.benchmarks.boards.ranked_rows import ONE_RUN
from tuition.benchmarks.evidence.claims import VERDICTS, Judged, Verdict, printed_points
from tuition.benchmarks.evidence.comparisons import Answers, Compared, Comparison, Entry
from tuition.benchmarks.evidence.label_curve import LabelCurve
from tuition.benchmarks.evidence.seed_score import SeedScore
from tuition.benchmarks.evidence.share_curve import ShareCurve
from tuition.benchmarks.statistics.seed_variance import OWN


@dataclass(frozen=True)
class Evidence:
    """`planned` are comparisons of named entries, on all seeds; `picked` those of the best splits, on judge seeds."""

    table: str
    scenario: str
    suite: str
    entries: tuple[Entry, ...]
    claims: tuple[Judged, ...]
    curves: tuple[ShareCurve, ...]
    labels: tuple[LabelCurve, ...]
    planned: Answers
    picked: Answers
    notes: tuple[str, ...]

    def entry(self, name: str) -> Entry | None:
        """The entry of that name, if it is recorded."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def compared(self, a: str, b: str) -> Compared | None:
        """The planned comparison of these two, if it was made."""
        return next((c for c in self.planned.compared if (c.comparison.a, c.comparison.b) == (a, b)), None)

    def count(self, verdict: Verdict) -> int:
        """How many claims have that verdict."""
        return sum(judged.verdict == verdict for judged in self.claims)


def to_json(evidence: Evidence) -> dict[str, Any]:
    """The evidence as JSON values: fractions, seconds, None where a number does not exist."""
    one_run = evidence.planned.one_run or evidence.picked.one_run
    left_out = (*evidence.planned.left_out, *evidence.picked.left_out)
    return {
        "table": evidence.table,
        "scenario": evidence.scenario,
        "suite": evidence.suite,
        "heading": ONE_RUN if one_run else None,
        "seed_variance": OWN,
        "verdicts": {verdict: evidence.count(verdict) for verdict in VERDICTS},
        "claims": [_claim(judged) for judged in evidence.claims],
        "curves": [_curve(curve) for curve in evidence.curves],
        "labels": [_labels(curve) for curve in evidence.labels],
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
        "comparisons": [_compared(c) for c in (*evidence.planned.compared, *evidence.picked.compared)],
        "left_out": [{**_question(comparison), "reason": reason} for comparison, reason in left_out],
        "notes": list(evidence.notes),
    }


def _question(comparison: Comparison) -> dict[str, Any]:
    return {
        "a": comparison.a,
        "b": comparison.b,
        "question": comparison.question,
        "judge_seeds_only": comparison.judged,
    }


def _compared(compared: Compared) -> dict[str, Any]:
    these = compared.on_these_problems
    return {
        **_question(compared.comparison),
        "seeds": list(compared.seeds),
        "difference": finite_fields(compared.difference),
        "p_value_holm": compared.p_holm,
        "on_these_problems": finite_fields(these) if these else None,
        "sign_flip": finite_fields(compared.sign_flip),
        "gpu_seconds": round(compared.gpu_seconds, 3),
    }


def _claim(judged: Judged) -> dict[str, Any]:
    claim, compared = judged.claim, judged.compared
    return {
        "says": claim.says,
        "a": claim.a,
        "b": claim.b,
        "side": "above" if claim.sign > 0 else "below",
        "threshold": claim.threshold,
        "judge_seeds_only": claim.judged,
        "printed_points": dict(printed_points(claim)),
        "verdict": judged.verdict,
        "seeds": list(compared.seeds) if compared else [],
        "difference": finite_fields(compared.difference) if compared else None,
        "reason": judged.reason or None,
    }


def _seed_score(score: SeedScore) -> dict[str, Any]:
    return {
        "seeds": list(score.seeds),
        "score": finite_fields(score.score),
        "low_over_seeds": score.low,
        "high_over_seeds": score.high,
    }


def _labels(curve: LabelCurve) -> dict[str, Any]:
    return {
        "model": curve.model,
        "untrained": curve.untrained,
        "points": [{"labels": labels, **_seed_score(score)} for labels, score in curve.points],
    }


def _curve(curve: ShareCurve) -> dict[str, Any]:
    return {
        "teacher": curve.teacher,
        "bridge": curve.bridge,
        "label_blocks": curve.num_label_blocks,
        "points": [
            {
                "teacher_label_blocks": point.teacher_blocks,
                "allocation": point.allocation,
                **_seed_score(point.score),
                "minus_all_on_the_teacher": finite_fields(point.minus_all) if point.minus_all else None,
            }
            for point in curve.points
        ],
    }
