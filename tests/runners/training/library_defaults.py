"""The defaults of the installed libraries, against those that the project was written for.

`library_defaults.json` holds the defaults by class, `library_fields_not_passed.json` the fields that the project leaves
to them, by reason. After an upgrade, read what is new, decide (a setting, a constant of `runners/training/pinned.py`,
or not passed), and write the first file anew: `python -m tests.runners.training.library_defaults`.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parent / "library_defaults.json"
NOT_PASSED = Path(__file__).parent / "library_fields_not_passed.json"
OPAQUE = "<"
"""How a value begins that JSON has no word for."""


def installed() -> dict[str, dict[str, Any]]:
    """Fields and defaults of the installed classes."""
    from peft import LoraConfig
    from transformers import GenerationConfig, TrainingArguments
    from transformers.trainer_pt_utils import AcceleratorConfig
    from trl import DistillationConfig, GRPOConfig, SFTConfig
    from trl.experimental.server_distillation import ServerDistillationConfig

    classes = (
        TrainingArguments, GRPOConfig, SFTConfig, DistillationConfig, ServerDistillationConfig, LoraConfig,
        AcceleratorConfig,
    )  # fmt: skip
    found = {made.__name__: dataclass_defaults(made) for made in classes}
    generation = {name: plain(value) for name, value in vars(GenerationConfig()).items()}
    del generation["transformers_version"]
    return {**found, "GenerationConfig": generation}


def dataclass_defaults(made: Any) -> dict[str, Any]:
    """Fields and defaults of a data class."""
    return {field.name: _default(field) for field in dataclasses.fields(made)}


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return plain(field.default_factory())
    return "<required>" if field.default is dataclasses.MISSING else plain(field.default)


def plain(value: Any) -> Any:
    """A default as JSON has it."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else f"<{type(value).__name__}>"


def differences(name: str, now: Mapping[str, Any], library: str) -> Iterator[str]:
    """A line for each field of a class that is new, gone, or has another default than the pinned one.

    `library` is its name and version.
    """
    pinned = json.loads(PINNED.read_text())[name]
    what = f"{library}: {name}"
    for field in sorted(now.keys() | pinned.keys()):
        if field not in pinned:
            yield (
                f"{what}.{field} = {now[field]!r} is new: make it a setting, a constant of runners/training/pinned.py, "
                f"or list it in {NOT_PASSED.name}"
            )
        elif field not in now:
            yield f"{what}.{field} is gone (its default was {pinned[field]!r})"
        elif now[field] != pinned[field] and not str(pinned[field]).startswith(OPAQUE):
            yield f"{what}.{field} = {now[field]!r} by default, was {pinned[field]!r}: decide which is meant"


def not_passed(*groups: str) -> set[str]:
    """The fields that are left to the libraries, of some groups of the file."""
    listed = json.loads(NOT_PASSED.read_text())
    return {field for group in groups for fields in listed[group].values() for field in fields}


if __name__ == "__main__":
    pinned = json.loads(PINNED.read_text())  # vLLM's are not installed here
    PINNED.write_text(json.dumps({**pinned, **installed()}, indent=1, sort_keys=True) + "\n")
