"""Texts: names that mislead are refused."""

import pytest

from tuition.benchmarks.boards.texts import alike, one_name


@pytest.mark.parametrize("name", ["direct", "teacher-upstream = search #2", "разделение", "分割テスト", "größer"])
def test_names_of_one_script_are_names(name: str) -> None:
    assert one_name(name) == name


@pytest.mark.parametrize(("one", "other"), [("direct", "Direct"), ("direct", "d i-r_e.c:t"), ("half", "hálf")])
def test_names_that_look_alike_are_one(one: str, other: str) -> None:
    assert alike(one) == alike(other)


def test_names_that_differ_are_two() -> None:
    assert len({alike(name) for name in ("direct", "direct-compute", "half", "half-replay", "разделение")}) == 5
