"""Errors of the planner on one line, for messages to people."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError


def named_line(error: BaseException) -> str:
    """An exception's type and message on one line, cut where it would flood a table."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def all_complaints(error: ValidationError, allowed_fields: Iterable[str]) -> str:
    """All complaints of a validation, with the offending values; for an unknown field the allowed ones."""
    lines = []
    for detail in error.errors():
        name = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            lines.append(f"unknown field {name!r}; allowed: {', '.join(allowed_fields)}")
        elif detail["type"] == "value_error":  # raised by a validator of ours, with value and fix in its message
            lines.append(str(detail["ctx"]["error"]))
        elif detail["type"] == "missing":
            lines.append(f"{name} is missing; set it")
        else:
            lines.append(f"{name}={detail['input']!r}: {detail['msg']}")
    return "; ".join(lines)
