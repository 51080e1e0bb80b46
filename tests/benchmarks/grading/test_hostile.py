"""Hostile answers and golds: each ends within its limit in a verdict, and the next answer is graded.

Run: `python -m tests.benchmarks.grading.test_hostile` grades each alone with a limit of 2 s and prints the table of
`docs/grading.md`.
"""

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tuition.benchmarks.grading.grader import MAX_CHARACTERS, Grader, Verdict

pytestmark = pytest.mark.slow
ANSWER = "so \\boxed{\\frac{10}{2}}"
HOSTILE = {
    "tower of powers": "\\boxed{9^{9^{9^{9}}}}",
    "tower of powers, plain": "9**9**9**9 = 9^9^9^9",
    "power of a huge number": "$" + "9" * 4000 + "^{99999}$",
    "factorial of a factorial": "$((20!)!)!$",
    "huge factorial": "$99999999!$",
    "huge sum": "$\\sum_{i=1}^{10^{12}} i^i$",
    "huge product": "$\\prod_{i=1}^{10^9} i$",
    "huge binomial": "$\\binom{10^{12}}{10^{11}}$",
    "nested integrals": "$" + "\\int " * 30 + "e^{x^2}" + " dx" * 30 + "$",
    "nested roots": "$" + "\\sqrt{" * 60 + "2" + "}" * 60 + "$",
    "nested fractions": "$" + "\\frac{1}{1+" * 60 + "2" + "}" * 60 + "$",
    "300 nested brackets": "$" + "(" * 300 + "1" + ")" * 300 + "$",
    "300 nested braces in a box": "\\boxed{" + "{" * 300 + "1" + "}" * 300 + "}",
    "3,000 nested brackets": "$" + "(" * 3000 + "1" + ")" * 3000 + "$",
    "20,000 digits": "$" + "7" * 20_000 + "$",
    "20,000 digits in a box": "\\boxed{" + "7" * 20_000 + "}",
    "20,000 digits without a formula": "the number " + "7" * 20_000,
    "sum of 5,000 terms": "$" + "+".join(f"x^{{{n}}}" for n in range(5000)) + "$",
    "polynomial to the 5,000": "$(x+y+z)^{5000}$",
    "unbalanced box": "\\boxed{\\frac{1}{2",
    "unbalanced left": "$\\left( \\frac{1}{2 \\right) }} \\end{pmatrix}$",
    "10,000 open boxes": "\\boxed{" * 10_000,
    "10,000 dollars": "$" * 10_000,
    "10,000 dollars apart": "$ " * 10_000,
    "10,000 open brackets of both kinds": "\\(\\[" * 5_000,
    "final answer, 5,000 times": "final answer is " * 5_000,
    "spaces": "answer:" + " " * 90_000 + "x",
    "digits and commas": "1,234" * 18_000,
    "megabytes of text": "lorem ipsum 12 " * 200_000 + "\\boxed{",
    "megabytes of one letter": "$" + "a" * 3_000_000 + "$",
    "null bytes": "\x00" * 1000 + "\\boxed{5\x00}",
    "right-to-left marks": "\u202e\\boxed{\u200f5\u202c}\u202e",
    "lone surrogates": "\ud800\\boxed{\udfff5}\ud800",
    "other digits": "\\boxed{٣²๓}",
    "combining marks": "\\boxed{5" + "\u0301" * 5000 + "}",
    "line ends of all kinds": "\\boxed{5\r\n\x0b\x0c\x85\u2028\u2029}",
    "looks like a request": '["5", "\\\\boxed{5}", 5]\n["5", "\\\\boxed{5}", 5]\n',
    "python": "$__import__('os').system('true')$ exec(1)",
    "huge matrix": "$\\begin{pmatrix}" + "\\\\".join("&".join("1" * 60) for _ in range(60)) + "\\end{pmatrix}$",
    "huge list": "$" + ",".join(map(str, range(5000))) + "$",
}
HOSTILE_GOLDS = {
    "tower of powers": "9^{9^{9^{9}}}",
    "nothing to parse": "\\frac{",
    "only text": "\\text{the empty set, or so}",
    "unbalanced": "}}}{{{$$",
    "null bytes": "5\x00",
    "lone surrogate": "\ud8005",
    "20,000 digits": "7" * 20_000,
    "a line end": "1\n2",
    "300 nested brackets": "(" * 300 + "1" + ")" * 300,
    "megabytes": "a" * 3_000_000,
}
FOR_THE_TEST = [
    "tower of powers", "300 nested brackets", "20,000 digits", "unbalanced box", "unbalanced left",
    "megabytes of text", "null bytes", "right-to-left marks", "lone surrogates", "looks like a request", "python",
    "10,000 dollars", "other digits", "line ends of all kinds",
]  # fmt: skip
GRACE_SECONDS = 5.0


def test_the_last_part_alone_of_a_long_answer_is_looked_at() -> None:
    assert len(HOSTILE["megabytes of text"]) > MAX_CHARACTERS


def test_each_hostile_answer_ends_in_a_verdict_and_kills_nothing() -> None:
    texts = [HOSTILE[name] for name in FOR_THE_TEST]
    with Grader(timeout_seconds=1.0, workers=2) as grader:
        grades = grader.grade_many(["5"] * len(texts), texts)
        assert Counter(grade.verdict for grade in grades).total() == len(texts)
        # Arithmetic that is left to be done is refused before it is done.
        assert grades[FOR_THE_TEST.index("tower of powers")].verdict is Verdict.wrong
        # Far above what it takes on a busy machine, far below what these would take.
        assert max(grade.seconds for grade in grades) < 1.0 + GRACE_SECONDS
        assert [g.verdict for g in grader.grade_many(["5", "6"], ["A: 5", "so \\boxed{\\frac{12}{2}}"])] == [
            "correct"
        ] * 2


def test_each_hostile_gold_ends_in_a_verdict_and_kills_nothing() -> None:
    names = [name for name in HOSTILE_GOLDS if name not in ("300 nested brackets", "megabytes")]
    golds = [HOSTILE_GOLDS[name] for name in names]
    with Grader(timeout_seconds=1.0, workers=2) as grader:
        grades = grader.grade_many(golds, [ANSWER] * len(golds))
        by_name = dict(zip(names, (grade.verdict for grade in grades), strict=True))
        assert by_name["tower of powers"] is Verdict.timeout
        assert by_name["nothing to parse"] is by_name["only text"] is Verdict.wrong
        assert max(grade.seconds for grade in grades) < 1.0 + GRACE_SECONDS


def test_hostile_answers_from_many_threads_at_once() -> None:
    with Grader(timeout_seconds=0.5, workers=2) as grader, ThreadPoolExecutor(4) as pool:
        answers = [HOSTILE["300 nested brackets"], "A: 5", HOSTILE["null bytes"], "The answer is 5."]
        verdicts = [grade.verdict for grade in pool.map(lambda text: grader.grade("5", text), answers)]
    assert verdicts[0] is Verdict.timeout
    assert verdicts[1] is verdicts[3] is Verdict.correct


def test_scraps_are_no_answer() -> None:
    scraps = ["\x00", "\u202e", "\ud800", "\\", "$", "[", "\\boxed", "\\boxed{}", "{" * 1000]
    with Grader(timeout_seconds=20) as grader:
        verdicts = {scrap: grader.grade("5", scrap).verdict for scrap in scraps}
    assert set(verdicts.values()) == {Verdict.no_answer}


def main() -> None:
    parser = argparse.ArgumentParser(description="Verdicts and seconds of hostile answers and golds.")
    parser.add_argument("--limit", type=float, default=2.0, help="seconds an answer")
    parser.add_argument("--rows", type=int, help="only the first so many")
    options = parser.parse_args()
    limit = options.limit
    rows = [("answer", name, "5", text) for name, text in HOSTILE.items()]
    rows += [("gold", name, gold, ANSWER) for name, gold in HOSTILE_GOLDS.items()]
    rows = rows[: options.rows]
    cells = {(kind, name): [kind, name] for kind, name, _, _ in rows}
    for policy in ("tuition-2", "math-verify"):
        counts: Counter[str] = Counter()
        with Grader(timeout_seconds=limit, policy=policy) as grader:
            grader.grade("1", "\\boxed{\\frac{1}{1}}")
            worst = 0.0
            for kind, name, gold, text in rows:
                grade = grader.grade(gold, text)
                counts[grade.verdict] += 1
                worst = max(worst, grade.seconds)
                cells[kind, name] += [grade.verdict, f"{grade.seconds:.2f}"]
        print(f"{policy}: {dict(counts)}, the longest {worst:.2f} s at a limit of {limit:g} s")
    for row in cells.values():
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
