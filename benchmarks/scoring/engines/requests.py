"""Requests: what an engine is asked for and gives back, and where its random numbers come from.

An engine that runs here with transformers draws all batches of a score from one random stream; after each batch it says
where the stream stands, so that the next batch can be drawn by another process. Other engines take a seed for each
request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding
from tuition.benchmarks.scoring.sampling import Prompt, Stream, writes_date
from tuition.planner.route import derive_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Encoded = TypeVar("Encoded")
"""A prompt as an engine takes it: token ids, or the text or messages that a server encodes."""


class EngineError(RuntimeError):
    """An engine that cannot start or gives no completions; one line with the fix."""


class EngineSettingError(ValueError):
    """An engine that was asked for with settings it cannot have; one line with the fix."""


@dataclass(frozen=True)
class Request(Generic[Encoded]):
    """One completion that is wanted, by its row of the score. Engines without a stream draw it with `row_seed`."""

    prompt: Encoded
    row: int


@dataclass(frozen=True)
class Generated:
    """One completion. `num_tokens` counts generated tokens with the end token; `truncated` means without it."""

    text: str
    num_tokens: int
    truncated: bool


def decoded(tokenizer: "PreTrainedTokenizerBase", ids: list[int], ends: Sequence[int]) -> Generated:
    """A completion from its token ids."""
    return Generated(str(tokenizer.decode(ids, skip_special_tokens=True)), len(ids), ids[-1] not in ends)


class Engine(Protocol[Encoded]):
    """Draws completions of one model, which is loaded. `device`: "cpu", "cuda", or None for somebody else's."""

    @property
    def device(self) -> str | None:
        """Where it draws."""

    @property
    def parallel(self) -> int:
        """Batches that it draws side by side, each on devices of its own; with several its stream stands still."""

    @property
    def devices(self) -> int:
        """Devices that it holds."""

    @property
    def elsewhere(self) -> float:
        """Processor seconds that processes besides this one have spent on it so far."""

    def check(self, prompts: Sequence[Prompt], preset: Preset) -> None:
        """EngineSettingError or EngineError when the engine cannot draw for these prompts under this preset."""

    def encode(self, prompts: Sequence[Prompt], preset: Preset) -> list[Encoded]:
        """Prompts as requests hold them. Batches are made of the longest first."""

    def generate(
        self, requests: Sequence[Request[Encoded]], preset: Preset, stream: Stream
    ) -> tuple[list[Generated], Stream]:
        """One completion for each request, in order, and where the random stream then stands.

        EngineError when that cannot be done.
        """

    def in_effect(self, preset: Preset) -> EffectiveDecoding:
        """How completions are drawn under a preset, for the score's record; asked after they were."""

    def close(self) -> None:
        """Free what the engine holds."""


class OneAtATime:
    """What an engine says that draws one batch at a time and starts no process (a server is somebody else's)."""

    parallel = 1
    devices = 1
    elsewhere = 0.0


def check_template(tokenizer: "PreTrainedTokenizerBase", preset: Preset) -> None:
    """EngineSettingError for a chat without a template, or with one that writes today's date."""
    if not preset.decoding.chat_template:
        return
    if tokenizer.chat_template is None:
        raise EngineSettingError(f"the model has no chat template, which preset {preset.name} needs: add --no-chat")
    if writes_date(tokenizer, preset.template):
        raise EngineSettingError(
            "the model's chat template writes today's date, so that samples would differ from day to day: give a "
            "scenario's file as --preset, with the date in it (template: {date_string: 26 Jul 2024})"
        )


def row_seed(seed: int, row: int) -> int:
    """The seed of one of the rows that are drawn with `seed`, for engines without one stream for all."""
    return derive_seed("draw", seed, row)
