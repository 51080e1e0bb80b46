"""What `test_seeds.py` runs in two processes: one prompt's group of 8 completions, 4 drawn by each.

The blocks are those of the engine vllm; transformers draws here, from the same stream. The first process writes the
completions of all as JSON to the path that is given.
"""

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from tuition.benchmarks.grading.grader import Grader
from tuition.planner.route import Block
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.scenarios.settings import RLSettings
from tuition.runners.training.checkpoint import load_model, load_tokenizer
from tuition.runners.training.child import run_together
from tuition.runners.training.stages import grpo
from tuition.runners.training.stages.harness import StageWork
from tuition.runners.training.work_order import ModelFiles, WorkOrder


def main(path: Path) -> None:
    """Train one step and write its completions."""
    state, base = PartialState(cpu=True), BUILT_IN / "micro" / "student"
    settings = RLSettings(steps=1, prompts_per_step=1, generations=8, micro_batch=4, max_completion_tokens=20)
    block = Block("k" * 64, "student_rl", 0, "student", "p", "p", None, ("a",), ("a",), 0, 123)
    files = ModelFiles(base, base, "float32")
    order = WorkOrder(
        block=block, settings=settings, model=files, device="cpu", dtype="float32", engine="vllm", processes=2
    )
    model = load_model(base, "float32", "cpu")
    torch.manual_seed(1)
    with torch.no_grad():  # so that its completions differ
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5 * parameter.std())
    drawn: list[tuple[int, ...]] = []
    with tempfile.TemporaryDirectory() as scratch, mock.patch.object(WorkOrder, "rollout_engine", "transformers"):
        work = StageWork(
            order, model, load_tokenizer(base), [{"prompt": "57k=57l=", "answer": "1"}], Path(scratch), Grader()
        )
        trainer = grpo.make_trainer(work)
        generate = trainer._generate_and_score_completions

        def noting(inputs: Any) -> Any:
            scored = generate(inputs)
            rows = zip(scored["completion_ids"], scored["completion_mask"], strict=True)
            drawn.extend(tuple(ids[mask.bool()].tolist()) for ids, mask in rows)
            return scored

        trainer._generate_and_score_completions = noting
        trainer.train()
        work.grader.close()
    everyone = gather_object(drawn)
    if state.is_main_process:
        path.write_text(json.dumps(everyone))
    state.wait_for_everyone()
    state.destroy_process_group()


def run(path: Path) -> None:
    """Train in two processes."""
    run_together(2, main, path)
