"""The transformers engine: completions by `generate`, in this process.

Deterministic: the same batch gives the same completions, bit for bit, on the same device and library versions. All
requests of a batch share one random stream, so draws depend on the batch's size, and the identity names it.
"""

import importlib.metadata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.decoding import Preset
from benchmarks.engines.requests import EngineError, EngineSettingError, Generated, Request, batch_seed
from benchmarks.sampling import draw_ids, encode_prompts, end_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TransformersEngine:
    """Draws from a model that is loaded already. `batch_size` counts sequences."""

    def __init__(self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", batch_size: int) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size

    @property
    def identity(self) -> str:
        """Versions, type, device and batch size."""
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch"))
        dtype = str(self.model.dtype).removeprefix("torch.")
        return f"{versions}, {dtype}, {self.model.device.type}, batches of {self.batch_size} with a seed each"

    def check(self, preset: Preset) -> None:
        """EngineSettingError when the preset needs a chat template and the model has none."""
        if preset.decoding.chat_template and self.tokenizer.chat_template is None:
            raise EngineSettingError(f"the model has no chat template, which preset {preset.name} needs: add --no-chat")

    def generate(self, requests: Sequence[Request], preset: Preset) -> list[Generated]:
        """Completions of one batch. EngineError for a prompt that the tokenizer cannot express."""
        prompts = encode_prompts(self.tokenizer, [request.prompt for request in requests], preset.template)
        self._refuse_unknown_characters(requests, prompts)
        drawn = draw_ids(
            self.model, self.tokenizer, prompts, preset.decoding, batch_seed(requests), max(1, len(requests))
        )
        ends = end_ids(self.model, self.tokenizer)
        return [
            Generated(str(self.tokenizer.decode(ids, skip_special_tokens=True)), len(ids), ids[-1] not in ends)
            for ids in drawn
        ]

    def _refuse_unknown_characters(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> None:
        # The tokenizers of `micro` know some sixty characters and write their end token for any other.
        strangers = {self.tokenizer.unk_token_id, self.tokenizer.eos_token_id} - {self.tokenizer.bos_token_id, None}
        for request, ids in zip(requests, prompts, strict=True):
            if isinstance(request.prompt, str) and strangers & set(ids):
                raise EngineError(
                    f"the model's tokenizer has no token for a character of the prompt {request.prompt[:60]!r}: this "
                    "model cannot be asked this suite"
                )

    def close(self) -> None:
        """Nothing to free: the model belongs to the caller."""
