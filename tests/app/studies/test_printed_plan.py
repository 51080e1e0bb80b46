"""What docs/qwen3.md prints of plans is what their commands print."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Command

PAGE = Path(__file__).parents[3] / "docs" / "qwen3.md"
WEEK_GPU_HOURS = 8 * 7 * 24
GPU_BYTES = 80e9
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| .*`tuition plan ", line)]
pytestmark = pytest.mark.slow


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_the_plan_of_the_page_is_what_its_command_prints(tuition: Command) -> None:
    text = PAGE.read_text(encoding="utf-8").split("## The whole plan of the week")[1]
    command = next(line for line in lines(text) if line.startswith("tuition search"))
    printed = tuition(*command.split()[1:])
    assert printed.returncode == 0, printed.stderr
    assert lines(text.split("```\n")[1]) == lines(printed.stdout)


def planned(tuition: Command, row: str) -> dict[str, Any]:
    """The plan of the command in a row."""
    (command,) = re.findall(r"`tuition ([^`]+)`", row)
    document: dict[str, Any] = json.loads(tuition(*command.split(), "--json").stdout)
    return document


@pytest.mark.parametrize("row", ROWS)
def test_hours_in_the_table_are_those_of_its_commands(row: str, tuition: Command) -> None:
    plan = planned(tuition, row)
    search, test, total, days = (float(cell.replace(",", "")) for cell in row.strip("| ").split(" | ")[2:])
    hours = [plan[phase]["gpu_seconds"] / 3600 for phase in ("search", "test")]
    assert (search, test) == pytest.approx(hours, abs=0.051)
    assert total == pytest.approx(plan["gpu_seconds"] / 3600, abs=0.051)
    assert days == pytest.approx(plan["gpu_seconds"] / 3600 / 8 / 24, abs=0.051)


def test_the_week_and_its_proxy_fit_a_week_of_8_gpus(tuition: Command) -> None:
    assert len(ROWS) == 4
    week, proxy = (planned(tuition, row) for row in ROWS[2:])
    assert (week["gpu_seconds"] + proxy["gpu_seconds"]) / 3600 <= WEEK_GPU_HOURS
    assert proxy["gpu_seconds"] <= 0.1 * week["gpu_seconds"]
    assert {plan["devices"] for plan in (week, proxy)} == {8}
    assert max(stage["bytes"] for plan in (week, proxy) for stage in plan["memory"].values()) < GPU_BYTES
    # All with its search at 1 R: what is proposed may spend that, and no more.
    assert week["search"]["gpu_seconds"] <= week["budget_gpu_seconds"] == week["dearest_route_gpu_seconds"]
