"""What our stages cost on top of bare TRL: wall time of one block against a plain TRL script with equal settings.

Run: `python tests/experiments/speed/stage_overhead.py [--pairs 7] [--stages opd] [--scenario micro]`. Bare and block
run in turn in one process, on one thread; the figure is the median of the ratios of neighbours. Loading the models,
making the trainer and training are in both; a block also makes its rows, from teacher rollouts that were drawn before.
Writing and hashing the checkpoint, which a bare script would do as well, are stated apart. Not a test of speed:
machines are noisy.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import datasets
import torch
import transformers
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DistillationConfig, DistillationTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.checkpoint import hash_weights
from tuition.runners.training.execution import save_result, train_block

Rows = list[dict[str, Any]]


def common(scenario: Scenario, block: Block, folder: str) -> dict[str, Any]:
    """The arguments that a careful user would give to TRL."""
    settings = scenario.file.stages.of(block.stage)
    return {
        "output_dir": folder, "max_steps": settings.steps, "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup", "warmup_steps": settings.lr_warmup_steps, "weight_decay": 0.0,
        "per_device_train_batch_size": min(settings.micro_batch, settings.sequences_per_step),
        "gradient_accumulation_steps": settings.accumulation(), "gradient_checkpointing": False,
        "bf16": scenario.file.hardware.dtype == "bfloat16", "use_cpu": scenario.device == "cpu", "seed": block.seed,
        "dataloader_pin_memory": scenario.device != "cpu", "logging_steps": 1, "save_strategy": "no",
        "report_to": "none", "disable_tqdm": True,
    }  # fmt: skip


def drawing(scenario: Scenario, block: Block) -> dict[str, Any]:
    """The same of those trainers that draw completions."""
    return {
        "max_completion_length": scenario.file.stages.of(block.stage).max_completion_tokens, "shuffle_dataset": False,
    }  # fmt: skip


def student_of(scenario: Scenario, block: Block) -> dict[str, Any]:
    """The model that is trained, and its tokenizer."""
    base = scenario.base_folder(block.model)
    return {
        "model": AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        "processing_class": AutoTokenizer.from_pretrained(base, padding_side="left"),
    }


def bare_grpo(scenario: Scenario, block: Block, rows: Rows, grader: Grader) -> None:
    """Plain TRL: GRPO on the model of the block."""
    settings = scenario.file.stages.of(block.stage)

    def reward(prompts: list[str], completions: list[str], answer: list[str], **_: object) -> list[float]:
        return [float(g.verdict is Verdict.correct) for g in grader.grade_many(answer, completions)]

    with tempfile.TemporaryDirectory() as folder:
        GRPOTrainer(
            **student_of(scenario, block),
            reward_funcs=reward,
            args=GRPOConfig(
                num_generations=settings.generations,
                beta=settings.kl_coef,
                **common(scenario, block, folder),
                **drawing(scenario, block),
            ),
            train_dataset=Dataset.from_list(rows),
        ).train()


def bare_distillation(scenario: Scenario, block: Block, rows: Rows, trainer: type, beta: float) -> None:
    """Plain TRL: distillation from the raw teacher."""
    teacher = scenario.base_folder(scenario.default_teacher)
    with tempfile.TemporaryDirectory() as folder:
        trainer(
            **student_of(scenario, block),
            teacher_model=AutoModelForCausalLM.from_pretrained(
                teacher, dtype=getattr(torch, scenario.file.hardware.dtype)
            ),
            args=DistillationConfig(beta=beta, **common(scenario, block, folder), **drawing(scenario, block)),
            train_dataset=Dataset.from_list(rows),
        ).train()


def bare_opd(scenario: Scenario, block: Block, rows: Rows, grader: Grader) -> None:
    """On the student's own completions."""
    bare_distillation(scenario, block, rows, DistillationTrainer, beta=1.0)


class OfTeacher(DistillationTrainer):
    """TRL has no distillation on completions that are there already: the least that a user would write for it."""

    def _generate_and_score_completions(self, inputs: Rows) -> dict[str, Any]:
        self.given = [row["completion_ids"] for row in inputs]
        return super()._generate_and_score_completions(inputs)

    def _generate_single_turn(self, *args: object, **kwargs: object) -> list[list[int]]:
        return self.given


def bare_warmup(scenario: Scenario, block: Block, rows: Rows, grader: Grader) -> None:
    """On the teacher's completions."""
    bare_distillation(scenario, block, rows, OfTeacher, beta=0.0)


def bare_sft(scenario: Scenario, block: Block, rows: Rows, grader: Grader) -> None:
    """Plain TRL: next-token loss on the completions."""
    tokens = [
        {
            "input_ids": row["prompt_ids"] + row["completion_ids"],
            "labels": [-100] * len(row["prompt_ids"]) + row["completion_ids"],
        }
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        SFTTrainer(
            **student_of(scenario, block),
            args=SFTConfig(
                **common(scenario, block, folder),
                train_sampling_strategy="sequential",
                dataset_kwargs={"skip_prepare_dataset": True},
                max_length=None,
            ),
            train_dataset=Dataset.from_list(tokens),
        ).train()


CASES = {
    "teacher_rl": ("teacher={teacher} teacher_rl=1 opd=1", bare_grpo),
    "teacher_sft": ("teacher={teacher} teacher_sft=1 opd=1", bare_sft),
    "warmup": ("teacher={teacher} warmup=1", bare_warmup),
    "opd": ("teacher={teacher} opd=1", bare_opd),
    "transfer_sft": ("teacher={teacher} transfer_sft=1", bare_sft),
    "student_rl": ("student_rl=1", bare_grpo),
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
    given, _ = trainer.rows.make(block, answers)
    ratios, bare_seconds, publish_seconds = [], [], []
    for pair in range(warm_up + pairs):
        with tempfile.TemporaryDirectory() as scratch:
            started = time.perf_counter()
            bare(scenario, block, given, runner.grader)
            between = time.perf_counter()
            order = trainer.order(block)
            rows, _ = trainer.rows.make(block, answers)
            result = train_block(order, rows, Path(scratch), runner.grader)
            trained = time.perf_counter()
            save_result(order, result, Path(scratch) / "block")
            hash_weights(Path(scratch) / "block" / "model")
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
    parser.add_argument("--warm-up", type=int, default=1, help="pairs before those, which do not count")
    parser.add_argument("--scenario", default="micro")
    parser.add_argument("--stages", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    scenario = Scenario.load(arguments.scenario)
    with tempfile.TemporaryDirectory() as results:
        runner = RouteRunner(scenario, Path(results))
        for stage in arguments.stages:
            print(f"{stage:12} {measure(runner, stage, arguments.pairs, arguments.warm_up)}", flush=True)
        runner.close()


if __name__ == "__main__":
    main()
