"""The plan that docs/qwen3.md prints is what its command prints."""

from pathlib import Path

import pytest

from tests.app.conftest import Command

PAGE = Path(__file__).parents[3] / "docs" / "qwen3.md"


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.slow
def test_the_plan_of_the_page_is_what_its_command_prints(tuition: Command) -> None:
    text = PAGE.read_text(encoding="utf-8")
    command = next(line for line in lines(text) if line.startswith("tuition search"))
    printed = tuition(*command.split()[1:])
    assert printed.returncode == 0, printed.stderr
    assert lines(text.split("```\n")[1]) == lines(printed.stdout)
