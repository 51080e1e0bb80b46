"""The policy `tuition-2`: each correction by its cases, and completions that hold no right answer.

`rule_cases.jsonl` has the right verdicts, and the rules without which each would be another. `hunt.jsonl` has
completions that GRPO might find, by kind: none holds a right answer, and those that are accepted all the same say why.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tuition.benchmarks.grading import worker
from tuition.benchmarks.grading.answers import find_answer
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.rules import RULES, Rules

HERE = Path(__file__).parent


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


CASES, HUNT = rows("rule_cases.jsonl"), rows("hunt.jsonl")
VERDICTS = "1b31b6af279af969d6265e141581f93a697a42228a5c92cc253fd5144fafcaca"
KINDS = sorted({row["kind"] for row in HUNT})


def grade(row: dict[str, Any], *without: str) -> bool:
    return worker.grade_with_corrections(row["gold"], row["completion"], Rules(without))[0]


def named(row: dict[str, Any]) -> str:
    return f"{row['gold']} | {row['completion']}"


@pytest.mark.parametrize("row", CASES, ids=named)
def test_a_case_gets_its_right_verdict(row: dict[str, Any]) -> None:
    assert grade(row) is row["correct"]


@pytest.mark.parametrize("rule", RULES)
def test_without_its_rule_a_case_gets_another_verdict(rule: str) -> None:
    own = [row for row in CASES + HUNT if rule in row.get("rules", [])]
    assert own, f"no case needs {rule}"
    assert all(grade(row, rule) is not row["correct"] for row in own[:3])


def test_every_case_of_another_opinion_says_why() -> None:
    assert [row["completion"] for row in CASES if "reason" in row] == ["\\boxed{11}"]


def test_the_hunt_is_large() -> None:
    assert len(HUNT) >= 200 and len(KINDS) >= 15


@pytest.mark.parametrize("kind", KINDS)
def test_no_completion_of_the_hunt_is_accepted_but_for_a_reason(kind: str) -> None:
    of_kind = [row for row in HUNT if row["kind"] == kind]
    assert [named(row) for row in of_kind if grade(row) is not ("accepted" in row)] == []


@pytest.mark.slow
def test_the_verdicts_are_those_of_the_policy() -> None:
    verdicts = "".join(f"{row['gold']}\t{row['completion']}\t{grade(row)}\n" for row in CASES + HUNT)
    assert hashlib.sha256(verdicts.encode()).hexdigest() == VERDICTS, (
        "a policy never changes what it accepts: rules that give another verdict need a new policy with a version of "
        "its own (policies.py); only where cases were added, and none of the old ones changed, is the digest taken anew"
    )


@pytest.mark.slow
def test_verdicts_do_not_depend_on_what_was_graded_before() -> None:
    some = [row for row in CASES + HUNT if "0/0" in row["completion"] or "\\frac{0}{0}" in row["completion"]]
    some += CASES[::4] + HUNT[::16]
    with Grader(60, policy="tuition-2") as one, Grader(60, policy="tuition-2") as other:
        onward = one.grade_many(*zip(*((row["gold"], row["completion"]) for row in some), strict=True))
        backward = other.grade_many(*zip(*((row["gold"], row["completion"]) for row in some[::-1]), strict=True))
    assert [graded.correct for graded in onward] == [graded.correct for graded in backward[::-1]]
    # Nor on the shortcuts of the grader.
    assert [named(row) for row, graded in zip(some, onward, strict=True) if graded.correct is not grade(row)] == []


def test_the_grader_hides_from_its_shortcuts_what_they_cannot_read() -> None:
    with Grader(policy="tuition-2") as grader:
        grades = grader.grade_many(["17"] * 3, ["<think>\\boxed{17}", "% \\boxed{17}", "so \\boxed{17}"])
        operands = grader.grade_many(
            ["17"] * 6,
            [
                "-\\boxed{17}",
                "\\boxed{17}/2",
                "1\\boxed{17}",
                "\\boxed{17}.5",
                "minus \\boxed{17}",
                "\\boxed{17} times 2",
            ],
        )
        words = grader.grade_many(["Tuesday"] * 3, ["#### Tuesday", "答案: Tuesday", "<answer>Tuesday</answer>"])
    assert [graded.correct for graded in grades] == [False, False, True]
    assert not any(graded.correct for graded in operands)
    assert all(graded.correct for graded in words)


@pytest.mark.parametrize("text", ["12+5=17 \\boxed{17}", "The answer is \\boxed{17}.", "12+5=17\n\\boxed{17}\n"])
def test_one_plain_box_needs_no_worker(text: str) -> None:
    with Grader(policy="tuition-2") as grader:
        assert grader.submit("17", text).done() and grader._crew is None


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("\\boxed{16} hmm \\boxed{17}", "17"),
        ("\\boxed{16}, \\boxed{17}", "16, 17"),
        ("\\boxed{17} and again \\boxed{17}", "17"),
        ("\\boxed{\\frac{1}{2}}\\%", "\\frac{1}{2}\\%"),
        ("\\boxed{17} The final answer is $18$.", "$18$"),
        ("\\boxed{\\text{a } \\} b}", "\\text{a } \\} b"),
        ("\\boxed{17", None),
        ("1\\boxed{17}", None),
        ("\\boxed{17}/2", None),
        ("$x = \\boxed{17}$.", "17"),
        ("The wrong answer is 17.", None),
        ("\\boxed{17} or \\boxed{", None),
        ("$x=3$", "$x=3$"),
        ("Step 1: 3. #### 17\n", "17"),
        ("The answer is not 17.", None),
        ("Is the answer 17?", None),
        ("We add 3 and 14.", None),
    ],
)
def test_which_part_of_a_completion_is_its_answer(completion: str, answer: str | None) -> None:
    found = find_answer(completion, Rules())
    assert (None if found is None else found.text) == answer


def test_what_sympy_raises_is_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise RecursionError

    monkeypatch.setattr(worker, "is_gold", fail)
    assert worker.grade_with_corrections("1", "\\boxed{1}", Rules()) == (False, "1")
