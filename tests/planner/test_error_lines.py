"""Errors of the planner on one line."""

import pytest

from tuition.planner.error_lines import named_line
from tuition.planner.space import SearchSpace, SpaceError


def test_an_error_is_named_on_one_line_and_cut() -> None:
    assert named_line(ValueError("a\n  b")) == "ValueError: a b" and len(named_line(ValueError("x" * 900))) == 500


def test_all_complaints_name_each_field() -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace(**{"teachers": ("big",), "max_opd": "many", "max_opt": 1})
    line = str(caught.value)
    assert "num_label_blocks is missing; set it" in line and "max_opd='many': " in line
    assert "unknown field 'max_opt'; allowed: teachers, num_label_blocks, " in line and "\n" not in line
