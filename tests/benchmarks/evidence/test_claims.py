"""Verdicts on the paper's claims: by the side of the threshold on which the interval lies, and never by few seeds."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from tuition.benchmarks.evidence.claims import CLAIMS, Claim, judge, printed_points, stronger_teacher
from tuition.benchmarks.evidence.comparisons import Entry

SEEDS = (1, 2, 3, 4)


def entries(a_wrong: int, b_wrong: int, seeds: tuple[int, ...] = SEEDS) -> list[Entry]:
    """Of 100 problems so many are not solved; a seed solves one more than the seed before it."""

    def outcomes(wrong: int, seed: int) -> np.ndarray:
        return (np.arange(100) >= wrong - seed).astype(np.int8)[:, None]

    return [
        Entry(name, name, {seed: outcomes(wrong, seed) for seed in seeds}, 8, dict.fromkeys(seeds, 1.0))
        for name, wrong in (("a", a_wrong), ("b", b_wrong))
    ]


@pytest.mark.parametrize(
    ("a_wrong", "sign", "threshold", "verdict"),
    [
        (20, 1, 0.0, "seen"),
        (20, -1, 0.0, "contradicted"),
        (80, 1, 0.0, "contradicted"),
        (80, -1, 0.0, "seen"),
        (50, 1, 0.0, "undecided"),
        (20, -1, 0.9, "seen"),
        (20, 1, 0.9, "contradicted"),
    ],
)
def test_a_verdict_is_the_side_of_the_threshold_on_which_the_interval_lies(
    a_wrong: int, sign: Literal[1, -1], threshold: float, verdict: str
) -> None:
    claim = Claim("a", "b", "a is better", sign=sign, threshold=threshold)
    (judged,) = judge([claim], entries(a_wrong, 50), SEEDS)
    assert judged.verdict == verdict and judged.compared is not None and judged.compared.seeds == SEEDS


def test_too_few_seeds_decide_nothing_and_what_is_absent_is_said() -> None:
    claim = Claim("a", "b", "a is better")
    (two,) = judge([claim], entries(20, 80, (1, 2)), (1,))
    assert two.verdict == "undecided" and two.compared is not None and two.compared.difference.low > 0
    (on_judges,) = judge([replace(claim, judged=True)], entries(20, 80), (1, 3))
    assert on_judges.verdict == "undecided" and on_judges.compared is not None and on_judges.compared.seeds == (1, 3)
    (absent,) = judge([replace(claim, b="c")], entries(20, 80), SEEDS)
    assert (absent.verdict, absent.compared, absent.reason) == ("undecided", None, "c is not recorded")


def test_what_the_paper_prints_is_read_from_its_reported_rows_and_agrees_with_its_claims() -> None:
    # arXiv 2605.12483: raw teacher -7.8, no warmup -1.7, no opd -3.3 against the best route (8B, MATH).
    by_pair = {(claim.a, claim.b): dict(printed_points(claim)) for claim in CLAIMS}
    assert by_pair["teacher-upstream", "raw-bridge"]["8B"] == 7.8
    assert by_pair["teacher-upstream", "opd-only"]["8B"] == 1.7
    assert by_pair["teacher-upstream", "sample-sft"]["8B"] == 3.3
    assert by_pair["teacher-upstream", "half"] == {"8B": 0.8, "14B": -0.1}
    for claim in CLAIMS:  # the 8B teacher is the one that it speaks of
        assert all(
            claim.sign * (points / 100 - claim.threshold) > 0 for points in list(by_pair[claim.a, claim.b].values())[:1]
        )
    assert by_pair["teacher-upstream", "opposite"] == {}, "the paper did not run it"
    assert printed_points(stronger_teacher("x", "y")) == [("8B, not 1.7B", 2.8), ("14B, not 8B", -0.7)]
