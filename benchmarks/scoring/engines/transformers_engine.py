"""The transformers engine: completions by `generate`, in this process.

Deterministic: the same batches from the same stream give the same completions, bit for bit, on the same device and
library versions. All batches of a score share one random stream, so draws depend on the batches' size, which the
identity names.
"""

import importlib.metadata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding
from tuition.benchmarks.scoring.engines.requests import (
    EngineError,
    Generated,
    OneAtATime,
    Request,
    check_template,
    decoded,
)
from tuition.benchmarks.scoring.sampling import Prompt, Stream, encode_prompts, end_ids, generate_batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


SEED_EACH_BATCH = "a seed each batch"
"""Of an identity: several processes draw, each batch from a stream of its own."""


def transformers_identity(dtype: str, batch_size: int) -> str:
    """What decides a draw besides weights and decoding: library versions, type, and how many share a batch."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch"))
    return f"{versions}, {dtype}, batches of {batch_size}"


def check_prompts(tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[Prompt], preset: Preset) -> None:
    """EngineSettingError for a chat without a usable template, EngineError for what cannot be encoded."""
    check_template(tokenizer, preset)
    # The tokenizers of `micro` know some sixty characters and write their end token for any other.
    strangers = {tokenizer.unk_token_id, tokenizer.eos_token_id} - {tokenizer.bos_token_id, None}
    for prompt, ids in zip(prompts, encode_prompts(tokenizer, prompts, preset.template), strict=True):
        if isinstance(prompt, str) and strangers & set(ids):
            raise EngineError(
                f"the model's tokenizer cannot encode a character of the prompt {prompt[:60]!r}: this "
                "model cannot be asked this suite"
            )


class TransformersEngine(OneAtATime):
    """Draws from a model that is loaded already."""

    def __init__(self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.device = model.device.type
        if self.device == "cpu":
            import torch

            torch.set_num_threads(1)  # sums depend on the number of threads, and keys promise exactness

    def check(self, prompts: Sequence[Prompt], preset: Preset) -> None:
        """EngineSettingError for a chat without a usable template, EngineError for what cannot be encoded."""
        check_prompts(self.tokenizer, prompts, preset)

    def encode(self, prompts: Sequence[Prompt], preset: Preset) -> list[list[int]]:
        """Prompts as token ids."""
        return encode_prompts(self.tokenizer, prompts, preset.template)

    def generate(
        self, requests: Sequence[Request[list[int]]], preset: Preset, stream: Stream
    ) -> tuple[list[Generated], Stream]:
        """Completions of one batch, and where the random stream then stands."""
        prompts = [request.prompt for request in requests]
        drawn, stream = generate_batch(self.model, self.tokenizer, prompts, preset.decoding, stream)
        ends = end_ids(self.model, self.tokenizer)
        return [decoded(self.tokenizer, ids, ends) for ids in drawn], stream

    def in_effect(self, preset: Preset) -> EffectiveDecoding:
        """How completions are drawn."""
        return EffectiveDecoding.of("transformers", preset.decoding, end_ids(self.model, self.tokenizer))

    def close(self) -> None:
        """Drop the model."""
        del self.model
