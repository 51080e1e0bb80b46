"""Errors as one line."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from tuition.benchmarks.boards.entries import EntryError
from tuition.benchmarks.one_line import first_complaint, one_line, printable


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int
    kind: Literal["a", "b"] = "a"


class Whole(BaseModel):
    part: Part


def refused(document: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(document)
    return caught.value


def test_any_text_is_cut_and_on_one_line() -> None:
    assert one_line("a\n  b\tc") == "a b c" and one_line("x" * 500, 10) == "x" * 10


@pytest.mark.parametrize(
    ("document", "first"),
    [
        ({"part": {}}, "part.steps is missing"),
        ({"part": {"steps": "many"}}, "part.steps is 'many': should be a valid integer"),
        ({"part": {"steps": 1, "stps": 2}}, "unknown field 'part.stps'"),
        ({"part": {"steps": 1, "kind": "c" * 500}}, "part.kind is 'ccc"),
        ([], "the document is []: should be a valid dictionary"),
    ],
)
def test_the_first_complaint_names_field_and_value(document: dict[str, Any], first: str) -> None:
    line = first_complaint(refused(document))
    assert line.startswith(first) and len(line) <= 400 and "\n" not in line


def test_what_does_not_show_is_escaped_once() -> None:
    text = "a\nb\033[2J\u200b\udcff 中 é"
    assert printable(text) == printable(printable(text)) == r"a\nb\x1b[2J\u200b\udcff 中 é"
    assert one_line(text) == r"a b\x1b[2J\u200b\udcff 中 é"
    assert str(EntryError(f"{text} is missing")) == rf"{printable(text)} is missing"
