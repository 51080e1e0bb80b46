r"""Which answers of several samples are one answer, by the policy that graded them: for votes.

What: answers that are correct are all one. Any others are compared with each other as a gold answer and an answer are,
and stand under the text of the first of their kind, so that `1/2`, `0.5` and `\frac{1}{2}` share their votes.

Simplified: a policy's verdict need not be transitive; an answer goes to the first kind that it is equal to.
"""

from collections.abc import Sequence
from itertools import combinations

from tuition.benchmarks.grading.grader import Grader


def merge_equal(
    answers_PK: Sequence[Sequence[str | None]], correct_PK: Sequence[Sequence[bool]], grader: Grader
) -> list[list[str | None]]:
    """Answers by problem and sample, each replaced by the first that it is equal to; None stays None."""
    merged = []
    of_problems = [_wrong(*problem) for problem in zip(answers_PK, correct_PK, strict=True)]
    asked = list(dict.fromkeys(pair for wrong in of_problems for pair in combinations(wrong, 2)))
    grades = grader.grade_many([one for one, _ in asked], [_boxed(other) for _, other in asked])
    pairs = {pair: grade.correct for pair, grade in zip(asked, grades, strict=True)}
    for answers, verdicts, wrong in zip(answers_PK, correct_PK, of_problems, strict=True):
        first: dict[str, str] = {}
        for answer in wrong:
            kinds = dict.fromkeys(first.values())
            first[answer] = next((kind for kind in kinds if pairs[kind, answer]), answer)
        right = next((answer for answer, correct in zip(answers, verdicts, strict=True) if correct), None)
        merged.append(
            [
                None if answer is None else right if correct else first.get(answer, answer)
                for answer, correct in zip(answers, verdicts, strict=True)
            ]
        )
    return merged


def _wrong(answers: Sequence[str | None], verdicts: Sequence[bool]) -> list[str]:
    """The different texts of wrong answers, in order. A text that is also right somewhere (a time-out) is not."""
    right = {answer for answer, correct in zip(answers, verdicts, strict=True) if correct}
    return list(dict.fromkeys(a for a in answers if a is not None and a.strip() and a not in right))


def _boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"
