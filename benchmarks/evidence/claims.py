"""What the paper says (arXiv 2605.12483) against what a recorded table shows: seen, contradicted or undecided.

What: a `Claim` says on which side of a threshold the difference of two entries lies; `verdict` looks on which side its
95 % interval lies. All claims are always judged, and one that cannot be is listed with the reason. `printed` are the
same differences in the paper's own tables, from `benchmarks/reported`, on its first suite.

Simplified: the interval is each claim's own, not corrected for how many there are: where nothing differs, one claim in
twenty gets a verdict by chance. Below three training seeds (`RANKED_SEEDS`) every verdict is "undecided". A
verdict is about the table's models: whether the paper is right about its own, no test bench can say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from tuition.benchmarks.baselines import DIRECT, OPPOSITE, UPSTREAM
from tuition.benchmarks.evidence.comparisons import Compared, Comparison, Entry, compare
from tuition.benchmarks.evidence.split_families import BEST_INTERIOR, BEST_UPSTREAM
from tuition.benchmarks.reported import reported_entries
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS

SOURCE = "arxiv-2605.12483"
HALF_BRIDGE = "half-bridge"
"""The student of `half` before its own labels."""

Verdict = Literal["contradicted", "undecided", "seen"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""In the order in which they are shown."""


@dataclass(frozen=True)
class Claim:
    """`says`: entry `a` minus entry `b` is above `threshold` (`sign` 1) or below it (-1), a fraction.

    `printed` names what shows it in the paper: model, table, row of a, row of b.
    """

    a: str
    b: str
    says: str
    printed: tuple[tuple[str, int, str, str], ...] = ()
    sign: Literal[1, -1] = 1
    threshold: float = 0.0
    judged: bool = False

    @property
    def comparison(self) -> Comparison:
        """The question that it answers."""
        return Comparison(self.a, self.b, self.says, self.judged)


@dataclass(frozen=True)
class Judged:
    """A claim and what is seen of it; `compared` is None where nothing is, with the `reason`."""

    claim: Claim
    verdict: Verdict
    compared: Compared | None
    reason: str = ""


def _rows(table: int, a: str, b: str, teachers: Sequence[str] = ("8B", "14B")) -> tuple[tuple[str, int, str, str], ...]:
    return tuple((teacher, table, a.format(teacher), b.format(teacher)) for teacher in teachers)


_LLAMA = "bridge from the {} 70B teacher"
_ALL = ("8B", "14B", "1.7B")

CLAIMS = (
    Claim(
        "raw-bridge",
        DIRECT,
        "the bridge from a raw teacher, without labels, is worse than direct GRPO on all of them",
        (*_rows(3, "raw {} teacher, two-stage", "direct GRPO"), ("70B", 8, _LLAMA.format("raw"), "direct GRPO")),
        sign=-1,
    ),
    Claim(
        UPSTREAM,
        DIRECT,
        "all labels on the teacher, then the bridge, are better than direct GRPO",
        (
            *_rows(3, "RL'd {} teacher, two-stage", "direct GRPO", _ALL),
            ("70B", 8, _LLAMA.format("RL'd"), "direct GRPO"),
        ),
    ),
    Claim(
        UPSTREAM,
        "raw-bridge",
        "the bridge from a teacher with GRPO is better than from a raw one",
        (
            *_rows(3, "RL'd {} teacher, two-stage", "raw {} teacher, two-stage"),
            ("70B", 8, _LLAMA.format("RL'd"), _LLAMA.format("raw")),
        ),
    ),
    Claim(UPSTREAM, OPPOSITE, "labels before the bridge, on the teacher, are better than after it, on the student"),
    Claim(
        UPSTREAM,
        "opd-only",
        "a warmup before opd is better than opd alone",
        _rows(3, "RL'd {} teacher, two-stage", "RL'd {} teacher, OPD only", _ALL),
    ),
    Claim(
        UPSTREAM,
        "sample-sft",
        "the dense bridge is better than fine-tuning on the teacher's samples",
        _rows(3, "RL'd {} teacher, two-stage", "RL'd {} teacher, teacher-sample SFT", _ALL),
    ),
    Claim(
        UPSTREAM,
        "sft-teacher",
        "GRPO makes a better teacher than fine-tuning on its own correct samples",
        _rows(3, "RL'd {} teacher, two-stage", "SFT'd {} teacher, two-stage"),
    ),
    Claim(
        "half",
        HALF_BRIDGE,
        "after half of the labels and the bridge, GRPO on the other half makes the student better",
        _rows(4, "RL'd {} teacher, bridge, then GRPO on the second half", "RL'd {} teacher, after the bridge"),
    ),
    Claim(
        "half-replay",
        HALF_BRIDGE,
        "GRPO on the first half again adds nothing (below 1 point)",
        _rows(4, "RL'd {} teacher, bridge, then GRPO replay of the first half", "RL'd {} teacher, after the bridge"),
        sign=-1,
        threshold=0.01,  # our choice; the paper prints differences of +0.3 and -0.7 and takes them for none
    ),
    Claim(
        "half",
        "half-replay",
        "fresh labels after the bridge are better than as many updates on the old ones",
        _rows(
            4,
            "RL'd {} teacher, bridge, then GRPO on the second half",
            "RL'd {} teacher, bridge, then GRPO replay of the first half",
        ),
    ),
    Claim(
        "half",
        DIRECT,
        "half of the labels on either side of the bridge are better than direct GRPO",
        tuple(
            (teacher, 6, f"RL'd {teacher} teacher, two-stage, then GRPO on the second half", "direct GRPO")
            for teacher in ("8B", "14B")
        ),
    ),
    Claim(
        UPSTREAM,
        "half",
        "all labels on the teacher are better than half of them there and half on the student",
        tuple(
            (
                teacher,
                6,
                f"RL'd {teacher} teacher, two-stage",
                f"RL'd {teacher} teacher, two-stage, then GRPO on the second half",
            )
            for teacher in ("8B", "14B")
        ),
    ),
    Claim(
        BEST_INTERIOR,
        BEST_UPSTREAM,
        "no split between teacher and student is better than all labels on the teacher",
        sign=-1,
        judged=True,
    ),
)
"""In the paper's order. Those without printed rows are its rule, which it does not measure."""


def stronger_teacher(stronger: str, weaker: str) -> Claim:
    """That labels belong on the stronger of two teachers, by the names of the entries that have all labels upstream."""
    printed = tuple(
        (f"{a}, not {b}", 3, f"RL'd {a} teacher, two-stage", f"RL'd {b} teacher, two-stage")
        for a, b in (("8B", "1.7B"), ("14B", "8B"))
    )
    return Claim(stronger, weaker, "labels belong on the stronger teacher", printed)


def upstream_of(teacher: str) -> str:
    """The name of the entry of all labels upstream with a teacher that is not the default one."""
    return f"{UPSTREAM}:{teacher}"


def judge(claims: Sequence[Claim], entries: Sequence[Entry], judge_seeds: Sequence[int]) -> tuple[Judged, ...]:
    """A verdict on every claim, in their order."""
    found = []
    for claim in claims:
        answers = compare(entries, [claim.comparison], judge_seeds)
        if answers.compared:
            found.append(Judged(claim, verdict(claim, answers.compared[0]), answers.compared[0]))
        else:
            found.append(Judged(claim, "undecided", None, answers.left_out[0][1]))
    return tuple(found)


def verdict(claim: Claim, compared: Compared) -> Verdict:
    """By the side of the threshold on which the whole interval lies; undecided where it lies on both."""
    if len(compared.seeds) < RANKED_SEEDS:
        return "undecided"
    low, high = sorted(
        claim.sign * (bound - claim.threshold) for bound in (compared.difference.low, compared.difference.high)
    )
    return "seen" if low > 0 else "contradicted" if high < 0 else "undecided"


def printed_points(claim: Claim) -> list[tuple[str, float]]:
    """The paper's own differences, by model, in points, on its first suite."""
    scores = _printed_scores()
    return [
        (model, round(100 * (_row(scores, table, a) - _row(scores, table, b)), 1))
        for model, table, a, b in claim.printed
    ]


def _row(scores: dict[tuple[int, str], float], table: int, name: str) -> float:
    """A row of a table; Table 3 has the rows that others are compared with."""
    return scores[table, name] if (table, name) in scores else scores[3, name]


@cache
def _printed_scores() -> dict[tuple[int, str], float]:
    entries = reported_entries(SOURCE)
    first = [entry for entry in entries if entry.suite == entries[0].suite]
    return {(int(entry.source.table.split()[1].rstrip(":")), entry.name): entry.score.mean for entry in first}
