"""The README's first result is the sentence that its demo ends with, and what it says of the test stands there."""

import re

from tests.docs.documents import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def words(text: str) -> str:
    return " ".join(text.split())


def demo() -> str:
    """What the README shows of the demo, in one line."""
    return words(README.split("It ends with this")[1].split("```")[1])


def first_result() -> str:
    """The first quotation: the sentence."""
    quoted = re.search(r"^> .*(?:\n> .*)*", README, re.MULTILINE)
    assert quoted is not None
    return words(quoted[0].replace("\n> ", " ").removeprefix("> "))


def test_the_first_result_is_the_sentence_that_the_demo_ends_with() -> None:
    sentence = first_result()
    assert re.match(r"(No decision possible: |Deploy |Train and deploy )teacher=\w+ ", sentence)
    assert demo().endswith(sentence)
    assert README.index("> " + sentence[:20]) < README.index("![")


def test_what_the_test_made_of_it_stands_in_the_demos_table() -> None:
    said = words(README.split("The test that followed")[1].split("\n\n")[0])
    row = re.search(r"search, named (\S+) ±\S+ problems \+(\S+) .*?\[\+(\S+), \+(\S+)\]", demo())
    assert row is not None
    assert re.findall(r"\d+\.\d", said) == list(row.groups())
