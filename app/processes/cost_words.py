"""Predicted costs in words: how long, and measured, estimated, stated or unknown."""

from collections.abc import Mapping
from typing import Any

from tuition.app.processes.terminal import time_text
from tuition.planner.cost import Source


def seconds_text(seconds: float | None, digits: int = 0) -> str:
    """Device-seconds in a table's cell."""
    return Source.unknown.value if seconds is None else f"{seconds:,.{digits}f}"


def total_text(seconds: float | None, known: float) -> str:
    """A sum in words; of one with unknown parts, what is known."""
    if seconds is not None:
        return time_text(seconds)
    return f"unknown, and at least {time_text(known)}" if known else Source.unknown.value


def basis_text(basis: Mapping[str, Any]) -> str:
    """Where a sum comes from: "12 min measured, 3.1 h stated in the scenario; unknown: opd of student"."""
    shares = [
        f"{time_text(basis[source.name])} {source.value}"
        for source in Source
        if source.name in basis and source is not Source.unknown
    ]
    missing = basis.get(Source.unknown.name, [])
    words = ", ".join(shares) or "nothing is to be made"
    if len(shares) == 1 and not missing:
        words = next(source.value for source in Source if source.name in basis)
    if missing:
        return "; ".join([*([words] if shares else []), f"unknown: {', '.join(missing)}"])
    return words
