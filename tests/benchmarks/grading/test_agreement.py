"""Agreement with the verdicts of other graders, and with math-verify's own, on hand-made cases and real outputs.

Run: `python -m tests.benchmarks.grading.test_agreement` grades all cases of `../shared/data` (but those marked
arguable) and prints the tables of `docs/grading.md`. The test takes some of them.

math-verify's own verdict: main thread, its default `parse` and `verify` with their time-outs. The gold, and a
prediction that is an extracted answer, is put between dollars unless it brings a formula; a full response is as it is.
"""

import gzip
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from math_verify import parse, verify

from tuition.benchmarks.grading.grader import Grade, Grader, as_formula

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
FILES = ("grader_cases_handmade.jsonl", "grader_cases_model_outputs.jsonl.gz")


@dataclass(frozen=True)
class Judged:
    """One case, our grade of it, and whether math-verify alone takes it as correct."""

    case: dict[str, Any]
    ours: Grade
    math_verify: bool


def load(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the shared grader cases are not beside this checkout ({name})")
    with gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else path.open(encoding="utf-8") as lines:
        return [case for case in map(json.loads, lines) if not case["arguable"]]


def text_of(case: dict[str, Any]) -> str:
    return case["prediction"] if case.get("kind") == "cot_response" else as_formula(case["prediction"])


def judge(cases: list[dict[str, Any]], grader: Grader) -> list[Judged]:
    ours = grader.grade_many([case["gold"] for case in cases], [text_of(case) for case in cases])
    judged = []
    for case, grade in zip(cases, ours, strict=True):
        prediction = parse(text_of(case))
        alone = bool(prediction) and bool(verify(parse(as_formula(case["gold"])), prediction))
        judged.append(Judged(case, grade, alone))
    return judged


@pytest.mark.parametrize(("name", "step"), [(FILES[0], 5), (FILES[1], 20)])
def test_agrees_with_math_verify_and_no_less_with_other_graders(name: str, step: int) -> None:
    with Grader(timeout_seconds=60, workers=2) as grader:
        judged = judge(load(name)[::step], grader)
    assert len(judged) >= 50
    assert [j.case["id"] for j in judged if j.ours.correct != j.math_verify] == []
    # Only a few cases are such that math-verify itself gets them wrong; `docs/grading.md` lists them all.
    assert len([j.case["id"] for j in judged if j.ours.correct != j.case["correct"]]) <= len(judged) // 6


def main() -> None:
    logging.disable(logging.CRITICAL)
    with Grader(workers=2) as grader:
        for name in FILES:
            judged = judge(load(name), grader)
            wrong = [j for j in judged if j.ours.correct != j.case["correct"]]
            theirs = sum(j.math_verify != j.case["correct"] for j in judged)
            apart = [j.case["id"] for j in judged if j.ours.correct != j.math_verify]
            print(f"{name}: {len(judged)} cases, we disagree on {len(wrong)}, math-verify alone on {theirs}")
            print(f"  other than math-verify's own verdict: {apart or 'none'}")
            for j in wrong:
                print(
                    f"| {j.case['id']} | `{_cell(j.case['gold'])}` | `{_cell(j.case['prediction'])}` | "
                    f"{_word(j.case['correct'])} | {j.ours.verdict} | {_word(j.math_verify)} | "
                    f"{j.case.get('category', '')} |"
                )


def _cell(text: str) -> str:
    text = text.replace("\n", " ").replace("|", "\\|")
    return text if len(text) <= 70 else f"{text[:30]} ... {text[-35:]}"


def _word(correct: bool) -> str:
    return "correct" if correct else "wrong"


if __name__ == "__main__":
    main()
