import doctest
from typing import Any

import pytest

from tuition.planner import drift
from tuition.planner.drift import describe_drift


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(drift).attempted == 1 and doctest.testmod(drift).failed == 0


def test_equal_recipes_have_no_drift() -> None:
    recipe = {"stages": {"opd": {"steps": 2, "filter": None}}, "teachers": ("big",), "template": {}}
    assert describe_drift(recipe, {**recipe, "teachers": ["big"]}) == []


@pytest.mark.parametrize(
    ("now", "was", "line"),
    [
        ({"a": {"b": 3}}, {"a": {"b": 2}}, "a.b: 3, was 2"),
        ({"a": {"b": 3}}, {"a": {}}, "a.b: 3, was not set"),
        ({"a": {"b": 3}}, {}, "a.b: 3, was not set"),
        ({}, {"a": {"b": 3}}, "a.b: not set, was 3"),
        ({"a": None}, {"a": {"b": 3}}, "a.b: not set, was 3"),
        ({"a": None}, {}, "a: null, was not set"),
        ({"a": {}}, {}, "a: {}, was not set"),
        ({"a": True}, {"a": False}, "a: true, was false"),
        ({"a": 1}, {"a": 1.0}, "a: 1, was 1.0"),
        ({"a": "1"}, {"a": 1}, 'a: "1", was 1'),
        ({"a": "bfloat16"}, {"a": "float32"}, "a: bfloat16, was float32"),
        ({"a": ""}, {"a": "two\nlines"}, r'a: "", was "two\nlines"'),
        ({"a": " b"}, {"a": "b"}, 'a: " b", was b'),
        ({"a": ("rl",)}, {"a": ["rl", "sft"]}, 'a: ["rl"], was ["rl", "sft"]'),
        ({"a": "1" * 64}, {"a": "2" * 64}, "a: 111111111111…, was 222222222222…"),
        ({"a": "x" * 100}, {"a": "y"}, f"a: {'x' * 80}…, was y"),
    ],
)
def test_a_field_that_differs_is_named_with_both_values(now: dict[str, Any], was: dict[str, Any], line: str) -> None:
    assert describe_drift(now, was) == [line]


def test_lines_are_in_the_order_of_the_names() -> None:
    assert describe_drift({"b": 1, "a": {"z": 1}}, {"b": 2, "a": {"z": 2}}) == ["a.z: 1, was 2", "b: 1, was 2"]
