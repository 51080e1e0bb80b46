"""Sampling: how a problem becomes tokens, and how completions are drawn with transformers' `generate`.

What: `render_prompt` and `encode_prompts` are the one place where a problem becomes tokens, for trainers as well.
`in_batches` says which prompts are drawn together, `generate_batch` draws them and says where the random stream then
stands, and `generate_ids` does both for all prompts.

Simplified: one device, one process, whole batches (a batch ends with its longest completion). The draws depend on
`batch_size`, because a batch is drawn together.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Prompt = str | list[dict[str, str]]

# Passed to `generate` in every draw, beside a preset's fields: what is left out would be filled from the checkpoint.
NEUTRAL_IN_GENERATE: Mapping[str, Any] = {
    "num_beams": 1, "num_return_sequences": 1, "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "typical_p": 1.0, "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0, "min_length": 0, "length_penalty": 1.0, "early_stopping": False, "remove_invalid_values": False,
    "return_dict_in_generate": False, "use_cache": True,
}  # fmt: skip


@dataclass(frozen=True)
class Decoding:
    """A decoding preset. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 switch the filters off.

    `prompt_suffix` is added to every problem; `chat_template` sends it as a user's message.
    """

    name: str
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    prompt_suffix: str = ""
    chat_template: bool = False

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"decoding {self.name!r}: temperature is {self.temperature}; give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"decoding {self.name!r}: top_p is {self.top_p}; give a number above 0, at most 1")
        if self.top_k < 0:
            raise ValueError(f"decoding {self.name!r}: top_k is {self.top_k}; give 0 (off) or more")
        if self.max_new_tokens < 1:
            raise ValueError(f"decoding {self.name!r}: max_new_tokens is {self.max_new_tokens}; give 1 or more")


def training_rollouts(max_new_tokens: int) -> Decoding:
    """The decoding of every training rollout: temperature 1, no filter."""
    return Decoding("training rollouts", temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=max_new_tokens)


@dataclass(frozen=True)
class Stream:
    """Where a stream of torch's random numbers stands: at its seed, or where a batch has left it (states in base64)."""

    seed: int
    cpu: str | None = None
    cuda: str | None = None

    def take_up(self, device: "torch.device") -> None:
        """Let this process draw from here on."""
        import torch

        if self.cpu is None:
            torch.manual_seed(self.seed)
            return
        torch.set_rng_state(_state(self.cpu))
        if self.cuda is not None:
            torch.cuda.set_rng_state(_state(self.cuda), device)

    def now(self, device: "torch.device") -> "Stream":
        """The same stream where this process has got to."""
        import torch

        on_gpu = device.type == "cuda"
        return Stream(
            self.seed, _text(torch.get_rng_state()), _text(torch.cuda.get_rng_state(device)) if on_gpu else None
        )


def _state(text: str) -> "torch.Tensor":
    import torch

    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)


def _text(state: "torch.Tensor") -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def render_prompt(problem_text: str, decoding: Decoding) -> Prompt:
    """The prompt of a problem: its text with the suffix, as one user's message if the preset wants a chat."""
    text = problem_text + decoding.prompt_suffix
    return [{"role": "user", "content": text}] if decoding.chat_template else text


def encode_prompts(
    tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[Prompt], template: Mapping[str, Any] | None = None
) -> list[list[int]]:
    """Token ids of prompts: plain text as it stands, messages by the tokenizer's chat template.

    `template` holds further variables of the chat template, such as `enable_thinking`.
    """
    ids: list[list[int]] = []
    for prompt in prompts:
        if isinstance(prompt, str):
            ids.append(list(tokenizer(prompt)["input_ids"]))
        else:
            encoded: Any = tokenizer.apply_chat_template(
                prompt, add_generation_prompt=True, return_dict=True, **(template or {})
            )
            ids.append(list(encoded["input_ids"]))
    return ids


def writes_date(tokenizer: "PreTrainedTokenizerBase", template: Mapping[str, Any] | None = None) -> bool:
    """Whether the chat template writes today's date into a prompt, so that prompts differ from day to day.

    Llama 3's does unless `template` has a `date_string`.
    """
    asked: list[str] = []

    def strftime_now(form: str) -> str:
        asked.append(form)
        return form

    tokenizer.apply_chat_template(
        [{"role": "user", "content": "1"}], tokenize=False, **{**(template or {}), "strftime_now": strftime_now}
    )
    return bool(asked)


def in_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Which prompts, by their places, are drawn together, in the order in which they are drawn.

    Prompts of similar length together, the longest first: little padding, and a lack of memory shows at once.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give 1 or more")
    if 0 in lengths:
        raise ValueError(f"prompt {lengths.index(0)} has no tokens; a model needs one or more to continue")
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def generate_ids(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[list[int]],
    decoding: Decoding,
    seed: int,
    batch_size: int = 256,
) -> list[list[int]]:
    """One completion (token ids, cut after the end token) for every prompt (token ids), in the prompts' order.

    The same arguments give the same completions; the caller's random state and the model's mode are untouched.
    """
    drawn: dict[int, list[int]] = {}
    stream = Stream(seed)
    for batch in in_batches([len(prompt) for prompt in prompts], batch_size):
        tokens, stream = generate_batch(model, tokenizer, [prompts[place] for place in batch], decoding, stream)
        drawn.update(zip(batch, tokens, strict=True))
    return [drawn[place] for place in range(len(prompts))]


def generate_batch(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[list[int]],
    decoding: Decoding,
    stream: Stream,
) -> tuple[list[list[int]], Stream]:
    """As `generate_ids`, of prompts that are drawn together, from `stream` on; and where it then stands."""
    import torch

    ends = end_ids(model, tokenizer)
    padding = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else ends[0]
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            stream.take_up(model.device)
            return _generate(model, ends, padding, prompts, decoding), stream.now(model.device)
    finally:
        model.train(was_training)


def _generate(
    model: "PreTrainedModel", ends: list[int], padding: int, prompts: Sequence[list[int]], decoding: Decoding
) -> list[list[int]]:
    """Generated token ids of a batch, each cut after its first end token."""
    import torch
    from transformers import GenerationConfig

    width = max(map(len, prompts))
    ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    greedy = decoding.temperature == 0
    configuration = GenerationConfig(
        **NEUTRAL_IN_GENERATE,
        max_new_tokens=decoding.max_new_tokens,
        do_sample=not greedy,
        temperature=None if greedy else decoding.temperature,
        top_p=None if greedy else decoding.top_p,
        top_k=None if greedy else decoding.top_k,
        eos_token_id=ends,
        pad_token_id=padding,
    )
    output: Any = model.generate(  # type: ignore[operator]
        input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=configuration
    )
    return [_cut(row, ends) for row in output[:, width:].tolist()]


def _cut(tokens: list[int], ends: list[int]) -> list[int]:
    first = next((position for position, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: first + 1]


def end_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens that end a completion: the tokenizer's, and those of the model (chat models may have several)."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    several = configured if isinstance(configured, list) else [configured]
    ends = sorted({token for token in [tokenizer.eos_token_id, *several] if isinstance(token, int)})
    if not ends:
        raise ValueError(f"the tokenizer's eos_token is {tokenizer.eos_token!r}; set one, or no completion can end")
    return ends
