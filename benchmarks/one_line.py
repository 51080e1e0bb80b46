"""Texts and errors on one line, for messages to people."""

from collections.abc import Collection

from pydantic import ValidationError


def printable(text: object) -> str:
    """A text whose letters all show, as `repr` writes them: strangers' file names must not steer a terminal or a log.

    Line breaks, escapes, invisible and undecodable letters become `\\n`, `\\x1b`, `\\u200b`, `\\udcff`. A second time
    changes nothing.
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(text))


def one_line(text: object, most: int = 400) -> str:
    """Any text or error on one line, all its letters printable, cut after `most` letters."""
    return printable(" ".join(str(text).split()))[:most]


def first_complaint(error: ValidationError, tags: Collection[str] = ()) -> str:
    """A validation's first complaint: field, value, reason. `tags` are the members of a union, which are no fields."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"] if part not in tags) or "the document"
    if first["type"] == "missing":
        return one_line(f"{place} is missing")
    if first["type"] == "extra_forbidden":
        return one_line(f"unknown field {place!r:.200}")
    if first["type"] == "json_invalid":
        return one_line(first["msg"])
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    # A whole document as the offending value tells nothing.
    shown = "" if isinstance(first["input"], dict) else f" is {first['input']!r:.60}"
    return one_line(f"{place}{shown}: {reason}")
