"""The corrections that the policy `tuition-2` makes to math-verify's verdicts: their names, and which took part.

What: every correction asks a `Rules` whether it may act, and is written down where it did, so that a grade says which
took part, and an experiment can leave one out and count the verdicts that change (`python -m
tests.experiments.grading_rules`). The cases of each are in `tests/benchmarks/grading/rule_cases.jsonl` and
`hunt.jsonl`.
"""

from collections.abc import Collection

RULES = {
    # which part of a completion is its answer (answers.py)
    "shown": "what stands in thinking, code, verbatim text, a comment or a phantom is no answer",
    "last-box": "the last box decides, whatever is said around it, and none that is empty, does not end or is an "
    "operand; boxes joined by commas, and, or are one list",
    "stated": "without a box, only what is stated as the answer is one",
    # how golds and answers are read (forms.py)
    "spelling": "delimiters, fonts and colours are dropped; °, √, π, × and other characters are their LaTeX commands",
    "numbers": r"1 000, 4 4/9, 5 million, 0.\overline{3}, five and \sqrt{-4} are numbers",
    "units": "words behind a number are its unit, and are dropped, if they are in a list of units, one plural noun, or "
    "the gold's own, as is 5 m for 5; an answer with other words is none",
    "sets": "a set may be given as solved inequalities or by what it says of x, a vector as a tuple; braces are a set, "
    "parentheses are none",
    # what is decided here (compare.py)
    "words": "words are compared letter by letter, single letters with their case; C. 5 is the choice C, (C)(D) none",
    "digits": "a number in a base and a time of day are their digits: 4210_5 is not 4210_7, 10:30 is not 1/3",
    "percent": "x% is x/100 beside a proper fraction, and x beside any other number; 30° is pi/6",
    # what is refused of what math-verify accepts (compare.py, unfinished.py)
    "value": "an answer is a value: what leaves an operation to be done, a fraction to be cancelled, or a variable "
    "that the gold has not, is none, unless the gold has that form",
    "equation": "an equation gives an answer if all its sides but names have the same value, a name being letters "
    "alone; f(x) = x is f(z) = z",
    "precision": "numbers below 0.001 are compared by their ratio; a decimal is no irrational number",
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
