"""The policy `math-verify` gives math-verify's own verdicts, and `tuition-2` makes no right one of them wrong.

math-verify's own verdict: main thread, its default `parse` and `verify` with their time-outs. The gold, and a
prediction that is an extracted answer, is put between dollars unless it brings a formula; a full response is as it is.
The test takes some of the shared cases but those marked arguable, `python -m tests.experiments.grading_rules` all.
"""

import pytest
from math_verify import parse, verify

from tests.experiments.grading_rules import DATA, Row, load
from tuition.benchmarks.grading.grader import Grader, as_formula

pytestmark = pytest.mark.slow  # together


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    if not DATA.exists():
        pytest.skip(f"the shared grader cases are not beside this checkout ({DATA})")
    return [row for number, row in enumerate(load(DATA)) if number < 1800 and number % 18 == 0 and not row.arguable]


def test_the_policy_math_verify_is_math_verify(rows: list[Row]) -> None:
    with Grader(timeout_seconds=60, workers=2, policy="math-verify") as grader:
        grades = grader.grade_many([row.gold for row in rows], [row.text for row in rows])
    alone = [bool(text := parse(row.text)) and bool(verify(parse(as_formula(row.gold)), text)) for row in rows]
    assert [row.id for row, grade, own in zip(rows, grades, alone, strict=True) if grade.correct != own] == []


def test_no_right_verdict_becomes_wrong(rows: list[Row]) -> None:
    golds, texts = [row.gold for row in rows], [row.text for row in rows]
    with Grader(60, 2, "math-verify") as library, Grader(60, 2, "tuition-2") as corrected:
        pairs = zip(library.grade_many(golds, texts), corrected.grade_many(golds, texts), strict=True)
    lost = [
        row.id
        for row, (was, now) in zip(rows, pairs, strict=True)
        if was.correct == row.expected and now.correct != row.expected
    ]
    assert lost == []
