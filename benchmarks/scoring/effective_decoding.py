"""The effective decoding: every field that decides how completions are drawn, at the value that is in effect.

A preset, or the constants of training rollouts, say temperature, filters and length; everything else is neutral, with
every engine. Of a checkpoint's own generation_config.json the end tokens are taken, and nothing else. All neutral
values are passed explicitly: transformers would fill a field that is left out from the checkpoint, and a server from
its own defaults.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from tuition.benchmarks.scoring.sampling import Decoding

# In a request to a server, beside the preset's fields.
NEUTRAL_IN_REQUESTS: Mapping[str, float] = {
    "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip
# In vLLM's SamplingParams, beside the preset's fields.
NEUTRAL_IN_VLLM: Mapping[str, Any] = {**NEUTRAL_IN_REQUESTS, "min_tokens": 0, "ignore_eos": False}

# What transformers' `generate` took from a checkpoint in earlier versions, and the value that changes no draw: None
# where the field has to be absent.
TAKEN_BEFORE: Mapping[str, Any] = {
    "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "min_p": 0.0,
    "top_h": None, "bad_words_ids": None, "suppress_tokens": None, "begin_suppress_tokens": None,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "sequence_bias": None,
    "exponential_decay_length_penalty": None, "remove_invalid_values": False, "renormalize_logits": False,
    "guidance_scale": 1.0, "watermarking_config": None, "min_length": 0, "min_new_tokens": 0, "num_beams": 1,
    "num_beam_groups": 1, "constraints": None, "force_words_ids": None, "num_return_sequences": 1, "max_time": None,
    "stop_strings": None, "use_cache": True, "cache_implementation": None, "cache_config": None,
    "prefill_chunk_size": None, "low_memory": None, "use_mtp": False, "prompt_lookup_num_tokens": None,
    "penalty_alpha": None, "dola_layers": None, "token_healing": False, "return_dict_in_generate": False,
}  # fmt: skip


class EffectiveDecoding(BaseModel):
    """How completions were drawn, in the record of whatever was drawn.

    Attributes:
        engine: what drew them.
        temperature: 0 is greedy.
        top_p, top_k, min_p, typical_p, epsilon_cutoff, eta_cutoff: filters; 1, 0, 0, 1, 0 and 0 are off.
        repetition_penalty, presence_penalty, frequency_penalty: 1, 0 and 0 are off.
        no_repeat_ngram_size, min_new_tokens: 0 is off.
        num_beams: 1 is no beam search.
        max_new_tokens: the limit.
        ends: ids of the tokens that end a completion, ascending; None behind a server, which knows its own.
        vocabulary: ids from here on were not drawn, because a teacher lacks them; None without such a limit.
        not_sent: fields that a server refused to be sent, so that its own defaults are in effect.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    engine: str
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    ends: tuple[int, ...] | None
    min_p: float = 0.0
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0
    num_beams: int = 1
    vocabulary: int | None = None
    not_sent: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: str, decoding: Decoding, ends: Sequence[int] | None, not_sent: Sequence[str] = ()) -> Self:
        """What is in effect when an engine draws with a preset's decoding."""
        return cls(
            engine=engine,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k,
            max_new_tokens=decoding.max_new_tokens,
            ends=None if ends is None else tuple(sorted(ends)),
            not_sent=tuple(not_sent),
        )


def taken_before(folder: Path) -> dict[str, Any]:
    """Fields of a checkpoint's own generation configuration that changed draws in earlier versions, by name.

    It stands in generation_config.json, or without that file in config.json. ValueError for what is not JSON.
    """
    own = next((file for name in ("generation_config.json", "config.json") if (file := folder / name).exists()), None)
    content = {} if own is None else json.loads(own.read_text(encoding="utf-8"))
    return {
        name: content[name]
        for name, neutral in TAKEN_BEFORE.items()
        if content.get(name) is not None and content[name] != neutral
    }
