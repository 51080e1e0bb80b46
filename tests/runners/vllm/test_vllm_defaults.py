"""vLLM's part of tests/runners/training/test_library_defaults.py: what it would choose itself is known."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.runners.training.library_defaults import dataclass_defaults, differences, not_passed, plain
from tuition.benchmarks.scoring.engines.vllm_engine import vllm_version
from tuition.runners.training import pinned


def engine_arguments() -> dict[str, Any]:
    from vllm import EngineArgs

    return dataclass_defaults(EngineArgs)


def sampling_parameters() -> dict[str, Any]:
    """As declared: an instance has normalised some of them."""
    import msgspec
    from vllm import SamplingParams

    fields = msgspec.structs.fields(SamplingParams)
    return {
        field.name: plain(field.default_factory() if field.default is msgspec.NODEFAULT else field.default)
        for field in fields
    }


@pytest.mark.parametrize(
    ("name", "found", "passed"),
    [
        ("vllm.EngineArgs", engine_arguments, pinned.VLLM),
        ("vllm.SamplingParams", sampling_parameters, pinned.SAMPLING),
    ],
)
def test_the_installed_defaults_are_those_that_were_read(
    name: str, found: Callable[[], dict[str, Any]], passed: Mapping[str, Any]
) -> None:
    now = found()
    assert list(differences(name, now, str(vllm_version()))) == []
    assert set(passed) | not_passed(name) == set(now)
    assert not set(passed) & not_passed(name)
