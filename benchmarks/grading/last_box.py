r"""The policy `last-box`: the last box, compared with the gold answer as normalised text.

What: the grader that the paper states (arXiv 2605.12483): the last \boxed{}, and Hendrycks' string normalisation. The
rules are those of Hendrycks et al., "Measuring Mathematical Problem Solving With the MATH Dataset" (2021), in
github.com/hendrycks/math, `modeling/math_equivalence.py`, written anew. Nothing is computed: `0.5` and `\frac{1}{2}`
are equal by a rule of their own, `0.25` and `\frac{1}{4}` are not. Where those rules would stop with an error, the two
texts are compared as they are.
"""

import re

_BOX = re.compile(r"\\f?box(?:ed)?\s*(?=\{)")
# Deleted wherever they stand, or replaced, in this order.
_REPLACED = (
    ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", ""),
    ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""),
)  # fmt: skip
_UNITS = "\\text{ "
_ASSIGNMENT = re.compile(r"[^=]{0,2}=([^=]*)")
_ROOT = re.compile(r"\\sqrt([^{])", re.DOTALL)
_SLASH = re.compile(r"(0|-?[1-9][0-9]*)/(0|-?[1-9][0-9]*)")


def grade(gold: str, completion: str) -> tuple[bool, str | None]:
    """Whether the completion's last box is the gold answer, and what is in it (None without a box, or a cut one).

    A gold that has a box itself stands for what is in it.
    """
    answer = boxed(completion)
    if answer is None:
        return False, None
    wanted = gold if (inner := boxed(gold)) is None else inner
    texts = normalised(answer), normalised(wanted)
    return (answer == wanted if None in texts else texts[0] == texts[1]), answer


def boxed(text: str) -> str | None:
    """What is in the last box of a text; None where there is none, or it does not end."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    begin = boxes[-1].end()
    depth = 0
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin + 1 : place]
    return None


def normalised(text: str) -> str | None:
    """A text by the published rules; None where they stop with an error."""
    for old, new in _REPLACED:
        text = text.replace(old, new)
    if text.count(_UNITS) > 1:
        return None
    text = text.partition(_UNITS)[0].replace("\\%", "").replace("%", "")
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    if text.startswith("."):
        text = f"0{text}"
    if assigned := _ASSIGNMENT.fullmatch(text):
        text = assigned[1]
    if "" in text.split("\\sqrt")[1:]:
        return None
    text = _ROOT.sub(r"\\sqrt{\1}", text).replace(" ", "")
    if "" in text.split("\\frac")[1:]:
        return None
    text = _braced_fractions(text)
    if text == "0.5":
        return "\\frac{1}{2}"
    slash = _SLASH.fullmatch(text)
    return f"\\frac{{{slash[1]}}}{{{slash[2]}}}" if slash else text


def _braced_fractions(text: str) -> str:
    r"""`\frac12` and `\frac1{72}` with braces around what has none."""
    first, *rest = text.split("\\frac")
    parts = [first]
    for part in rest:
        if not part.startswith("{"):
            if len(part) < 2:
                return text
            part = f"{{{part[0]}}}{part[1:]}" if part[1] == "{" else f"{{{part[0]}}}{{{part[1]}}}{part[2:]}"
        parts.append(part)
    return "\\frac".join(parts)
