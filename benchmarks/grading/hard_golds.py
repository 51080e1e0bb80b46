"""Gold answers that completions can hardly match, and what each would accept.

What: a gold is looked at as the policy `tuition-2` reads it. Named are golds that are words, that carry a unit, that
are lists or mixed numbers, and those that math-verify cannot parse: they accept the same text alone. A gold that is not
even taken for itself is worst: no completion can be right.

Simplified: by the gold's form alone; whether the problem asks for that form is not seen.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tuition.benchmarks.grading import forms
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.rules import Rules

SHOWN = 3
UNREADABLE = "unreadable"
_PLAIN = re.compile(r"-?\d{1,15}(?:\.\d+)?")
_LETTERS = re.compile(r"[^\W\d_]{2,}(?:\s+[^\W\d_]+)*")
_WORDS = re.compile(r"(?:\\text\s*\{)?[a-zA-Z ]+\}?")
_NO_VALUE = re.compile(r"[=<>,|:]|\\(?:in|cup|cap|le|ge|leq|geq|ne|neq|begin|pm|infty|emptyset|\{)(?![a-zA-Z])|_")
_COMMAND = re.compile(r"\\[a-zA-Z]+|[{}]")


@dataclass(frozen=True)
class HardGold:
    """A gold answer, by its place; `kind` is the reason, `accepts` what a completion may say."""

    place: int
    gold: str
    kind: str
    accepts: str


def hard_golds(golds: Sequence[str]) -> list[HardGold]:
    """The golds that can hardly be matched, in order."""
    looked_at = [place for place, gold in enumerate(golds) if not _PLAIN.fullmatch(gold.strip())]
    kinds: dict[int, str | None] = {}
    read: list[str] = []
    for place in looked_at:
        rules = Rules()
        read.append(forms.tidy(forms.from_json_list(golds[place], rules), rules))
        kinds[place] = _kind(golds[place], read[-1], rules)
    with Grader() as grader:
        own = grader.grade_many([golds[place] for place in looked_at], [f"\\boxed{{{text}}}" for text in read])
        # In brackets it is another text of the same value: only what is parsed is equal to it.
        expressions = [n for n, text in enumerate(read) if kinds[looked_at[n]] is None and not _NO_VALUE.search(text)]
        parsed = grader.grade_many(
            [read[n] for n in expressions], [f"\\boxed{{\\left({read[n]}\\right)}}" for n in expressions]
        )
    kinds |= {looked_at[n]: "text" for n, grade in zip(expressions, parsed, strict=True) if not grade.correct}
    kinds |= {place: UNREADABLE for place, grade in zip(looked_at, own, strict=True) if not grade.correct}
    return [
        HardGold(place, golds[place], kind, _accepts(kind, text))
        for place, text in zip(looked_at, read, strict=True)
        if (kind := kinds[place])
    ]


def _accepts(kind: str, read: str) -> str:
    return {
        UNREADABLE: "nothing, not even itself",
        "text": f"only {read!r}{', in capitals or not' if _WORDS.fullmatch(read) else ''}",
        "unit": f"{read!r}, with any unit or none",
        "list": f"{read!r}: all of these, in any order unless in parentheses",
        "mixed number": f"{read!r} and the same value",
    }[kind]


def _kind(gold: str, read: str, rules: Rules) -> str | None:
    """Why a gold is hard to match, from how it is read and by which rules; None for no reason."""
    if re.search(r"\d\s+\d+\s*/", gold) and "numbers" in rules.used:
        return "mixed number"
    if gold.strip().startswith("['") or gold.strip().startswith('["'):
        return "list"
    if "units" in rules.used:
        return "unit"
    if _LETTERS.fullmatch(_COMMAND.sub("", read).strip()) and "\\" not in re.sub(r"\\(?:text|mathrm|textbf)", "", read):
        return "text"
    return "list" if re.search(r",(?!\d{3})", read) and not re.match(r"\\?[(\[]", read) else None


def in_sentences(found: Sequence[HardGold], names: Sequence[str]) -> list[str]:
    """A sentence for each kind: how many there are, and what the first few accept. `names` are the golds' ids."""
    sentences = []
    for kind in dict.fromkeys(hard.kind for hard in found):
        those = [hard for hard in found if hard.kind == kind]
        first = "; ".join(f"{names[one.place]}: {one.gold!r:.60} accepts {one.accepts:.120}" for one in those[:SHOWN])
        more = "; …" if len(those) > SHOWN else ""
        are = "1 answer is" if len(those) == 1 else f"{len(those)} answers are"
        sentences.append(f"{are} hard to match ({kind}): {first}{more}")
    return sentences
