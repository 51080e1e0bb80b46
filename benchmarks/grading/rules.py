"""The corrections that the policy `tuition-2` makes to math-verify's verdicts: their names, and which took part.

What: every correction asks a `Rules` whether it may act, and is written down where it did, so that a grade says which
took part, and an experiment can leave one out and count the verdicts that change (`python -m
tests.experiments.grading_rules`). The cases of each are in `tests/benchmarks/grading/rule_cases.jsonl`.
"""

from collections.abc import Collection

RULES = {
    # which part of a completion is its answer (answers.py)
    "thinking": "what stands before </think> is no answer, nor is anything in thinking that does not end",
    "hidden": "what stands in a block of code, verbatim text, a comment or a phantom is no answer",
    "last-box": "the last box decides, whatever stands around it; boxes joined by commas, and, or are one list",
    "cut-box": "a last box that is empty, or does not end, is no answer",
    "unstated": "without a box, only what is stated as the answer is one",
    # how golds and answers are read (forms.py)
    "delimiters": r"\[...\], \(...\), environments, bold type and a full stop around a gold or an answer are dropped",
    "characters": "°, √, π, ×, ≤ and other characters are read as their LaTeX commands",
    "upright": r"\mathrm{e} and \mathrm{i} are e and i",
    "imaginary": r"\sqrt{-1} is i",
    "thousands": r"1 000, 1\,000 and (1,000) are 1000",
    "mixed-number": "4 4/9 is 40/9",
    "json-list": "a gold such as ['1', '2'] is the list 1, 2",
    "scale": "hundred, thousand, million, billion and trillion behind a number multiply it",
    "units": "words behind a number are its unit and are dropped; a single letter is a variable",
    "set-builder": r"\{x | 2 < x < 3\} and x \in (2,3) are what they say of x",
    "function-variable": "f(x) = x is f(z) = z",
    "vector": "a row or a column is the tuple of its entries",
    # what is decided here (compare.py)
    "words": "words are compared letter by letter, single letters with their case; C. 5 is the choice C",
    "base": "a number in a base is its digits: 4210_5 is neither 4210_7 nor another way to write its value",
    "time": "a time of day, such as 10:30, is no fraction",
    "percent": "x% is x where the gold has no percent sign, and x/100 where that is no whole number above 1",
    "degrees": "30° is pi/6",
    "inequality": "an interval may be given as an inequality that is solved",
    # what is refused of what math-verify accepts (compare.py)
    "set-for-tuple": "braces are a set, parentheses a point or an interval",
    "unevaluated": "an integral, sum, limit, binomial, gcd or other arithmetic that is left to be done is no answer, "
    "unless the gold has that form",
    "equation": "an equation gives an answer where its left side is a name, or has the value of its right side",
    "small-numbers": "numbers below 0.001 are compared by their ratio, not by six decimals",
}


class Rules:
    """Which corrections took part in one verdict. `without` leaves some out, for experiments."""

    def __init__(self, without: Collection[str] = ()) -> None:
        self.without = without
        self.used: list[str] = []

    def __call__(self, rule: str, applies: bool = True) -> bool:
        """Whether a rule may act; `applies` says that it would."""
        if not applies or rule in self.without:
            return False
        if rule not in self.used:
            self.used.append(rule)
        return True
