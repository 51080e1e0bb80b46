"""Whether ANTLR's SLL mode gives the tree of its LL mode for every formula of the data sets, and how much faster it is.

Run: `python -m tests.experiments.sll_parses [--data FOLDER] [--rows N]`. Every distinct piece of LaTeX that math-verify
parses in golds and answers is parsed by LL, and in two stages as our workers do (SLL, and LL anew where that is a
syntax error). Both take turns on each piece, after one untimed pass of both, so that no side finds the other's tables
warm.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.experiments.grading_rules import DATA, load
from tuition.benchmarks.grading import worker


def pieces(data: Path, rows: int | None) -> list[str]:
    """The distinct pieces of LaTeX that math-verify hands to its parser."""
    from math_verify import parse, parser

    found: dict[str, None] = {}

    def note(text: str) -> Any:
        found[text] = None
        raise ValueError("not parsed here")

    parse_once, parser.parse_latex_cached = parser.parse_latex_cached, note
    try:
        for number, row in enumerate(load(data)):
            if rows is not None and number >= rows:
                break
            for text in (worker.as_formula(row.gold), row.text):
                parse(text, parsing_timeout=None)
    finally:
        parser.parse_latex_cached = parse_once
    return list(found)


def tree(create_parser: Any, reader: Any, text: str) -> str:
    """The parse tree as text, or the error."""
    try:
        made = create_parser(reader, text)
        return str(made.math().toStringTree(recog=made))
    except Exception as error:  # the library's listener raises this class
        return f"error: {error}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how many trees differ, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, default=None)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy

    texts = pieces(options.data, options.rows)
    if not texts:
        raise SystemExit(f"{options.data} has none of the data sets: give their folder with --data")
    by_ll = _Latex2Sympy.create_parser
    worker.parse_fast_first()
    in_two_stages = _Latex2Sympy.create_parser
    reader, seconds, other = _Latex2Sympy(), {by_ll: 0.0, in_two_stages: 0.0}, []
    for timed in (False, True):
        for text in texts:
            trees = []
            for create_parser in (by_ll, in_two_stages):
                started = time.process_time()
                trees.append(tree(create_parser, reader, text))
                seconds[create_parser] += (time.process_time() - started) * timed
            if timed and trees[0] != trees[1]:
                other.append(text)
    ratio = seconds[by_ll] / seconds[in_two_stages]
    print(f"{len(texts):,} formulas: {len(other)} with another tree{''.join(f'; {text!r:.80}' for text in other[:5])}")
    print(f"LL {seconds[by_ll]:.1f} s, two stages {seconds[in_two_stages]:.1f} s of a processor: {ratio:.2f} times")


if __name__ == "__main__":
    main()
