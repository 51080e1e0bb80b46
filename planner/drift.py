"""Drift: which fields of a recipe differ from those that something stored was made with, in words.

A key is a hash, so two keys that differ say nothing. The fields that they cover say it: `stages.opd.steps: 3, was 2`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_SHOWN_LETTERS = 80
ABSENT = "not set"


def describe_drift(now: Mapping[str, Any], was: Mapping[str, Any]) -> list[str]:
    """One line for each field in which two nested mappings differ, by dotted name, in the order of the names.

    >>> describe_drift(
    ...     {"stages": {"opd": {"steps": 3}}, "hardware": {"dtype": "bfloat16", "processes": 2}},
    ...     {"stages": {"opd": {"steps": 2}}, "hardware": {"dtype": "bfloat16"}},
    ... )
    ['hardware.processes: 2, was not set', 'stages.opd.steps: 3, was 2']

    Values are compared as JSON, as keys cover them: 1 and 1.0 differ, a tuple and a list do not. Hashes of 64 digits
    are shown by their first 12, and long values are cut.
    """
    fields_now, fields_was = dict(_flat(now)), dict(_flat(was))
    both = {
        name: (fields_now.get(name), fields_was.get(name)) for name in sorted(fields_now.keys() | fields_was.keys())
    }
    return [
        f"{name}: {_shown(ours)}, was {_shown(theirs)}"
        for name, (ours, theirs) in both.items()
        if ours != theirs and not _is_a_group(name, fields_now, fields_was)
    ]


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names of all leaves, with their values as JSON. An empty mapping is a leaf."""
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value, sort_keys=True, default=str)


def _is_a_group(name: str, *sides: Mapping[str, str]) -> bool:
    """Whether a side has fields within this one, which say more than that the other has `null` or `{}` here."""
    return any(other.startswith(f"{name}.") for side in sides for other in side)


def _shown(value: str | None) -> str:
    """A leaf for people; text has quotes only where it could be taken for a number, or its spaces be overlooked."""
    if value is None:
        return ABSENT
    text = json.loads(value) if value.startswith('"') else value
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return f"{text[:12]}…"
    if text != " ".join(text.split()) or re.fullmatch(r"[-+.0-9e]*|true|false|null", text):
        text = value
    return text if len(text) <= MAX_SHOWN_LETTERS else f"{text[:MAX_SHOWN_LETTERS]}…"
