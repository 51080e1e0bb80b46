"""Standard output: tables for people, and how they write numbers; or one JSON document."""

import json
import math
import sys
from typing import Any

from rich.console import Console


def terminal(width: int = 110) -> Console:
    """Where tables are printed. `width` is in columns, where there is no terminal to give one."""
    console = Console(highlight=False)
    # A pipe or a log has no width, and 80 columns would tear the tables.
    return console if console.is_terminal else Console(highlight=False, width=width)


def percent(fraction: float | None) -> str:
    """A fraction in percent, without the sign; "-" for None and nan."""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f}"


def size_text(number: int | None) -> str:
    """Bytes as MB or GB; None where no model's sizes are known."""
    if number is None:
        return "unknown (the models' sizes are not available: set `shape` in the scenario)"
    return f"{number / 1e6:,.0f} MB" if number < 10e9 else f"{number / 1e9:,.0f} GB"


def time_text(seconds: float) -> str:
    """Seconds as s, min or h."""
    return (
        f"{seconds:,.0f} s"
        if seconds < 120
        else f"{seconds / 60:,.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:,.1f} h"
    )


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
