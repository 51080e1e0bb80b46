r"""Which part of a completion is its answer, by the policy `tuition-2`.

What: the last box (`\boxed`, `\fbox`, `\framebox`) decides. Boxes that only commas, `and`, `or`, dollars or spaces set
apart are one list. Without a box, a text that is one formula, a number or arithmetic worked out (`2 + 8 = 10.`) is the
answer, and else what is last stated as one: after `####`, `A:`, "answer", "solution", or in a last sentence that begins
with "so", "thus", "therefore" or "hence".

Simplified: whether the statement is the model's own, or doubted later on, is not understood.
"""

import re
from dataclasses import dataclass

from tuition.benchmarks.grading.rules import Rules
from tuition.benchmarks.grading.vocabulary import HEDGES

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])\s*")
_BARE_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?!\w|[.,]?\d|\s*[/^{\\(])")
_JOINED = re.compile(
    r"(?:\s|[$,;.]|\\[,;:! )(\[\]]|\\text\s*\{[^{}]*\}|\\q?quad|and\b|or\b|[a-zA-Z](?:_\{?\w\}?)?\s*=)*"
)
_PERCENT = re.compile(r"\s*(?:\$\s*)?\\?%")
_OPEN_THOUGHT = re.compile(r"<think>.*", re.DOTALL)
_CODE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
_VERBATIM = re.compile(r"\\verb\*?([^a-zA-Z\s]).*?\1|\\begin\{verbatim\}.*?(?:\\end\{verbatim\}|\Z)", re.DOTALL)
_PHANTOM = re.compile(r"\\[hv]?phantom\s*\{[^{}]*\}")
_COMMENT = re.compile(r"(?<!\\)%[ \t]*\\(?:boxed|fbox|framebox)[^\n]*")
_FORMULA = r"(?:\$\$?(?:\\.|[^$\\])+\$\$?|\\\[(?:(?!\\\]).)+\\\]|\\\((?:(?!\\\)).)+\\\))"
_ALONE = re.compile(rf"\s*(?:{_FORMULA}|\$[^$]*\\\$|[$€£]?-?[\d.,/ ]*\d)\s*\\?%?\s*\.?\s*", re.DOTALL)
_WORKED_OUT = re.compile(r"[\d(][\d .,()+*/\u00d7\u00b7\u00f7^-]*(?:=[\d .,()+*/\u00d7\u00b7\u00f7^-]+)+")
_SEVERAL = re.compile(rf"\s*{_FORMULA}(?:\s*(?:,|and|or|,\s*and|,\s*or)\s*{_FORMULA})+\s*\.?\s*", re.DOTALL)
_PROSE = re.compile(
    r"(?<![\\a-zA-Z{])[a-zA-Z']{2,}\s+[a-zA-Z']{2,}\s|[\u0600-\u06ff\u3040-\u9fff]{2}|\b(?:answer|réponse)\b",
    re.IGNORECASE,
)
_MARKS = r"\bcorrect (?:option|choice)\b|####|^\s*A:|\bans(?:wers?)?\b|\bsolutions?\b|答案"
_MARK = re.compile(_MARKS, re.IGNORECASE | re.MULTILINE)
MAY_STATE_WORDS = re.compile(rf"{_MARKS}|\*\*|<answer>", re.IGNORECASE | re.MULTILINE)
"""Without one of these a text states no words as its answer."""
_FINAL = re.compile(r"\bfinal answer\b[^.\n$]{0,40}\bis\b\s*:?\s*[\d$\\-]", re.IGNORECASE)
_SAID = re.compile(
    r"(?:####|A:|correct (?:option|choice)|ans(?:wers?)?|solutions?|答案)\s*"
    r"(?:(?:is|are|be|of|是|为|:|=|\uff1a)\s*)*(\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_CONCLUSION = re.compile(r"(?:^|(?<=[.!?\n]))\s*(?:so|thus|therefore|hence)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[^\d\s])[.!?](?=\s|\Z)|[.!?](?=\s+[A-Z]|\s*\Z)|\n")
_DOUBT = r"could|might|may|maybe|perhaps|wish|guess|suppose"
_DOUBTED = re.compile(rf"\b(?:{_DOUBT})\b[^.!?\n]*\Z", re.IGNORECASE)
_DENIED = re.compile(
    rf"\b(?:not|cannot|never|unknown|were|unless|either|between|or|{_DOUBT})\b|n['\u2019]t\b", re.IGNORECASE
)
_DISOWNED = re.compile(
    r"\b(?:not|cannot|never|can't|don't|couldn't)\s+(?:\w+\s+)?(?:(?:the|an|any|its|your|my)\s+)?\Z", re.IGNORECASE
)
_WRONG = re.compile(r"\b(?:wrong|incorrect|false|opposite|bad)\s+(?:\w+\s+)?\Z", re.IGNORECASE)
_COPULA = re.compile(
    r"\b(?:is|are|be|was|equals?|ha[sd]|have|gets?|got|makes?|needs?|takes?|costs?)\b|[:=]", re.IGNORECASE
)
_BOUND = re.compile(
    r"\b(?:at least|at most|(?:more|less|fewer|greater|larger|smaller) than)\s+-?[$€£]?\d[\d.,]*[^\d]*\Z", re.IGNORECASE
)
_FORMULAS = re.compile(_FORMULA, re.DOTALL)

# Bold type, but not a power (2**3).
_BOLD = re.compile(r"(?<![\w)])\*\*|\*\*(?![\w(])|(?<!\w)__|__(?!\w)")
_BOLD_LINE = re.compile(r"(?:\A|\n)[ \t]*\*\*([^*\n]{1,40})\*\*[ \t]*\.?\s*\Z")
_CHOICE_AS_TEXT = re.compile(r"(?<!\$)\\(?:text|textbf|mathbf|mathrm)\s*\{\s*(\([A-Z]\))\s*\}(?!\$)")
_TAGGED = re.compile(r"<answer>\s*([^<>]{1,40}?)\s*</answer>\s*\Z")
_WORDS = re.compile(r"(\(?[a-zA-Z][a-zA-Z '-]*\)?)\.?\s*")
_LISTED = re.compile(r"(-?[\d.,/]*\d(?:\s*(?:,\s*(?:and|or)\b|,|\band\b|\bor\b)\s*-?[\d.,/]*\d)+)\.?\s*")
_COUNTED = re.compile(r"(-?[$€£]?-?\d[\d.,/]*(?: [a-zA-Z]+){1,4})\.?\s*")
# "Answer:" above its line. What follows may also be displayed.
_ABOVE = re.compile(r"(\b(?:answers?|solutions?)\b(?:[ \t]+(?:is|are))?[ \t]*:?)[ \t]*\n\s*(?=\S)", re.IGNORECASE)

_OPEN = re.compile(r"(?:(?:\\left)?\s*[({])*\Z")
_CLOSED = re.compile(r"(?:\s*(?:\\right\s*)?[)}])*")
# On the box's own line: what stands below it may be a list.
_OPERATOR_BEFORE = re.compile(
    r"(?:\b(?:minus|plus|times|negative)[ \t]+|\\text\s*\{\s*[-+*/]\s*\}[ \t]*|\d|[/^]"
    r"|(?<![a-zA-Z\\])[a-zA-Z]|(?<!-)[-+]|[\w)}][ \t]*\*"
    r"|[\d)}$=(][ \t]*[-+][ \t]+|[^\n]\+[ \t]*|(?<![a-zA-Z])[a-zA-Z][ \t]+-[ \t]+"
    r"|[\u00d7\u00f7\u00b7\u2212\u221a][ \t]*"
    r"|\\(?:cdot|times|div|pm|mp|ast|pi|sqrt|log|ln|sin|cos|tan|neq?|not\s*=)[ \t]*"
    r"|(?:\\[dt]?frac\s*(?:\{[^{}]*\}\s*\{[^{}]*\}|\d\d)|\\sqrt\s*\{[^{}]*\})[ \t]*)\Z"
)
_OPERATOR_AFTER = re.compile(
    r"(?:[ \t]*\\text\s*\{)?[ \t]*(?:squared|cubed|factorial|dozen|hundred|[a-z]+illion|thousand"
    r"|plus|minus|times[ \t]+\$?\d)\b"
    r"|\d|[.,]\d|\{,\}\d|\(\d|:\d|[a-fijknp-ru-z](?![a-zA-Z])"
    r"|[ \t]*(?:\^\s*(?!\{?\s*\\(?:circ|prime|text|mathrm|degree))|/\s*[\d\\(]|\*\s*\d|[\u00d7\u00f7\u00b7]"
    r"|\\(?:cdot|times|div|pm|over|sqrt|pi|[dt]?frac|binom)(?![a-zA-Z])|!\s*(?:\$|\\[)\]])"
    r"|[-+\u2212]\s*(?:\d|\\(?:[dt]?frac|sqrt|pi|boxed)|\(\d|[a-zA-Z]\s*(?:[-+=$^)}]|\\[)\]]|\Z)))"
)
_TAKES_OPERAND = re.compile(
    r"(?:\^|_|(?<!\\)\\(?:[dt]?frac|sqrt|log|ln|sin|cos|tan|binom)\s*(?:\[[^][]*\])?|\\[dt]?frac\s*\{[^{}]*\})\s*\Z"
)
LONGEST_OUTSIDE = 200
LONGEST_STATED = 5_000
LONGEST_PLAIN = 40
"""Characters of an answer that stands in a sentence without delimiters."""


@dataclass(frozen=True)
class Found:
    """A completion's answer: its text, and whether it is a formula by itself (else a formula is in it somewhere)."""

    text: str
    formula: bool


def find_answer(completion: str, rules: Rules) -> Found | None:
    """The answer of a completion; None where it has none."""
    text = _without_thoughts(completion, rules)
    shown = text
    for pattern in (_CODE, _VERBATIM, _COMMENT, _PHANTOM):
        shown = pattern.sub("", shown)
    if rules("shown", shown != text):
        text = shown
    boxes = list(_BOX.finditer(text))
    if boxes:
        later = _FINAL.search(text, boxes[-1].end())
        return _boxed(text, boxes, rules) if later is None else _sentence(text[later.start() :])
    last = _TAGGED.search(text) or _BOLD_LINE.search(text)
    if last and not _MARK.search(last[1]):
        return Found(_as_words(last[1].strip()), formula=True)
    text = _ABOVE.sub(r"\1 ", _BOLD.sub("", _CHOICE_AS_TEXT.sub(r"\1", text)))
    if _ALONE.fullmatch(text):
        # An extracted answer may be a sentence between dollars.
        if not _PROSE.search(re.sub(r"\\text\s*\{[^{}]*\}", "", text)):
            return Found(text.strip(), formula=True)
        return _stated(text.strip().strip("$")) or Found(text, formula=False)
    if _WORKED_OUT.fullmatch(text.strip()):
        return Found(text.strip().rstrip("."), formula=True)
    stated = Found(text, formula=False) if _SEVERAL.fullmatch(text) else _stated(text)
    if stated is None and not rules("stated"):
        return Found(text, formula=False)
    return stated


def _without_thoughts(text: str, rules: Rules) -> str:
    rest = _OPEN_THOUGHT.sub("", text.rpartition("</think>")[2])
    return rest if rules("shown", rest != text) else text


def _boxed(text: str, boxes: list[re.Match[str]], rules: Rules) -> Found | None:
    """What is in the last box, or in the last ones where they are joined to one list."""
    if not rules("last-box"):
        return Found(text, formula=False)
    contents: list[str] = []
    after = len(text)
    for box in reversed(boxes):
        end = closing(text, box.end())
        content = text[box.end() + 1 : end].strip() if end else ""
        if not content and (bare := _BARE_NUMBER.match(text, box.end())):
            content, end = bare[0], bare.end() - 1
        if end and is_operand(text, box.start(), end + 1):
            return None
        joined = not contents or (end is not None and end < after and _JOINED.fullmatch(text, end + 1, after))
        if not (content and joined):
            break
        percent = _PERCENT.match(text, end + 1 if end else after)
        contents.append(f"{content}\\%" if percent and not content.endswith("%") else content)
        after = box.start()
    # An answer that is given twice is one.
    return Found(", ".join(dict.fromkeys(reversed(contents))), formula=True) if contents else None


def is_operand(text: str, begin: int, end: int) -> bool:
    """Whether the box from `begin` to `end` is a part of an expression: what it holds is no answer then."""
    before = text[max(0, begin - LONGEST_OUTSIDE) : begin]
    closed = _CLOSED.match(text, end)
    behind = _OPERATOR_AFTER.match(text, closed.end() if closed else end)
    if behind or _OPERATOR_BEFORE.search(_OPEN.sub("", before)):
        return True
    depth = 0
    for match in reversed(list(re.finditer(r"\\[{}\\]|[{}]", before))):
        depth += {"{": -1, "}": 1}.get(match[0], 0)
        if depth < 0:
            return _TAKES_OPERAND.search(before, 0, match.start()) is not None
    return False


def closing(text: str, begin: int) -> int | None:
    """The place of the brace that closes the one at `begin`; None without either."""
    if text[begin : begin + 1] != "{":
        return None
    depth = 0
    for match in re.finditer(r"\\[{}\\]|[{}]", text[begin:]):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return begin + match.start()
    return None


def _stated(text: str) -> Found | None:
    """What is last stated as the answer, near the end."""
    text = text[-LONGEST_STATED:]
    marks = list(_MARK.finditer(text))
    for mark in reversed(marks):
        if re.search(r"\w", text[mark.end() :]):
            before = text[: mark.start()]
            disowned = _DISOWNED.search(before) or _WRONG.search(before) or _DOUBTED.search(before)
            return None if disowned else _sentence(text[mark.start() :])
    conclusions = list(_CONCLUSION.finditer(text))
    if conclusions:
        return _sentence(text[conclusions[-1].start() :].lstrip(), whole=True)
    if len(_FORMULAS.findall(text)) == 1 and not re.search(r"\d", _FORMULAS.sub("", text)):
        return Found(text, formula=False)
    return None


def _sentence(rest: str, whole: bool = False) -> Found | None:
    """The sentence that begins here, if it states something; `whole`: only if it ends, and is the last."""
    outside = _FORMULAS.sub(lambda formula: "x" * len(formula[0]), rest)
    end = _SENTENCE_END.search(outside)
    sentence = rest[: end.end()] if end else rest
    if whole and (end is None or re.search(r"[\d\\$]", rest[end.end() :])):
        return None
    said = _SAID.match(sentence)
    if said and (listed := _LISTED.fullmatch(said[1])):
        return Found(re.sub(r",?\s*\b(?:and|or)\b", ",", listed[1]), formula=True)
    if sentence.rstrip().endswith("?") or _DENIED.search(_FORMULAS.sub("", sentence)):
        return None
    if _is_of_another(_FORMULAS.sub("0", sentence)):
        return None
    formulas = list(_FORMULAS.finditer(sentence))
    if len(formulas) == 1:
        percent = _PERCENT.match(sentence, formulas[0].end())
        return Found(f"{formulas[0][0]}{percent[0] if percent else ''}", formula=True)
    if said and not formulas and len(said[1]) <= LONGEST_PLAIN:
        if counted := _COUNTED.fullmatch(said[1]):
            return Found(counted[1], formula=True)
        if _WORDS.fullmatch(said[1]) or not re.search(r"[a-zA-Z]{2}", said[1]):
            return Found(_as_words(said[1].strip()), formula=True)
    return Found(sentence, formula=False)


def _is_of_another(sentence: str) -> bool:
    """Whether a sentence compares a number, or says it of another: `5 < 6`, `half of 5`."""
    if re.search(r"\s[<>\u2264\u2265\u2260]\s", sentence):
        return True
    *_, said = _COPULA.split(sentence)
    if re.search(r"\b\d+[a-fijknp-ru-z]\b", said):
        return True
    return HEDGES.search(said) is not None or _BOUND.search(sentence) is not None


def _as_words(text: str) -> str:
    """An answer of words in the form that LaTeX gives them; any other as it is."""
    words = _WORDS.fullmatch(text)
    return f"\\text{{{words[1]}}}" if words else text
