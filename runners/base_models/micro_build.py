"""Rebuild the base checkpoints of `micro`, `micro-b` and `micro-c`: tiny Qwen3 models trained from scratch.

What: students and teachers learn to answer `57k=` by `\\boxed{5783}`. They learn to copy the number, but of a letter
only that it is one of four values, seldom the right one. Sampled at temperature 1 they are therefore mostly wrong, but
hold the right solution somewhere in their distribution: what GRPO has to bring out, as in a pretrained model.

Simplified: two digits are one token, as are `\\boxed{` and any other character; fp32, one pass over generated data, no
validation.

Run: `tuition micro build --out FOLDER` (about 4 minutes on 2 cores; the seed is fixed).
"""

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuition.benchmarks.suites.micro import LETTERS, MIXES, candidates, numbers
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.training.checkpoint import hash_weights

ALPHABET = "0123456789={}" + LETTERS
BOXED = "\\boxed{"
CONTEXT_TOKENS = 48


class BuildError(ValueError):
    """Something that cannot be built; one line with the value and the choices."""


@dataclass(frozen=True)
class BaseModel:
    """Shape and pretraining of a base checkpoint.

    `shares`: how often it takes a letter for each of its candidates, by the letter's level; the first counts for levels
    that are not named.
    """

    layers: int
    width: int
    steps: int
    shares: Mapping[int, tuple[float, ...]]
    heads: int = 4
    batch: int = 192
    learning_rate: float = 2e-3
    seed: int = 0


EASY, HARD = (0.4, 0.3, 0.2, 0.1), (0.55, 0.3, 0.005, 0.145)
KNOWN, UNKNOWN, TAUGHT = (0.1, 0.05, 0.8, 0.05), (0.55, 0.3, 0.0, 0.15), (0.5, 0.3, 0.07, 0.13)
# Our choice. In `micro` the teacher is larger than the student, right more often, and knows the hard letters, for which
# the student hardly ever says the right value: GRPO has nothing to bring out there. In `micro-b` it is the other way
# round: the teacher is of the student's size, was trained for less, and lacks the hard letters. In `micro-c` each model
# alone may say the right value of its own level's letters; docs/micro-c.md says why the teachers seldom do.
BASES = {
    "micro/student": BaseModel(2, 32, 800, {1: EASY, 2: HARD}, learning_rate=4e-3),
    "micro/teacher": BaseModel(3, 96, 600, {1: (0.3, 0.2, 0.35, 0.15)}),
    "micro-b/student": BaseModel(2, 64, 600, {1: EASY}),
    "micro-b/teacher": BaseModel(2, 64, 450, {1: EASY, 2: HARD}),
    "micro-c/student": BaseModel(2, 48, 500, {1: KNOWN, 2: UNKNOWN, 3: UNKNOWN}, learning_rate=3e-3),
    "micro-c/broad": BaseModel(2, 64, 550, {1: UNKNOWN, 2: TAUGHT, 3: UNKNOWN}),
    "micro-c/narrow": BaseModel(2, 64, 550, {1: UNKNOWN, 2: UNKNOWN, 3: TAUGHT}),
}


def solution(number: int, value: int) -> str:
    """The written solution of a problem if the letter's value were `value`."""
    return f"{BOXED}{number}{value}}}"


def make_tokenizer(folder: Path) -> None:
    """Write a tokenizer (padding on the left) that transformers opens with AutoTokenizer.

    Digits are taken in pairs from the left, as large models' tokenizers take them in threes.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<pad>", "<eos>"]
    pairs = [f"{number:02d}" for number in range(100)]
    vocab = {token: i for i, token in enumerate([*specials, BOXED, *ALPHABET, *pairs])}
    core = Tokenizer(models.BPE(vocab=vocab, merges=[(pair[0], pair[1]) for pair in pairs], unk_token="<eos>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[0-9]{1,2}"), "isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        padding_side="left",
        model_max_length=CONTEXT_TOKENS,
    )
    tokenizer.add_tokens([BOXED])
    tokenizer.save_pretrained(folder)


def build_base(name: str, out: Path) -> None:
    """Train one base checkpoint and save it under `out/name`, weights last."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(1)
    base = BASES[name]
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    model = _make_model(base, tokenizer)
    rng = random.Random(f"base {name} {base.seed}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=base.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, base.learning_rate, total_steps=base.steps, pct_start=0.05
    )
    started = time.perf_counter()
    for step in range(base.steps):
        loss = model(**_draw_batch(base, tokenizer, rng, name.partition("/")[0])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == base.steps - 1:
            _say(f"{name}: step {step}/{base.steps}, loss {loss.item():.4f}, {time.perf_counter() - started:.0f} s")
    model.save_pretrained(folder)
    shipped = BUILT_IN / name
    same = (shipped / "model.safetensors").exists() and hash_weights(shipped) == hash_weights(folder)
    _say(f"{name}: {'identical to' if same else 'differs from'} the shipped checkpoint")


def _make_model(base: BaseModel, tokenizer: Any) -> Any:
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(base.seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=base.width,
            intermediate_size=3 * base.width,
            num_hidden_layers=base.layers,
            num_attention_heads=base.heads,
            num_key_value_heads=base.heads,
            head_dim=base.width // base.heads,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=None,
            **ends,
        )
    )
    model.generation_config = GenerationConfig(do_sample=True, **ends)
    return model


def _draw_batch(base: BaseModel, tokenizer: Any, rng: random.Random, mix: str) -> dict[str, Any]:
    """Random problems with solutions of the mixture. Numbers teach nothing, so only what follows `=` is a label."""
    prompts, texts = [], []
    for letter in rng.choices(MIXES[mix].letters, k=base.batch):
        number = rng.choice(numbers(mix, letter, "pretraining"))
        shares = base.shares.get(MIXES[mix].level(letter), base.shares[1])
        [value] = rng.choices(candidates(mix, letter), shares)
        prompts.append(f"{number}{letter}=")
        texts.append(prompts[-1] + solution(number, value) + tokenizer.eos_token)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    for row, prompt in enumerate(prompts):
        labels[row, : len(prompt) - 1] = -100  # two digits are one token, every other character is one
    return {**batch, "labels": labels}


def _say(text: str) -> None:
    # From a separate process, so not through the parent's logging.
    print(text, file=sys.stderr, flush=True)


def build(out: Path, names: list[str] | None = None) -> None:
    """Train the base checkpoints, each in its own process and on one thread."""
    chosen = names or list(BASES)
    unknown = [name for name in chosen if name not in BASES]
    if unknown:
        raise BuildError(f"unknown base checkpoint {unknown[0]!r}; choose from {', '.join(BASES)}")
    with multiprocessing.get_context("spawn").Pool(processes=min(2, len(chosen)), maxtasksperchild=1) as pool:
        # The slowest first, so that two cores finish together.
        tasks = [
            pool.apply_async(build_base, (name, out))
            for name in sorted(chosen, reverse=True, key=lambda n: BASES[n].width * BASES[n].steps)
        ]
        for task in tasks:
            task.get()
