"""Rebuild the base checkpoints of the `micro` scenario: tiny Qwen3 models trained from scratch.

What: a student and two teachers learn to continue `12+7+33=` with written steps and a boxed answer, from
solutions that are careful, slipping (an error in a step, carried on) or guessed. Sampled at temperature
1 they are therefore mostly wrong, but all of them hold the careful solution somewhere in their
distribution: what GRPO has to bring out, as in a pretrained model.

Simplified: one-character tokens (plus one for `\\boxed{`), fp32, one pass over generated data, no validation.

Run: `tuition micro build --out FOLDER` (under 40 minutes on 2 cores; the seed is fixed).
"""

import multiprocessing
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.suites.micro import draw_operands
from runners.checkpoint import hash_weights

ALPHABET = "0123456789+=, {}"
BOXED = "\\boxed{"
CONTEXT_TOKENS = 64


class BuildError(ValueError):
    """Something that cannot be built; one line with the value and the choices."""


@dataclass(frozen=True)
class BaseModel:
    """Shape and pretraining of one base checkpoint."""

    layers: int
    width: int
    heads: int
    steps: int
    batch: int = 192
    learning_rate: float = 2e-3
    seed: int = 0


# Our choice. The student and the medium teacher stop early, before they have learned all there is to learn: a student
# that can do everything already leaves nothing for a teacher to teach.
BASES = {
    "student": BaseModel(layers=2, width=64, heads=4, steps=750),
    "medium": BaseModel(layers=3, width=96, heads=4, steps=500),
    "large": BaseModel(layers=4, width=128, heads=4, steps=1800),
}

# The mixture that the bases learn: shares of careful, slipping and guessed solutions, and how often a step slips.
CAREFUL, SLIPPING = 0.15, 0.45
SLIP = 0.35


def solution(operands: list[int], rng: random.Random) -> str:
    """One solution text for a sum: careful, slipping or guessed, drawn by the mixture above."""
    kind = rng.random()
    total = sum(operands)
    if kind >= CAREFUL + SLIPPING:
        guess = max(0, total + round(rng.gauss(0, 8)))
        return f"{BOXED}{guess}}}"
    steps, running = [], operands[0]
    for operand in operands[1:]:
        result = running + operand
        if kind >= CAREFUL and rng.random() < SLIP:
            result = max(0, result + rng.choice([-10, -2, -1, 1, 2, 10]))
        steps.append(f"{running}+{operand}={result}")
        running = result
    return ",".join(steps) + f" {BOXED}{running}}}"


def make_tokenizer(folder: Path) -> None:
    """Write a character-level tokenizer (padding on the left) that transformers opens with AutoTokenizer."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    specials = ["<pad>", "<eos>"]
    vocab = {token: i for i, token in enumerate([*specials, BOXED, *ALPHABET])}
    core = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<eos>"))
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
    rng = random.Random(f"micro base {name} {base.seed}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=base.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, base.learning_rate, total_steps=base.steps, pct_start=0.05
    )
    started = time.perf_counter()
    for step in range(base.steps):
        loss = model(**_draw_batch(base, tokenizer, rng)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == base.steps - 1:
            _say(f"{name}: step {step}/{base.steps}, loss {loss.item():.4f}, {time.perf_counter() - started:.0f} s")
    model.save_pretrained(folder)
    shipped = Path(__file__).parent / "scenarios" / "micro" / name
    same = shipped.exists() and hash_weights(shipped) == hash_weights(folder)
    _say(f"{name}: {'equal to' if same else 'other weights than'} the shipped checkpoint")


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


def _draw_batch(base: BaseModel, tokenizer: Any, rng: random.Random) -> dict[str, Any]:
    """Random sums with solutions of the mixture. Operands teach nothing, so only what follows `=` is a label."""
    prompts, texts = [], []
    for _ in range(base.batch):
        operands = draw_operands(rng, "pretraining", (2, 3, 4))
        prompts.append("+".join(map(str, operands)) + "=")
        texts.append(prompts[-1] + solution(operands, rng) + tokenizer.eos_token)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    for row, prompt in enumerate(prompts):
        labels[row, : len(prompt)] = -100  # one character is one token
    return {**batch, "labels": labels}


def _say(text: str) -> None:
    # From a process of its own, so not through the parent's logging.
    print(text, file=sys.stderr, flush=True)


def build(out: Path, names: list[str] | None = None) -> None:
    """Train the base checkpoints, each in a process and on a thread of its own."""
    chosen = names or list(BASES)
    unknown = [name for name in chosen if name not in BASES]
    if unknown:
        raise BuildError(f"unknown base checkpoint {unknown[0]!r}; choose from {', '.join(BASES)}")
    with multiprocessing.get_context("spawn").Pool(processes=min(2, len(chosen)), maxtasksperchild=1) as pool:
        # The slowest first, so that two cores finish together.
        tasks = [
            pool.apply_async(build_base, (name, out))
            for name in sorted(chosen, reverse=True, key=lambda n: BASES[n].width)
        ]
        for task in tasks:
            task.get()
