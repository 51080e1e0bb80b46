"""Base models and a scenario of a size that occupies a GPU: the micro problems, but 10 M and 100 M parameters.

Trained from scratch in seconds, so that nothing has to be fetched. What they know is worth nothing; that they answer
right now and then is enough for every stage to have something to train on.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoTokenizer

from tuition.benchmarks.suites.micro import MIXES, candidates, numbers
from tuition.runners.base_models.micro_build import BaseModel, _make_model, make_tokenizer, solution

MIX = "micro"
# The base models are right 4 times in 10.
SHARES = {1: (0.3, 0.2, 0.4, 0.1)}
# Written before the answer, so that a completion has 21 tokens.
STEPS_WRITTEN = 8


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    student: BaseModel
    teacher: BaseModel
    vocabulary: int
    """Rows of the embedding. More than the tokenizer's, as in pretrained models: logits then weigh something."""
    steps: int
    """Optimizer steps of a block."""
    prompts: int
    """Prompts of a step; 1/8 of it are a label block."""
    completions: int
    """Completions of a prompt."""
    tokens: int = 24


GPU = Size(
    student=BaseModel(layers=9, width=256, steps=400, shares=SHARES, batch=256, learning_rate=1e-3),
    teacher=BaseModel(layers=12, width=768, steps=400, shares=SHARES, heads=12, batch=256, learning_rate=4e-4),
    vocabulary=8192,
    steps=10,
    prompts=64,
    completions=4,
)
TINY = Size(
    # vLLM on a CPU wants heads of 32.
    student=BaseModel(layers=1, width=64, steps=200, shares=SHARES, heads=2, batch=64, learning_rate=5e-3),
    teacher=BaseModel(layers=1, width=96, steps=200, shares=SHARES, heads=3, batch=64, learning_rate=5e-3),
    vocabulary=192,
    steps=3,
    prompts=32,
    completions=2,
)


def draw_batch(base: BaseModel, tokenizer: Any, rng: random.Random) -> dict[str, torch.Tensor]:
    """Random problems with solutions; only what follows the problem is a label. Tensors (batch, tokens)."""
    texts = []
    for letter in rng.choices(MIXES[MIX].letters, k=base.batch):
        number = rng.choice(numbers(MIX, letter, "pretraining"))
        [value] = rng.choices(candidates(MIX, letter), base.shares[1])
        texts.append(
            f"{number}{letter}=" + f"{number}=" * STEPS_WRITTEN + solution(number, value) + tokenizer.eos_token
        )
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    labels[:, :3] = -100  # the problem: a number, a letter and `=`
    return {**batch, "labels": labels}


def build_base(base: BaseModel, vocabulary: int, folder: Path, device: str) -> str:
    """Train one base model on `device` and save it in `folder`. Returns one line that says what was built."""
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    model = _make_model(base, tokenizer)
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    model.to(device)
    rng = random.Random(base.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=base.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, base.learning_rate, total_steps=base.steps, pct_start=0.1)
    started = time.perf_counter()
    for _ in range(base.steps):
        batch = {name: tensor.to(device) for name, tensor in draw_batch(base, tokenizer, rng).items()}
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    final = loss.item()
    seconds = time.perf_counter() - started
    parameters = sum(parameter.numel() for parameter in model.parameters())
    model.float().save_pretrained(folder)
    return f"{parameters / 1e6:.1f} M parameters, {base.steps} steps in {seconds:.0f} s, loss {final:.3f}"


def scenario_file(size: Size, device: str) -> dict[str, Any]:
    """The YAML of a scenario on the bases `student` and `teacher` beside it."""
    shared = {"steps": size.steps, "lr_warmup_steps": 3, "max_completion_tokens": size.tokens}
    shared["micro_batch"] = size.prompts * size.completions
    labels_per_block = size.prompts // 8
    rl = {
        **shared,
        "prompts_per_step": labels_per_block,
        "generations": 8 * size.completions,
        "kl_coef": 0.05,
        "learning_rate": 1e-5,
    }
    transfer = {**shared, "prompts_per_step": size.prompts, "completions": size.completions, "learning_rate": 1e-4}
    rejection = {"sequences": size.prompts * size.completions, "samples_per_problem": 64, "learning_rate": 1e-5}
    return {
        "name": "gpu-check",
        "student": {"path": "student"},
        "teachers": {"big": {"path": "teacher"}},
        "labels": {"micro": "labels", "count": 4 * labels_per_block},
        "labels_per_block": labels_per_block,
        "prompts": {"micro": "prompts", "count": 4 * size.prompts},
        "validation": {"problems": {"micro": "validation", "count": 16}, "samples": 2},
        "test": {"problems": {"micro": "test", "count": 2 * size.prompts}, "samples": 4 * size.completions},
        "decoding": {"name": "sampled", "temperature": 1.0, "max_new_tokens": size.tokens},
        "stages": {
            "teacher_rl": rl,
            "student_rl": rl,
            "teacher_sft": {**shared, **rejection},
            "warmup": transfer,
            "opd": transfer,
            "transfer_sft": transfer,
        },
        "hardware": {
            "device": device,
            "dtype": "bfloat16" if device == "cuda" else "float32",
            "engine": "transformers",
            "generation_batch": 4 * size.prompts * size.completions,
        },
    }


def make_scenario(size: Size, folder: Path, device: str, say: Callable[[str], None]) -> tuple[Path, list[str]]:
    """Build both bases and write the scenario. Returns the YAML file and one line for each base."""
    built = []
    for name, base in (("student", size.student), ("teacher", size.teacher)):
        say(f"building the {name}")
        built.append(f"{name}: {build_base(base, size.vocabulary, folder / name, device)}")
    path = folder / "gpu-check.yaml"
    path.write_text(yaml.safe_dump(scenario_file(size, device)), encoding="utf-8")
    return path, built
