"""Requests: what an engine is asked for and gives back, and the seeds.

A request's seed is a hash of the score's seed, the problem's id and the sample's number. It depends on nothing else, so
that a batch drawn after a restart is the batch that was lost.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.decoding import Preset
from benchmarks.sampling import Prompt


class EngineError(RuntimeError):
    """An engine that cannot start or gives no completions; one line with the fix."""


class EngineSettingError(ValueError):
    """An engine that was asked for with settings it cannot have; one line with the fix."""


@dataclass(frozen=True)
class Request:
    """One completion that is wanted."""

    prompt: Prompt
    seed: int


@dataclass(frozen=True)
class Generated:
    """One completion. `num_tokens` counts generated tokens with the end token; `truncated` means cut by the limit."""

    text: str
    num_tokens: int
    truncated: bool


class Engine(Protocol):
    """Draws completions. `identity` names what decides a draw besides weights and decoding; keys hold it."""

    @property
    def identity(self) -> str:
        """Library versions, type, device, and the batch where draws depend on it."""

    def check(self, preset: Preset) -> None:
        """EngineSettingError when the engine cannot draw under this preset."""

    def generate(self, requests: Sequence[Request], preset: Preset) -> list[Generated]:
        """One completion for each request, in order. EngineError when that cannot be done."""

    def close(self) -> None:
        """Free what the engine holds."""


def request_seed(seed: int, problem_id: str, sample: int) -> int:
    """The seed of one sample of one problem, from 0 to 2^31 - 1."""
    return _hashed(["request", seed, problem_id, sample])


def batch_seed(requests: Sequence[Request]) -> int:
    """One seed for requests that are drawn together."""
    return _hashed(["batch", *(request.seed for request in requests)])


def _hashed(values: Sequence[object]) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(values).encode()).digest()[:4]) >> 1
