r"""How golds and answers are read before they are parsed, by the policy `tuition-2`: their text, in one form.

Each function takes LaTeX or plain text and gives text that math-verify reads as what people mean. Nothing is computed
but mixed numbers.
"""

import ast
import math
import re
from collections.abc import Collection
from fractions import Fraction

from tuition.benchmarks.grading.answers import closing
from tuition.benchmarks.grading.rules import Rules
from tuition.benchmarks.grading.vocabulary import FUNCTIONS, HEDGES, SYMBOLS, is_unit, number_in_words, words

LONGEST = 2_000
"""Characters of a text that is brought to one form; longer ones are no answers that people write."""
_CHARACTERS = {
    "°": "^\\circ ", "º": "^\\circ ", "π": "\\pi ", "×": "\\times ", "·": "\\cdot ", "÷": "\\div ",
    "\u2212": "-", "\u2013": "-", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "≈": "\\approx ",
    "±": "\\pm ", "∫": "\\int ", "∑": "\\sum ", "∏": "\\prod ", "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}",
    "¾": "\\frac{3}{4}", "²": "^{2}", "³": "^{3}", "\u222a": "\\cup ", "∩": "\\cap ", "∈": "\\in ",
    "∅": "\\emptyset ", "\\varnothing": "\\emptyset ", "θ": "\\theta ", "…": "\\ldots ",
    "\uff0c": ",", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_ROOT_SIGN = re.compile(r"√\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\w+(?:\.\d+)?))")
_FONT = re.compile(
    r"\\(?:boldsymbol|bm|mathbf|mathit|mathsf|mathnormal|bf|large|Large|LARGE|huge|small|textstyle|scriptstyle|underline)"
    r"(?![a-zA-Z])\s*|\\(?:text)?color\s*(?:\[[^][]*\])?\s*\{[^{}]*\}"
)
_HORIZONTAL = re.compile(r"\\hspace\*?\s*\{[^{}]*\}|^[~\s]+|[~\s]+$")
_FRACTION = re.compile(r"(\\[dt]?frac)\s*(\d|\{[^{}]*\})\s*(\d|\{[^{}]*\})")
_OVER = re.compile(r"\{([^{}]*?)\s*\\over(?![a-zA-Z])\s*([^{}]*)\}")
_OVER_ALONE = re.compile(r"\A\{?([^{}]*?)\s*\\over(?![a-zA-Z])\s*([^{}]*)\}?\Z")
_EXPONENT = re.compile(r"(?<![\w.])(\d+\.\d+)[eE]([-+]?\d{1,3})(?![\w.])")
_ABSOLUTE = re.compile(r"\|([a-zA-Z])\|\s*(<|\\leq?(?![a-zA-Z])|\\leqslant)\s*(\d+(?:\.\d+)?|\\frac\{\d+\}\{\d+\})")
_NUMBER_AS_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{\s*(-?[\d.,/]+)\s*\}")
_MEASURED_AS_TEXT = re.compile(r"\\(?:text|textbf|mbox)\s*\{\s*(-?\$?\d[^{}]*)\}")
_BARE_OR = re.compile(r"(?<=[\s\d)])or(?=[\s\\])")
_UPRIGHT = re.compile(r"\\(?:mathrm|mathit|operatorname|textrm|text|rm)\s*\{\s*(e|i)\s*\}")
_NEGATIVE_ROOT = re.compile(r"\\sqrt\s*\{\s*-\s*(\d{1,9})\s*\}")
_ENVIRONMENT = re.compile(
    r"\\begin\{(equation\*?|align\*?|aligned|gather\*?|displaymath|math)\}(.*)\\end\{\1\}", re.DOTALL
)
_WRAPPED = (
    re.compile(r"\$\$((?:[^$]|\\\$)*)\$\$"), re.compile(r"\$((?:[^$]|\\\$)*)\$"),
    re.compile(r"\\\[((?:(?!\\\]).)*)\\\]", re.DOTALL), re.compile(r"\\\(((?:(?!\\\)).)*)\\\)", re.DOTALL),
    re.compile(r"\*\*([^*]+)\*\*"), re.compile(r"__([^_]+)__"), re.compile(r"`([^`]+)`"),
)  # fmt: skip
_BOXED = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?=\{)")
_STOP = re.compile(r"(?<=[^\s.\\])\s*\.$|(?<!\\)[;,]$")
_THIN_SPACES = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:\\[,!;: ]|\{,\}|,\\!|~)\d{3})+(?!\d)")
_SPACES = re.compile(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?(?: \d+/\d+)?")
_BRACKETED = re.compile(r"\((\d{1,3}(?:,\d{3})*,0\d\d(?:,\d{3})*)\)")
_MIXED = re.compile(r"(?<![\d.,/}^_])(-?)(\d+)(?:[ \t]+|\\[ ,;]|\\ )(\d+)\s*/\s*(\d+)(?![\d/.])")
_MIXED_FRACTION = re.compile(r"(?<![\d.,/}^_\\a-zA-Z])(-?)(\d+)\s*\\[dt]?frac\s*(?:\{(\d+)\}\s*\{(\d+)\}|(\d)\s*(\d))")
_REPEATING = re.compile(r"(?<![\d.])(\d{0,15})\.(\d{0,15})\\(?:overline|bar|dot)\s*(?:\{(\d{1,15})\}|(\d))(?!\d)")
_JSON_LIST = re.compile(r"\[\s*(?:'[^']*'|\"[^\"]*\")(?:\s*,\s*(?:'[^']*'|\"[^\"]*\"))*\s*\]")
_NUMBER = r"(?:\\?\$\s*)?-?(?:\d[\d,]*(?:\.\d+)?|\.\d+|\\[dt]?frac\{[^{}]*\}\{[^{}]*\}|\\[dt]?frac\d\d|\d+/\d+)"
_LABEL = r"\\(?:text|mathrm|mbox|textrm|textbf|operatorname)\s*\{[^{}]*\}(?:\^\{?-?\d+\}?|/)*"
_WORDS = r"(?<=[\s~])(?!percent|pct)[A-Za-z][a-z]{2,}(?:[\s-]+[A-Za-z][a-z]+)*"
_MEASURED = re.compile(rf"({_NUMBER})(?:\\[ ,;!]|[\s~])*(?:(?:{_LABEL}\s*)+|{_WORDS})\.?")
_CONNECTING = FUNCTIONS | {"and", "or", "percent", "percentage", "pct", "exp", "cis"}
_STATED = re.compile(
    r"\\(?:text|mathrm|mbox|textrm|textbf|operatorname)\s*\{([^{}]*)(?:\b(?:is|are)\s*:?\s*\}|:\s*\}|\}\s*=)"
)
_CONGRUENT = re.compile(r"[a-zA-Z]\s*\\equiv\s*(-?\d+)\s*(?:\\[ ,;!])*\s*\(?\\p?mod\s*\{?\s*\d+\s*\}?\)?")
_SYMBOL = re.compile(rf"({_NUMBER})(?:\\[ ,;!]|[\s~])*({SYMBOLS})\.?")
_SPACED_SYMBOL = re.compile(rf"({_NUMBER})(?:(?:\\[ ,;!]|[\s~])+|(?=[a-zA-Z]{{2}}))({SYMBOLS})\.?")
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALED = re.compile(
    rf"(?<=[\d}}])(?:\\[ ,;!]|[\s~])*(\\(?:text|mathrm|mbox)\s*\{{\s*)?({'|'.join(_SCALES)})\b\s*", re.IGNORECASE
)
_LETTER_UNIT = re.compile(r"[\d}]\s*[a-zA-Z](?![a-zA-Z])")
_BUILDER = re.compile(r"\\?\{\s*([a-zA-Z])\s*(?:\\mid|\\vert|\||:|\\colon)\s*([^{}]*)\\?\}")
_MEMBER = re.compile(r"[a-zA-Z]\s*\\in\s*(?=[(\[\\{])")
_FUNCTION = re.compile(r"\s*([a-zA-Z])\s*\(\s*([a-zA-Z])\s*\)\s*=")
_COLUMN = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[clr|]*\})?(.*)\\end\{\1\}", re.DOTALL)


def tidy(text: str, rules: Rules, golds_words: Collection[str] | None = None) -> str:
    """A gold or an answer without delimiters, its numbers and characters in one form.

    `golds_words` are the gold's, beside an answer; whatever stands behind a number in a gold is its unit.
    """
    if len(text) > LONGEST:
        return text
    text = bare(text.strip(), rules)
    text = bare(_changed("spelling", text, _with_commands(text), rules), rules)
    text = _changed("numbers", text, _in_digits(text), rules)
    text = _changed("units", text, _without_units(text, golds_words), rules)
    return _changed("sets", text, _MEMBER.sub("", _said_of_members(text), count=1), rules)


def _changed(rule: str, old: str, new: str, rules: Rules) -> str:
    return new if rules(rule, new != old) else old


def bare(text: str, rules: Rules) -> str:
    """A text without the delimiters around all of it."""
    while True:
        inner = _unwrapped(text)
        if inner == text or not inner or not rules("spelling"):
            return text
        text = inner


def _unwrapped(text: str) -> str:
    for pattern in (*_WRAPPED, _ENVIRONMENT):
        if whole := pattern.fullmatch(text):
            return whole[whole.lastindex or 1].strip()
    box = _BOXED.match(text)
    if box and closing(text, box.end()) == len(text) - 1:
        return text[box.end() + 1 : -1].strip()
    return _STOP.sub("", text).removeprefix("\\displaystyle").strip()


def from_json_list(gold: str, rules: Rules) -> str:
    """A list of texts, as data sets store several answers, as a list in a formula."""
    if not rules("spelling", _JSON_LIST.fullmatch(gold.strip()) is not None):
        return gold
    try:
        return ", ".join(ast.literal_eval(gold.strip()))
    except (ValueError, SyntaxError):
        return gold


def _with_commands(text: str) -> str:
    """A text without fonts and colours, and with commands for characters."""
    text = _NUMBER_AS_TEXT.sub(r"\1", _UPRIGHT.sub(r"\1", _FONT.sub("", text)))
    if number := _MEASURED_AS_TEXT.fullmatch(text):
        text = number[1].strip()
    if "{" not in text:
        text = _BARE_OR.sub(r"\\text{ or }", text)
    text = _ROOT_SIGN.sub(lambda root: f"\\sqrt{{{root[1] or root[2] or root[3]}}}", text)
    for character, command in _CHARACTERS.items():
        text = text.replace(character, command)
    text = _OVER.sub(r"{\\frac{\1}{\2}}", _OVER_ALONE.sub(r"\\frac{\1}{\2}", text))
    return _FRACTION.sub(_braced, _HORIZONTAL.sub("", text))


def _braced(fraction: re.Match[str]) -> str:
    return fraction[1] + "".join(part if part[0] == "{" else f"{{{part}}}" for part in fraction.groups()[1:])


def _in_digits(text: str) -> str:
    """A text with each number in one form."""
    text = number_in_words(re.sub(_LABEL, lambda label: label[0].partition("{")[2].rstrip("}"), text)) or text
    text = _EXPONENT.sub(r"\1\\times 10^{\2}", text)
    text = _REPEATING.sub(_as_fraction, _NEGATIVE_ROOT.sub(_imaginary, text))
    return _SCALED.sub(_times_its_power, _improper(_joined_thousands(text)))


def _as_fraction(number: re.Match[str]) -> str:
    whole, before, repeated = number[1] or "0", number[2], number[3] or number[4]
    value = int(whole + before) + Fraction(int(repeated), 10 ** len(repeated) - 1)
    value /= 10 ** len(before)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _imaginary(root: re.Match[str]) -> str:
    whole = math.isqrt(int(root[1]))
    amount = str(whole) if whole**2 == int(root[1]) else f"\\sqrt{{{root[1]}}}"
    return "i" if amount == "1" else f"{amount}i"


def _joined_thousands(text: str) -> str:
    text = _THIN_SPACES.sub(lambda number: re.sub(r"\D", "", number[0]), text)
    if bracketed := _BRACKETED.fullmatch(text):
        return bracketed[1].replace(",", "")
    if _SPACES.fullmatch(text):
        return re.sub(r" (?=\d{3}(?!\d|/))", "", text)
    return text


def _improper(text: str) -> str:
    def one_fraction(number: re.Match[str]) -> str:
        sign, whole, above, below = (group for group in number.groups() if group is not None)
        if int(above) >= int(below):
            return number[0]
        return f"{sign}\\frac{{{int(whole) * int(below) + int(above)}}}{{{int(below)}}}"

    return _MIXED_FRACTION.sub(one_fraction, _MIXED.sub(one_fraction, text))


def _times_its_power(scaled: re.Match[str]) -> str:
    return f"\\times 10^{{{_SCALES[scaled[2].lower()]}}}{scaled[1] or ' '}"


def _without_units(text: str, golds_words: Collection[str] | None) -> str:
    """`40 \\text{ red}, 60 \\text{ blue}` as `40, 60`."""

    def plain(part: str) -> str:
        if golds_words is None and (measured := _SPACED_SYMBOL.fullmatch(part.strip())):
            return measured[1]
        whole = _MEASURED.fullmatch(part.strip())
        unit = whole and (golds_words is None or is_unit(part.strip()[len(whole[1]) :], golds_words))
        return whole[1] if whole and unit else part

    return "".join(map(plain, re.split(r"(,(?!\d{3})|\\text\s*\{\s*and\s*\})", text)))


def has_other_words(answer: str, golds_words: Collection[str]) -> bool:
    """Whether an answer that is no word has words that neither join its parts, nor name a unit or a function."""
    known = {*golds_words, *_CONNECTING}
    labels = [label[0].partition("{")[2].partition("}")[0] for label in re.finditer(_LABEL, answer)]
    return not all(len(label) < 2 or is_unit(label, known) for label in labels)


def has_letter_unit(text: str) -> bool:
    """Whether a single letter stands behind a number: math-verify takes some of them for units."""
    return _LETTER_UNIT.search(re.sub(_LABEL, "", text)) is not None


def _said_of_members(text: str) -> str:
    text = built[2].rstrip("\\ ") if (built := _BUILDER.fullmatch(text)) else text
    if absolute := _ABSOLUTE.fullmatch(text.strip()):
        letter, relation, bound = absolute.groups()
        return f"-{bound}{relation} {letter}{relation} {bound}"
    return text


def as_value(answer: str, gold: str, rules: Rules) -> str:
    """The value that an answer states, where the gold says no more: 5 of `5 m`, `\\approx 5`, `\\text{Area}=5`."""
    label = _STATED.match(answer)
    # A letter is the name of a choice.
    if label and max(map(len, words(label[1])), default=0) > 1 and not (HEDGES.search(label[1]) or _STATED.match(gold)):
        answer = answer[label.end() :].strip() if rules("equation") else answer
    congruent = _CONGRUENT.fullmatch(answer)
    if congruent and rules("equation", "mod" not in gold):
        answer = congruent[1]
    if rules("equation", "\\approx" not in gold and answer.startswith("\\approx")):
        answer = answer.removeprefix("\\approx").strip()
    measured = _SYMBOL.fullmatch(answer)
    named = measured and set(words(measured[2])) & set(words(gold))
    return measured[1] if measured and rules("units", not named) else answer


def with_variable_of(gold: str, answer: str, rules: Rules) -> str:
    """The answer's function of the gold's variable: `f(x)=x` as `f(z)=z`."""
    of_gold, own = _FUNCTION.match(gold), _FUNCTION.match(answer)
    if not (of_gold and own and of_gold[1] == own[1] and of_gold[2] != own[2]):
        return answer
    # Only if its name is free in the answer.
    if re.search(rf"(?<![\\a-zA-Z]){of_gold[2]}(?![a-zA-Z])", answer) or not rules("equation"):
        return answer
    return re.sub(rf"(?<![\\a-zA-Z]){own[2]}(?![a-zA-Z])", of_gold[2], answer)


def as_tuple(text: str) -> str | None:
    """A matrix of one row or column as a tuple, and a list in brackets as one; None for anything else."""
    matrix = _COLUMN.fullmatch(text.strip())
    if not matrix:
        return None
    rows = [row.strip() for row in matrix[2].split("\\\\") if row.strip()]
    if len(rows) > 1 and any("&" in row for row in rows):
        return None
    entries = rows if len(rows) > 1 else matrix[2].replace("\\\\", "").split("&")
    return f"({', '.join(entry.strip() for entry in entries)})"
