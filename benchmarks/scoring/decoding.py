"""Decoding presets: how completions are drawn, as named constants. A preset is part of every score's key.

What: `PAPER` (the protocol of arXiv 2605.12483 as far as it is stated), `AUTHORS_SCRIPT` (the evaluation script in its
authors' repository) and `GREEDY`; `overridden` changes fields of one and says so in its name, so that no changed preset
passes for the whole one. A scenario has its own preset.

Simplified: prompts are never cut. The script's limit of 2,048 prompt tokens is not a field, for none of the suites'
problems comes near it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tuition.benchmarks.scoring.sampling import Decoding

SUFFIX = " Let's think step by step and output the final answer within \\boxed{}."

OUR_CHOICE = "our choice"


@dataclass(frozen=True)
class Preset:
    """Decoding, the number of samples that its protocol asks for, and where each setting comes from.

    `template` holds variables for the chat template. Qwen3's would think by default.
    """

    decoding: Decoding
    num_samples: int
    sources: Mapping[str, str]
    template: Mapping[str, bool | str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The preset's name; overridden fields stand in brackets."""
        return self.decoding.name

    def key_fields(self) -> dict[str, Any]:
        """Everything that decides a draw, for the score's key."""
        return {**asdict(self.decoding), **self.template}

    def overridden(self, **fields: Any) -> "Preset":
        """The preset with other values for fields of its decoding, and a name that tells."""
        changed = {name: value for name, value in fields.items() if getattr(self.decoding, name) != value}
        if not changed:
            return self
        listed = ",".join(f"{name}={value}" for name, value in changed.items())
        decoding = replace(self.decoding, **changed, name=f"{self.name}[{listed}]")
        return replace(self, decoding=decoding, sources={**self.sources, **dict.fromkeys(changed, "override")})


PAPER = Preset(
    Decoding("paper", 1.0, 1.0, 0, 16384, prompt_suffix=SUFFIX, chat_template=True),
    num_samples=16,
    sources={
        "num_samples": "paper: avg@16",
        "max_new_tokens": "paper: response limit of tables 9 and 10",
        "prompt_suffix": "authors' scripts; that one space joins it to the problem is our choice",
        "temperature": f"{OUR_CHOICE}: the paper does not tell its decoding; that of its rollouts, table 10",
        "top_p": f"{OUR_CHOICE}: as temperature",
        "top_k": f"{OUR_CHOICE}: as temperature",
        "chat_template": f"{OUR_CHOICE}: one user's message",
        "enable_thinking": f"{OUR_CHOICE}: off, as in the authors' scripts",
    },
    template={"enable_thinking": False},
)

AUTHORS_SCRIPT = Preset(
    Decoding("authors-script", 0.7, 0.8, 20, 16384, prompt_suffix=SUFFIX, chat_template=True),
    num_samples=16,
    sources={
        "num_samples": "script: 16 rollouts",
        "max_new_tokens": "script",
        "prompt_suffix": "script; that one space joins it to the problem is our choice",
        "temperature": "script",
        "top_p": "script",
        "top_k": "script",
        "chat_template": f"{OUR_CHOICE}: one user's message",
        "enable_thinking": "script: off",
    },
    template={"enable_thinking": False},
)

GREEDY = Preset(
    Decoding("greedy", 0.0, 1.0, 0, 16384, prompt_suffix=SUFFIX, chat_template=True),
    num_samples=1,
    sources=dict.fromkeys(
        ("num_samples", "max_new_tokens", "prompt_suffix", "temperature", "chat_template", "enable_thinking"),
        OUR_CHOICE,
    ),
    template={"enable_thinking": False},
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (PAPER, AUTHORS_SCRIPT, GREEDY)}
