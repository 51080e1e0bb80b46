"""What every function of the Python API shares: its checks, and working as a command does."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tuition.app.processes.libraries import set_environment, silence_libraries
from tuition.benchmarks.results_folder import ResultsFolder

if TYPE_CHECKING:
    from tuition.app.processes.run_configuration import RunConfiguration

RESULTS = "results"


class ArgumentError(ValueError):
    """An argument that a command's option would refuse; one line with the value and what is allowed."""


def at_least(least: int, **arguments: object) -> None:
    """ArgumentError for what is neither None nor a whole number of at least `least`."""
    for name, value in arguments.items():
        if value is not None and (type(value) is not int or value < least):
            raise ArgumentError(f"{name}={value!r}; give a whole number of at least {least}")


def one_of(allowed: tuple[str | None, ...], **arguments: object) -> None:
    """ArgumentError for what is not among the allowed values."""
    for name, value in arguments.items():
        if value not in allowed:
            raise ArgumentError(f"{name}={value!r}; choose from {', '.join(map(str, allowed))}")


def list_of_names(name: str, value: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; ArgumentError for one string, whose letters would be taken for names."""
    if isinstance(value, str):
        raise ArgumentError(f"{name}={value!r}; give a list of names")
    return tuple(value)


@contextmanager
def as_command(
    results: str | Path = RESULTS, track: str | None = None, trust_remote_code: bool = False
) -> Iterator[None]:
    """Work as a command does: libraries are quiet, and what is confirmed or tracked is so for this call alone."""
    set_environment()
    from tuition.runners.scenarios.sources import TRUST_VARIABLE, confirm_trust
    from tuition.runners.training.tracking import VARIABLE, start_tracking

    before = {name: os.environ.get(name) for name in (TRUST_VARIABLE, VARIABLE)}
    try:
        with warnings.catch_warnings():
            silence_libraries()
            confirm_trust(trust_remote_code)
            start_tracking(track, ResultsFolder(Path(results)).tracking)
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def make_configuration(
    scenario: str | Path,
    results: str | Path,
    mix_versions: bool = False,
    workers: int = 1,
    max_store_bytes: int | None = None,
    quiet: bool = True,
) -> RunConfiguration:
    """What the arguments that every training function shares configure."""
    from tuition.app.processes.run_configuration import RunConfiguration

    return RunConfiguration(str(scenario), Path(results), mix_versions, workers, max_store_bytes, quiet)
