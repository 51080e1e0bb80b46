"""Sampling: completions of a model on the problems of a suite, and their table of graded samples.

What: `render_prompt` and `encode_prompts` are the one place where a problem becomes tokens, for trainers as well;
`draw_ids` and `sample` draw completions with transformers' `generate`; `score_samples` grades them.

Simplified: one device, one process, whole batches (a batch ends with its longest completion). The draws depend on
`batch_size`, because a batch is drawn together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.grading import Grader
from benchmarks.records import checked_table
from benchmarks.suites.micro import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Prompt = str | list[dict[str, str]]


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


@dataclass(frozen=True)
class Completion:
    """One sampled completion. `num_tokens` counts generated tokens with the end token; `truncated` means without it."""

    problem_index: int
    sample: int
    text: str
    num_tokens: int
    truncated: bool


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


def sample(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    decoding: Decoding,
    num_samples: int,
    seed: int,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
    template: Mapping[str, Any] | None = None,
) -> list[Completion]:
    """Draw `num_samples` completions of every problem, ordered by problem, then sample.

    The same arguments give the same completions, and the caller's random state is untouched. `batch_size` counts
    sequences; `progress` is called with (sequences done, sequences in all) after each batch; `template` is as in
    `encode_prompts`.
    """
    return sample_with(
        lambda prompts: draw_ids(model, tokenizer, prompts, decoding, seed, batch_size, progress),
        end_ids(model, tokenizer),
        tokenizer,
        problems,
        decoding,
        num_samples,
        template,
    )


def sample_with(
    draw: Callable[[list[list[int]]], list[list[int]]],
    ends: Sequence[int],
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    decoding: Decoding,
    num_samples: int,
    template: Mapping[str, Any] | None = None,
) -> list[Completion]:
    """As `sample`, with completions from `draw`: of prompts as token ids, token ids that end at one of `ends`."""
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}; give 1 or more")
    prompts = encode_prompts(tokenizer, [render_prompt(problem.problem, decoding) for problem in problems], template)
    rows = [(index, number) for index in range(len(problems)) for number in range(num_samples)]
    drawn = draw([prompts[index] for index, _ in rows])
    texts = [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in drawn]
    return [
        Completion(index, number, text, len(ids), ids[-1] not in ends)
        for (index, number), text, ids in zip(rows, texts, drawn, strict=True)
    ]


def draw_ids(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[list[int]],
    decoding: Decoding,
    seed: int,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[int]]:
    """One completion (token ids, cut after the end token) for every prompt (token ids), in the prompts' order.

    The same arguments give the same completions; the caller's random state and the model's mode are untouched.
    """
    import torch

    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give 1 or more")
    empty = next((row for row, ids in enumerate(prompts) if not ids), None)
    if empty is not None:
        raise ValueError(f"prompt {empty} has no tokens; a model needs one or more to continue")
    # Prompts of similar length together, the longest first: little padding, and a lack of memory shows at once.
    order = sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), row))
    ends = end_ids(model, tokenizer)
    padding = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else ends[0]
    drawn: dict[int, list[int]] = {}
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            torch.manual_seed(seed)
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size]
                tokens = _generate(model, ends, padding, [prompts[row] for row in batch], decoding)
                drawn.update(zip(batch, tokens, strict=True))
                if progress is not None:
                    progress(len(drawn), len(order))
    finally:
        model.train(was_training)
    return [drawn[row] for row in range(len(prompts))]


def _generate(
    model: "PreTrainedModel", ends: list[int], padding: int, prompts: list[list[int]], decoding: Decoding
) -> list[list[int]]:
    """Generated token ids of a batch, each cut after its first end token."""
    import torch
    from transformers import GenerationConfig

    width = max(map(len, prompts))
    ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    greedy = decoding.temperature == 0
    # A whole configuration of our own: the model's may carry a temperature or filters that nobody asked for.
    configuration = GenerationConfig(
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


def score_samples(problems: Sequence[Problem], completions: Sequence[Completion], grader: Grader) -> pd.DataFrame:
    """Grade completions of `problems` (by `problem_index`): the sample table of `benchmarks.records`."""
    asked = [problems[completion.problem_index] for completion in completions]
    grades = grader.grade_many([problem.answer for problem in asked], [completion.text for completion in completions])
    table = pd.DataFrame(
        {
            "problem_id": [problem.id for problem in asked],
            "sample": [completion.sample for completion in completions],
            "completion": [completion.text for completion in completions],
            "extracted": [grade.extracted for grade in grades],
            "verdict": [str(grade.verdict) for grade in grades],
            "correct": [grade.correct for grade in grades],
            "num_tokens": [completion.num_tokens for completion in completions],
            "truncated": [completion.truncated for completion in completions],
            "level": [problem.level for problem in asked],
            "subject": [problem.subject for problem in asked],
        }
    )
    return checked_table(table)
