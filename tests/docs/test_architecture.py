"""docs/architecture.md and its picture show the rooms that there are, and the functions where they stand."""

import re
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, names_in
from tests.docs.draw_architecture import FLOORS, PICTURE, Floor, picture

TEXT = (ROOT / "docs" / "architecture.md").read_text()
DECISIONS = re.findall(r"^\| ([^|`]+|[^|]*`[^|]+`[^|]*) \| (`[^|]+`) \| `([^|`]+)` \|$", TEXT, flags=re.MULTILINE)
STEPS = re.findall(r"^\| (\d*) ?\| [^|]*\| (`[^|]+`) \| `([^|`]+)` \|$", TEXT, flags=re.MULTILINE)


def packages(floor: str) -> set[str]:
    return {path.parent.name for path in (ROOT / floor).glob("*/__init__.py")}


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.name)
def test_every_room_is_in_the_picture_and_in_the_table(floor: Floor) -> None:
    assert packages(floor.name) <= floor.rooms.keys()
    paths = [ROOT / floor.name / room for room in floor.rooms]
    assert [path for path in paths if not path.exists()] == []
    named = [f"| `{floor.name}/{path.name}{'/' if path.is_dir() else ''}` |" for path in paths]
    assert [name for name in named if name not in TEXT] == []


def test_the_picture_is_as_it_is_drawn() -> None:
    assert PICTURE.read_text() == picture(), "python -m tests.docs.draw_architecture"


@pytest.mark.parametrize(("step", "functions", "file"), STEPS)
def test_the_functions_of_the_route_are_where_the_table_says(step: str, functions: str, file: str) -> None:
    names = names_in(ROOT / file)
    assert {name for name in functions.replace("`", "").split(", ") if name not in names} == set()


@pytest.mark.parametrize(("question", "functions", "file"), DECISIONS)
def test_what_is_decided_is_decided_where_the_table_says(question: str, functions: str, file: str) -> None:
    names = names_in(ROOT / file)
    assert {name for name in functions.replace("`", "").split(", ") if name not in names} == set()


def test_the_pictures_steps_are_those_of_the_table() -> None:
    numbered: dict[int, set[Path]] = {}
    last = 0
    for step, _, file in STEPS:
        last = int(step or last)
        numbered.setdefault(last, set()).add(Path(*Path(file).parts[:2]))
    drawn: dict[int, set[Path]] = {}
    for floor in FLOORS:
        for room, steps in floor.rooms.items():
            for number in steps:
                drawn.setdefault(number, set()).add(Path(floor.name, room))
    assert list(numbered) == list(range(1, last + 1))
    assert drawn == numbered
