"""Our workers' parser in two stages gives the tree of ANTLR's full prediction.

The test takes some of the hand-made cases, `python -m tests.experiments.sll_parses` all formulas of the data sets.
"""

import json
from pathlib import Path

import pytest
from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy

from tests.experiments.sll_parses import tree
from tuition.benchmarks.grading import worker
from tuition.benchmarks.grading.answers import find_answer
from tuition.benchmarks.grading.forms import bare
from tuition.benchmarks.grading.rules import Rules

ROWS = [
    json.loads(line)
    for name in ("rule_cases.jsonl", "hunt.jsonl")
    for line in (Path(__file__).with_name(name)).read_text(encoding="utf-8").splitlines()[::6]
]
UNREADABLE = ["1\\frac{2}", "x + # 2", "\\frac{1}{2", "(1,2", "3 \\oplus 4"]


def test_two_stages_give_the_tree_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [find_answer(row["completion"], Rules()) for row in ROWS]
    texts = [row["gold"] for row in ROWS] + [bare(one.text, Rules()) for one in found if one and one.formula]
    by_full_prediction = _Latex2Sympy.create_parser
    monkeypatch.setattr(_Latex2Sympy, "create_parser", by_full_prediction)
    worker.parse_fast_first()
    in_two_stages, reader = _Latex2Sympy.create_parser, _Latex2Sympy()
    other = [
        text
        for text in dict.fromkeys([*texts, *UNREADABLE])
        if tree(by_full_prediction, reader, text) != tree(in_two_stages, reader, text)
    ]
    assert other == []
