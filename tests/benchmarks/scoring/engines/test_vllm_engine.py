"""What the vLLM engine passes, to a stand-in that writes it down; tests/runners/vllm runs vLLM itself."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.engines.requests import Generated, Request, row_seed
from tuition.benchmarks.scoring.engines.vllm_engine import VllmEngine
from tuition.benchmarks.scoring.sampling import Decoding, Stream

SAMPLED = Preset(Decoding("sampled", 0.7, 0.8, 20, 24), 2, {})


class Model:
    def __init__(self) -> None:
        self.parameters: list[dict[str, Any]] = []

    def generate(self, prompts: list[Any], parameters: list[dict[str, Any]], use_tqdm: bool) -> list[Any]:
        self.parameters += parameters
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=(5, 1))]) for _ in prompts]


def test_every_field_that_decides_a_draw_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=dict, TokensPrompt=dict))
    model, tokenizer = Model(), SimpleNamespace(decode=lambda ids, skip_special_tokens: str(ids))
    engine = VllmEngine(model, tokenizer, [1, 9], "cpu")  # type: ignore[arg-type]
    drawn, stream = engine.generate([Request([3], 0), Request([4], 7)], SAMPLED, Stream(11))
    assert drawn == [Generated("[5, 1]", 2, truncated=False)] * 2 and stream == Stream(11)
    common = {
        "temperature": 0.7, "top_p": 0.8, "top_k": 20, "max_tokens": 24, "stop_token_ids": [1, 9],
        "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
        "min_tokens": 0, "ignore_eos": False,
    }  # fmt: skip
    assert model.parameters == [{**common, "seed": row_seed(11, row)} for row in (0, 7)]
    assert engine.in_effect(SAMPLED).model_dump(exclude_defaults=True) == {
        "engine": "vllm", "temperature": 0.7, "top_p": 0.8, "top_k": 20, "max_new_tokens": 24, "ends": (1, 9)
    }  # fmt: skip
