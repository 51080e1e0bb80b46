r"""Whether an answer is the gold one, by the policy `tuition-2`: math-verify's verdict, with corrections.

What: both texts are brought to one form (`forms.py`). Words, times and numbers in a base are compared here; all else is
parsed and compared by math-verify, and then refused where it accepts what is no answer (`rules.py` has the list).
"""

import re
from typing import Any

from tuition.benchmarks.grading import forms
from tuition.benchmarks.grading.reading import parse
from tuition.benchmarks.grading.rules import Rules
from tuition.benchmarks.grading.unfinished import answers_by_equation, is_no_value, is_solved, sides
from tuition.benchmarks.grading.vocabulary import words

_LABELS = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_CHOICE = re.compile(r"\(?\s*([A-Za-z])\s*(?:\)|[.:](?=\s|\Z)|\)[.:])\s*(.*)", re.DOTALL)
_OTHER_CHOICE = (r"(?<![A-Za-z])\(\s*[{0}]\s*\)|(?<![A-Za-z(])[{0}][.:)]\s*\S", r"\s*[{0}]\s*\Z")
_BASED = re.compile(r"\(?([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\)?_\{?(?:\\text\s*\{\s*)?(\d+|two|eight)\s*\}?\}?")
_TIME = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*(?:\\[ ,;])?\s*(a\.?m\.?|p\.?m\.?)?", re.IGNORECASE)
_HALF_OF_DAY = re.compile(r"\d\s*(?:\\[a-z]+\s*\{\s*)?([ap])\.?m\b", re.IGNORECASE)
_PERCENT = re.compile(r"\s*(?:\\?%|\\text\s*\{\s*(?:%|percent)\s*\}|[Pp]ercent(?:age)?|pct)\s*\Z")
_DECIMAL = re.compile(r"-?[\d,]*\.?\d+")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|\\text\s*\{\s*degrees?\s*\}|(?<=\d)\s*degrees?")
_OPENS_SET = re.compile(r"(?:\\left\s*)?\\\{")
_OPENS_TUPLE = re.compile(r"(?:\\left\s*)?\(")
_OR = re.compile(r"\\text\s*\{\s*or\s*\}|\\(?:lor|vee)(?![a-zA-Z])|\bor\b")
SMALL = 1e-3


def is_gold(gold: str, answer: str, rules: Rules) -> bool:
    """Whether the text of an answer is the gold one."""
    gold = forms.from_json_list(gold, rules)
    of_gold = words(gold)
    if rules("digits", _other_half_of_day(gold, answer)):
        return False
    gold, answer = forms.tidy(gold, rules), forms.tidy(answer, rules, of_gold)
    answer = forms.with_variable_of(gold, forms.as_value(answer, gold, rules), rules)
    for decide in (_same_words, _same_base, _same_time):
        verdict = decide(gold, answer, rules)
        if verdict is not None:
            return verdict
    if gold == answer:
        return True
    if rules("units", forms.has_other_words(answer, of_gold)) or rules("sets", _set_for_tuple(gold, answer)):
        return False
    gold, answer = _as_tuples(gold, answer, rules)
    if (_PERCENT.search(gold) is None) != (_PERCENT.search(answer) is None) and rules("percent"):
        return _same_percent(gold, answer, rules)
    if _DEGREES.search(gold) or _DEGREES.search(answer):
        return _same_angle(gold, answer, rules)
    return _same(gold, answer, rules)


def _word(text: str) -> str:
    """A text without labels and white space."""
    return re.sub(r"[\s~]|\\[ ,;!]", "", _LABELS.sub(r"\1", text)).strip(".")


def _same_words(gold: str, answer: str, rules: Rules) -> bool | None:
    wanted, given = _word(gold), _word(answer)
    letter = re.fullmatch(r"\(?([A-Za-z])\)?", wanted)
    if letter:
        if given.isalpha() or re.fullmatch(r"\([A-Za-z]\)", given):
            # What has a meaning beyond its letter is math-verify's to know.
            return given.strip("()") == letter[1] if rules("words") else None
        choice = _CHOICE.fullmatch(_LABELS.sub(r"\1", answer).strip())
        if not choice or not rules("words"):
            return None
        return choice[1] == letter[1] and not _names_others(choice[2], "A-H" if letter[1].isupper() else "a-h")
    if wanted.isalpha() and given.isalpha() and rules("words"):
        return wanted.casefold() == given.casefold()
    return None


def _names_others(rest: str, letters: str) -> bool:
    """Whether another choice stands behind the first: `(A)(B)`, `A. 1 B. 2`, `A: B`."""
    marked, alone = (pattern.format(letters) for pattern in _OTHER_CHOICE)
    return re.search(marked, rest) is not None or re.match(alone, rest) is not None


def _same_base(gold: str, answer: str, rules: Rules) -> bool | None:
    wanted, given = _BASED.fullmatch(gold.replace(" ", "")), _BASED.fullmatch(answer.replace(" ", ""))
    if not (wanted or given) or not rules("digits"):
        return None
    if wanted and given:
        return wanted.groups() == given.groups()
    based, plain = (wanted, answer) if wanted else (given, gold)
    assert based is not None
    return based[1] == plain.replace(" ", "")


def _same_time(gold: str, answer: str, rules: Rules) -> bool | None:
    wanted, given = (_TIME.fullmatch(_LABELS.sub(r"\1", text).strip()) for text in (gold, answer))
    if wanted is None or not rules("digits"):
        return None
    if given is None:
        return False
    half = [(match[4] or "").lower().replace(".", "") for match in (wanted, given)]
    clock = [(int(match[1]), int(match[2]), int(match[3] or 0)) for match in (wanted, given)]
    return clock[0] == clock[1] and (half[0] == half[1] or "" in half)


def _other_half_of_day(gold: str, answer: str) -> bool:
    halves = [match[1].lower() for text in (gold, answer) if (match := _HALF_OF_DAY.search(text))]
    return len(set(halves)) > 1


def _set_for_tuple(gold: str, answer: str) -> bool:
    # Several tuples in a row may be a set's.
    several = ["),(" in re.sub(r"\\left|\\right|\s", "", text) for text in (gold, answer)]
    if all(several):
        return False
    openings = [(_OPENS_SET.match(text) is not None, _OPENS_TUPLE.match(text) is not None) for text in (gold, answer)]
    if not all("," in text for text in (gold, answer)):
        return False
    return openings[0] != openings[1] and all(any(opening) for opening in openings)


def _as_tuples(gold: str, answer: str, rules: Rules) -> tuple[str, str]:
    """A row or column beside what is none, as a tuple."""
    tuples = forms.as_tuple(gold), forms.as_tuple(answer)
    other = answer if tuples[1] is None else gold
    if (tuples[0] is None) == (tuples[1] is None) or "\\begin" in other or not rules("sets"):
        return gold, answer
    plain = [text if made is None else made for text, made in zip((gold, answer), tuples, strict=True)]
    return tuple(re.sub(r"\[(.*)\]", r"(\1)", text) for text in plain)  # type: ignore[return-value]


def _same_percent(gold: str, answer: str, rules: Rules) -> bool:
    """One of the two has a percent sign."""
    from sympy import Integer, Rational

    wanted, given = _PERCENT.sub("", gold), _PERCENT.sub("", answer)
    numbers = [parse(text) for text in (wanted, given)]
    if _PERCENT.search(gold):
        numbers.reverse()
    are_numbers = all(number and getattr(number[0], "is_number", False) for number in numbers)
    # Beside a proper fraction a percent sign has its meaning: 0.5% is not 1/2.
    proper = are_numbers and "%" not in gold and abs(numbers[0][0].evalf()) < 1 and numbers[0][0] != 0
    if not proper and _DECIMAL.fullmatch(wanted if _PERCENT.search(gold) else given) and _same(wanted, given, rules):
        return True
    if not are_numbers:
        return False
    whole, part = numbers[0][0], numbers[1][0]
    if isinstance(whole, Integer) and abs(whole) > 1:
        return False
    from math_verify import verify

    return bool(verify([whole], [part * Rational(1, 100)], timeout_seconds=None)) and not _unlike(whole, part / 100)


def _same_angle(gold: str, answer: str, rules: Rules) -> bool:
    """At least one of the two is in degrees."""
    in_degrees = [_DEGREES.search(text) is not None for text in (gold, answer)]
    wanted, given = (_DEGREES.sub("", text) for text in (gold, answer))
    if in_degrees[0] != in_degrees[1]:
        radians = answer if in_degrees[0] else gold
        if "\\pi" in radians and rules("percent"):
            turned = f"\\frac{{({given if in_degrees[1] else wanted})\\pi}}{{180}}"
            pair = (gold, turned) if in_degrees[1] else (turned, answer)
            return _verified(*pair)
    return _same(wanted, given, rules)


def _verified(gold: str, answer: str, inequalities: bool = False) -> bool:
    from math_verify import verify

    return bool(verify(parse(gold), parse(answer), allow_set_relation_comp=inequalities, timeout_seconds=None))


def is_gold_in(gold: str, sentence: str, rules: Rules) -> tuple[bool, str | None]:
    """Whether math-verify finds the gold answer in a sentence, and the text that it reads as the answer."""
    from math_verify import parse as parse_text

    found = parse_text(sentence, parsing_timeout=None)
    if not found:
        return False, None
    read = str(found[-1])
    if is_gold(gold, read, rules):
        return True, read
    gold = forms.tidy(forms.from_json_list(gold, rules), rules)
    if isinstance(found[0], str):
        return False, read
    # A number that stands there is read, whatever stands beside it.
    number = found[0].is_Number and str(found[0]) in sentence
    return _accepted(gold, str(found[0]) if number else read, parse(gold), found, rules), read


def _same(gold: str, answer: str, rules: Rules) -> bool:
    given = parse(answer)
    *names, last = sides(answer)
    if names and not (given and not isinstance(given[0], str)) and not re.search(r"\d", names[0]):
        # What is on the left may be a name that cannot be read, such as \det A.
        given = parse(last)
    return _accepted(gold, answer, parse(gold), given, rules)


def _accepted(gold: str, answer: str, wanted: list[Any], given: list[Any], rules: Rules) -> bool:
    """math-verify's verdict, unless the answer is no value or says no more than an equation."""
    if not wanted or not given:
        return False
    texts = isinstance(wanted[0], str) or isinstance(given[0], str)
    same_text = gold.replace(" ", "") == answer.replace(" ", "")
    # First, because it spares working out what was left undone.
    if not (texts or same_text) and is_no_value(wanted[0], given[0], gold, answer) and rules("value"):
        return False
    if not _compared(gold, answer, wanted, given, rules):
        return False
    if texts or same_text:
        return True
    if not answers_by_equation(wanted[0], given[0], answer) and rules("equation"):
        return False
    return not (_unlike(wanted[0], given[0]) or _rounded(wanted[0], given[0])) or not rules("precision")


def _compared(gold: str, answer: str, wanted: list[Any], given: list[Any], rules: Rules) -> bool:
    from math_verify import verify
    from sympy import Set

    if verify(wanted, given, timeout_seconds=None):
        return True
    pair = _union(gold, wanted[0]), _union(answer, given[0])
    as_sets = isinstance(pair[0], Set) and is_solved(pair[1])
    if not as_sets and pair[0] is wanted[0] and pair[1] is given[0]:
        return False
    return rules("sets") and bool(verify(*pair, allow_set_relation_comp=True, timeout_seconds=None))


def _union(text: str, read: Any) -> Any:
    """Several solved inequalities that `or` joins as the set of what they allow; anything else as it is."""
    from sympy import FiniteSet, Union

    inequalities = isinstance(read, FiniteSet) and _OR.search(text) and all(is_solved(one) for one in read.args)
    if inequalities and len(read.free_symbols) == 1:
        return Union(*(one.as_set() for one in read.args))
    return read


def _unlike(wanted: Any, given: Any) -> bool:
    """Whether two small numbers differ by more than a thousandth of the larger."""
    try:
        if not (wanted.is_number and given.is_number):
            return False
        # Evaluated first: sympy may take minutes to find the sign of nested roots.
        first, second = wanted.evalf(30), given.evalf(30)
        largest = max(abs(first), abs(second))
        return bool(largest < SMALL) and bool(abs(first - second) > SMALL * largest)
    except (AttributeError, TypeError, ValueError):
        return False


def _rounded(wanted: Any, given: Any) -> bool:
    """Whether an answer is in decimals where the gold has a root, pi or e."""
    from sympy import Float

    return hasattr(given, "has") and given.has(Float) and not _is_irrational(given) and _is_irrational(wanted)


def _is_irrational(expression: Any) -> bool:
    """Whether an expression without decimals of its own has a root of a number, pi or e."""
    from sympy import NumberSymbol, Pow, Rational, preorder_traversal

    return any(
        isinstance(part, NumberSymbol)
        or (isinstance(part, Pow) and isinstance(part.exp, Rational) and not part.exp.is_Integer and part.is_number)
        for part in preorder_traversal(expression)
    )
