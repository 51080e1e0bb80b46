"""What GRPO's loss is multiplied by when the sampler computes otherwise than training, by correction and length.

A sampler in bfloat16 draws completions; the same model in float32 (or, with --autocast, under autocast to bfloat16)
gives them their probabilities in training. Each mode of `rollout_correction` makes weights of the ratios, as TRL does.

Run: `python -m tests.experiments.correction.mismatch`, after `tuition smol fetch`; some minutes on two cores.
Completions go on after an end token, so that all have the full length; a shorter length is the beginning of a longer
one.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from tuition.runners.base_models.smol_weights import CHECKPOINT
from tuition.runners.scenarios.settings import SEQUENCE_MASK, RolloutCorrection
from tuition.runners.training.checkpoint import load_model, load_tokenizer
from tuition.runners.training.stages.rollout_ratio import ratios

QUESTIONS = (
    "How many positive integers below 100 are divisible by 3 or 7? Think step by step.",
    "Find x with 3x+5=26 and explain every step at length.",
    "What is the sum of the first 20 odd numbers? Explain.",
    "A train goes 60 km in 45 minutes. What is its speed in km/h? Explain.",
    "Prove that the square root of 2 is irrational.",
    "Compute 17*23 in three ways.",
    "How many diagonals has a regular octagon? Reason slowly.",
    "Solve x^2-5x+6=0 step by step.",
)
LENGTHS = (64, 256, 1024, 2048)
MODES = get_args(RolloutCorrection.model_fields["mode"].annotation)
LITTLE = 0.1
"""A completion whose loss has less than this weight teaches next to nothing."""


@dataclass(frozen=True)
class Weighed:
    """What one mode does to completions of one length. Shares of all tokens, and weights averaged over them."""

    length: int
    mode: str
    mean: float
    median: float
    outside: float
    little: float

    def __str__(self) -> str:
        return (
            f"{self.length:6d}  {self.mode:<18} {self.mean:8.3f} {self.median:8.3f} {self.outside:9.1%} "
            f"{self.little:9.1%}"
        )


def draw(model: Any, prompt_ids: Sequence[int], count: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Completions of one prompt (count, length), and the log-probability that the sampler gives each token."""
    tokens, log_probabilities = [], []
    inputs, cache = torch.tensor([list(prompt_ids)] * count), None
    with torch.inference_mode():
        for _ in range(length):
            output = model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            logs, cache = torch.log_softmax(output.logits[:, -1].float(), -1), output.past_key_values
            inputs = torch.multinomial(logs.exp(), 1)
            tokens.append(inputs)
            log_probabilities.append(logs.gather(1, inputs))
    return torch.cat(tokens, 1), torch.cat(log_probabilities, 1)


def give_probabilities(
    model: Any, prompt_ids: Sequence[int], completions: torch.Tensor, autocast: bool
) -> torch.Tensor:
    """Log-probabilities of completions' tokens in training, of the shape of `completions`."""
    found = []
    precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
    for completion in completions:
        ids = torch.cat([torch.tensor(list(prompt_ids)), completion])[None]
        with torch.inference_mode(), precision:
            logits = model(input_ids=ids).logits[0, len(prompt_ids) - 1 : -1]
        found.append(torch.log_softmax(logits.float(), -1).gather(1, completion[:, None])[:, 0])
    return torch.stack(found)


def weigh(trained: torch.Tensor, drawn: torch.Tensor, correction: RolloutCorrection) -> tuple[torch.Tensor, float]:
    """The weight of each token's loss (completions, tokens), and the share of ratios out of bounds."""
    of_sequences = correction.mode.startswith("sequence")
    found = ratios(trained, drawn, torch.ones_like(drawn), of_sequences)
    found = found[:, None].expand_as(drawn) if of_sequences else found.reshape(drawn.shape)
    if correction.mode == "off":
        return torch.ones_like(drawn), 0.0
    least, most = correction.clip_min or 0.0, correction.clip_max or torch.inf
    outside = (found < least) | (found > most)
    kept = found.masked_fill(outside, 0.0) if correction.mode.endswith("mask") else found.clamp(least, most)
    return kept, float(outside.float().mean())


def compare(trained: torch.Tensor, drawn: torch.Tensor, lengths: Sequence[int]) -> Iterator[Weighed]:
    """Every mode at every length, with the bound that is the default."""
    for length in lengths:
        for mode in MODES:
            weights, outside = weigh(trained[:, :length], drawn[:, :length], RolloutCorrection(mode=mode))
            little = float((weights < LITTLE).float().mean())
            yield Weighed(length, mode, float(weights.mean()), float(weights.median()), outside, little)


def measure(
    folder: Path, questions: Sequence[str], completions: int, length: int, autocast: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities in training and of the sampler, (questions × completions, length)."""
    tokenizer = load_tokenizer(folder)
    sampler, trained = (load_model(folder, dtype, "cpu", trainable=False) for dtype in ("bfloat16", "float32"))
    torch.manual_seed(0)
    in_training, of_sampler = [], []
    for question in questions:
        text = [{"role": "user", "content": question}]
        template = tokenizer.chat_template is not None
        prompt = (
            tokenizer.apply_chat_template(text, add_generation_prompt=True, return_dict=True)["input_ids"]
            if template
            else tokenizer(question)["input_ids"]
        )
        tokens, logs = draw(sampler, prompt, completions, length)
        of_sampler.append(logs)
        in_training.append(give_probabilities(trained, prompt, tokens, autocast))
    return torch.cat(in_training), torch.cat(of_sampler)


def main() -> None:
    """Print one line for each mode and length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=CHECKPOINT)
    parser.add_argument("--questions", type=int, default=2, help=f"at most {len(QUESTIONS)}")
    parser.add_argument("--completions", type=int, default=4, help="of each question, drawn together")
    parser.add_argument("--length", type=int, default=LENGTHS[-1])
    parser.add_argument("--autocast", action="store_true", help="train under autocast to bfloat16")
    options = parser.parse_args()
    trained, drawn = measure(
        options.model.expanduser(),
        QUESTIONS[: options.questions],
        options.completions,
        options.length,
        options.autocast,
    )
    difference = trained - drawn
    print(f"{drawn.numel()} tokens; log-ratio of a token: mean {difference.mean():+.5f}, sd {difference.std():.5f}")
    print(f"before: {SEQUENCE_MASK.mode}, clip_max {SEQUENCE_MASK.clip_max}; now: {RolloutCorrection().mode}")
    print(f"{'tokens':>6}  {'mode':<18} {'mean':>8} {'median':>8} {'outside':>9} {'< ' + str(LITTLE):>9}")
    for line in compare(trained, drawn, [length for length in LENGTHS if length <= options.length]):
        print(line)


if __name__ == "__main__":
    main()
