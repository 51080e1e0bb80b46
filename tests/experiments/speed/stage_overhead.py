"""What our stages cost on top of bare TRL: wall time of one block against a plain TRL script with equal settings.

Run: `python tests/experiments/speed/stage_overhead.py [--pairs 7]`. Bare and block run in turn in one process, on one
thread; the figure is the median of the ratios of neighbours. Making the trainer and training are in both; writing and
hashing the checkpoint, which a bare script would do as well, are stated apart. Not a test: machines are noisy.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import datasets
import torch
import transformers
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DistillationConfig, DistillationTrainer, GRPOConfig, GRPOTrainer

from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.meter import Clock
from tuition.runners.training.rows import SampleCounts
from tuition.runners.training.stages.harness import StageResult


def common(scenario: Scenario, settings: object, seed: int, folder: str) -> dict[str, object]:
    """The arguments that a careful user would give to TRL."""
    return {
        "output_dir": folder, "max_steps": settings.steps, "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup", "warmup_steps": settings.lr_warmup_steps, "weight_decay": 0.0,
        "per_device_train_batch_size": min(settings.micro_batch, settings.sequences_per_step),
        "gradient_accumulation_steps": settings.accumulation(), "gradient_checkpointing": False,
        "bf16": scenario.file.hardware.dtype == "bfloat16", "use_cpu": scenario.device == "cpu", "seed": seed,
        "dataloader_pin_memory": scenario.device != "cpu", "logging_steps": 1, "save_strategy": "no",
        "report_to": "none", "disable_tqdm": True, "max_completion_length": settings.max_completion_tokens,
        "shuffle_dataset": False,
    }  # fmt: skip


def bare_grpo(scenario: Scenario, block: Block, grader: Grader) -> None:
    """Plain TRL: GRPO on the model of the block."""
    settings = scenario.file.stages.of(block.stage)
    base = scenario.base_folder(block.model)
    problems = {p.id: p for p in scenario.labels}
    rows = [{"prompt": problems[i].problem, "answer": problems[i].answer} for i in block.pool] * settings.steps

    def reward(prompts: list[str], completions: list[str], answer: list[str], **_: object) -> list[float]:
        return [float(g.verdict is Verdict.correct) for g in grader.grade_many(answer, completions)]

    with tempfile.TemporaryDirectory() as folder:
        GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
            reward_funcs=reward,
            args=GRPOConfig(
                num_generations=settings.generations,
                beta=settings.kl_coef,
                **common(scenario, settings, block.seed, folder),
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(base, padding_side="left"),
        ).train()


def bare_opd(scenario: Scenario, block: Block, grader: Grader) -> None:
    """Plain TRL: on-policy distillation from the raw teacher."""
    settings = scenario.file.stages.opd
    base, teacher = scenario.base_folder("student"), scenario.base_folder(scenario.default_teacher)
    prompts = [p.problem for p in scenario.prompts]
    rows = [{"prompt": prompts[i % len(prompts)]} for i in range(settings.steps * settings.sequences_per_step)]
    with tempfile.TemporaryDirectory() as folder:
        DistillationTrainer(
            model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
            teacher_model=AutoModelForCausalLM.from_pretrained(
                teacher, dtype=getattr(torch, scenario.file.hardware.dtype)
            ),
            args=DistillationConfig(beta=1.0, **common(scenario, settings, block.seed, folder)),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(base, padding_side="left"),
        ).train()


CASES = {
    "teacher_rl": ("teacher={teacher} teacher_rl=1 opd=1", bare_grpo),
    "student_rl": ("student_rl=1", bare_grpo),
    "opd": ("teacher={teacher} opd=1", bare_opd),
}


@dataclass(frozen=True)
class Overhead:
    """Neighbouring runs of a bare script and of a block, and the checkpoint apart. Seconds of wall time."""

    ratios: list[float]
    bare_seconds: list[float]
    publish_seconds: list[float]

    def __str__(self) -> str:
        ratio, least, most = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        return (
            f"bare {statistics.median(self.bare_seconds):6.2f} s   "
            f"block/bare {ratio:5.3f} (min {least:.3f}, max {most:.3f})   "
            f"checkpoint {statistics.median(self.publish_seconds):.2f} s apart"
        )


def measure(runner: RouteRunner, stage: str, pairs: int, warm_up: int = 1) -> Overhead:
    """Run the bare script and the block of a stage in turn; the first `warm_up` pairs do not count."""
    trainer, scenario = runner.trainer, runner.scenario
    text, bare = CASES[stage]
    allocation = Allocation.parse(text.format(teacher=scenario.default_teacher))
    block = next(b for b in compile_route(allocation, scenario.recipe, 0).blocks if b.stage == stage)
    answers = {p.id: p.answer for p in scenario.labels}
    ratios, bare_seconds, publish_seconds = [], [], []

    def train_block() -> StageResult:
        with tempfile.TemporaryDirectory() as scratch:
            work, _ = trainer._prepare(block, answers, Path(scratch), None)
            return trainer._stage(block, work)

    for pair in range(warm_up + pairs):
        started = time.perf_counter()
        bare(scenario, block, runner.grader)
        between = time.perf_counter()
        result = train_block()
        trained = time.perf_counter()
        trainer._publish(block, result, SampleCounts(), Clock(scenario.device), trained - between)
        written = time.perf_counter()
        if pair >= warm_up:  # the first of each pays for imports and caches
            ratios.append((trained - between) / (between - started))
            publish_seconds.append(written - trained)
            bare_seconds.append(between - started)
    return Overhead(ratios, bare_seconds, publish_seconds)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description="Wall time of one block against a plain TRL script.")
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    scenario = Scenario.load("micro")
    with tempfile.TemporaryDirectory() as results:
        runner = RouteRunner(scenario, Path(results))
        for stage in CASES:
            print(f"{stage:11} {measure(runner, stage, pairs)}", flush=True)
        runner.close()


if __name__ == "__main__":
    main()
