"""The process that runs math-verify: one JSON request per line in, one JSON answer per line out.

What: started by `tuition.benchmarks.grading.grader` as a script (which imports only `as_formula` from here). A request
is `[policy, gold, completion, limit]`, an answer `[correct, extracted]`, where `extracted` is null when the policy
finds no answer. The first line out is "ready".

Work is not done twice: golds, LaTeX that was parsed before (math-verify's own cache, made larger: what it parses is
decided by the string alone) and comparisons of the very same parsed objects are kept.

The kernel ends this process when it takes more memory than MEMORY_BYTES, or two seconds after `limit` (in seconds;
the parent kills it earlier), so that it cannot outlive the parent. An idle worker leaves on the end of its
input, and when its parent has changed (a forked copy of the parent may hold the input open).
"""

import gc
import json
import logging
import os
import re
import resource
import select
import signal
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tuition.benchmarks.grading import last_box
from tuition.benchmarks.grading.answers import find_answer
from tuition.benchmarks.grading.compare import is_gold, is_gold_in
from tuition.benchmarks.grading.forms import bare
from tuition.benchmarks.grading.policies import CORRECTED, LAST_BOX
from tuition.benchmarks.grading.rules import Rules

MEMORY_BYTES = 4 << 30
PARENT_CHECK_SECONDS = 5.0
GRACE_SECONDS = 2.0
CACHED_PARSES = 4096
CACHED_COMPARISONS = 4096

_comparisons: dict[tuple[str, tuple[int, ...], str], tuple[bool, list[Any]]] = {}


def as_formula(answer: str) -> str:
    """A bare answer in a LaTeX environment, unless it brings one: how a gold and an extracted answer are read."""
    if "\\boxed" in answer or re.search(r"(?<!\\)\$", answer):
        return answer
    # A formula between single dollars ends with its line.
    return f"\\boxed{{{answer}}}" if "\n" in answer else f"${answer}$"


@lru_cache(maxsize=CACHED_PARSES)
def parse_gold(gold: str) -> list[Any]:
    """math-verify's reading of a gold answer."""
    from math_verify import parse

    parsed: list[Any] = parse(as_formula(gold), parsing_timeout=None)
    return parsed


def grade(policy: str, gold: str, completion: str) -> tuple[bool, str | None]:
    """Whether a policy takes the completion's answer for the gold one, and the text that it read as the answer."""
    if policy == LAST_BOX:
        return last_box.grade(gold, completion)
    if policy == CORRECTED:
        return grade_with_corrections(gold, completion, Rules())
    return grade_by_math_verify(gold, completion)


def grade_with_corrections(gold: str, completion: str, rules: Rules) -> tuple[bool, str | None]:
    """math-verify's verdict on what is the completion's answer, with corrections; `rules` tells which took part."""
    found = find_answer(completion, rules)
    if found is None:
        return False, None
    settle_sympy()
    try:
        if found.formula:
            return is_gold(gold, found.text, rules), bare(found.text, Rules())
        return is_gold_in(gold, found.text, rules)
    except Exception:  # what sympy raises on strangers' texts cannot be listed; math-verify calls it wrong as well
        return False, found.text


def settle_sympy() -> None:
    """Start sympy's random numbers anew, so that a verdict does not depend on what was graded before.

    It shuffles what it derives of an expression, and of one without a value (0/0) it derives one thing or another.
    """
    from sympy.core.random import seed

    seed(0)


def grade_by_math_verify(gold: str, completion: str) -> tuple[bool, str | None]:
    """math-verify's verdict, and the text that it read as the answer."""
    from math_verify import parse

    predictions = parse(completion, parsing_timeout=None)
    if not predictions:
        return False, None
    # The last entry is the text behind the expression, where math-verify kept one.
    return compare(gold, predictions), str(predictions[-1])


def compare(gold: str, predictions: list[Any]) -> bool:
    """math-verify's verdict on what it parsed; the very same objects against the same gold are compared once."""
    from math_verify import verify

    expressions = tuple(id(entry) for entry in predictions if not isinstance(entry, str))
    key = gold, expressions, "\n".join(entry for entry in predictions if isinstance(entry, str))
    if key in _comparisons:
        return _comparisons[key][0]
    if len(_comparisons) >= CACHED_COMPARISONS:
        _comparisons.clear()
    correct = bool(verify(parse_gold(gold), predictions, timeout_seconds=None))
    # The objects are kept with the verdict: no other can get their ids while the entry lives.
    _comparisons[key] = correct, predictions
    return correct


def parse_fast_first() -> None:
    """Let ANTLR predict without the parser's context first (SLL), and with it (LL) only where that is a syntax error.

    By its documentation SLL gives LL's tree or a syntax error. That both give one tree for every formula of the shared
    data is shown by `python -m tests.experiments.sll_parses`.
    """
    from antlr4.atn.PredictionMode import PredictionMode
    from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy

    create_parser = _Latex2Sympy.create_parser

    def create_two_stage_parser(reader: Any, text: str) -> Any:
        parser = create_parser(reader, text)
        parse = parser.math

        def parse_in_two_stages() -> Any:
            parser._interp.predictionMode = PredictionMode.SLL
            try:
                return parse()
            except Exception:  # of the library's listener, which raises this class for syntax errors
                # All anew: the lexer does not come back to a character that it could not read.
                return create_parser(reader, text).math()

        parser.math = parse_in_two_stages
        return parser

    _Latex2Sympy.create_parser = create_two_stage_parser


def enlarge_caches() -> None:
    """Make math-verify's cache of parsed LaTeX and expressions, 20 entries as it comes, larger."""
    from math_verify import parser

    for name in ("parse_latex_cached", "parse_expr_cached"):
        parse_once = getattr(parser, name).__wrapped__
        setattr(parser, name, lru_cache(maxsize=CACHED_PARSES)(parse_once))


def main() -> None:
    """Answer requests until the input ends or the parent is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # An interrupt at the keyboard reaches the whole process group; the parent decides when we leave.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    # A first answer loads math-verify, so that no problem's limit pays for it; an import error still shows. What is
    # loaded stays, so the garbage collector need not look through it, now or later.
    gc.disable()
    enlarge_caches()
    parse_fast_first()
    grade_by_math_verify("1", "$\\frac{1}{2}$")
    gc.freeze()
    gc.enable()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    print("ready", file=answers, flush=True)
    for line in request_lines(parent):
        policy, gold, completion, limit = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, limit + GRACE_SECONDS)
        try:
            correct, extracted = grade(policy, gold, completion)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps([correct, extracted]), file=answers, flush=True)


def request_lines(parent: int) -> Iterator[bytes]:
    """Lines of standard input until it ends or the parent process is gone."""
    # Read by hand: `select` does not see what a buffered reader holds.
    received: list[bytes] = []
    while os.getppid() == parent:
        if not select.select([0], [], [], PARENT_CHECK_SECONDS)[0]:
            continue
        part = os.read(0, 1 << 16)
        if not part:
            return
        *lines, rest = part.split(b"\n")
        for line in lines:
            yield b"".join([*received, line])
            received = []
        received.append(rest)


if __name__ == "__main__":
    main()
