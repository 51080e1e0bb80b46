"""A block that was killed half way and trained again, against one that was left alone.

Two blocks of a stage. One run is never disturbed; one is killed (SIGKILL, in a process of its own) half way through the
second block and goes on in this process from the stored parent and its optimizer. A third, undisturbed like the first,
says how much two equal runs differ on this device.

As a command (it is the process that is killed): `python -m tests.experiments.gpu.resume SCENARIO.yaml RESULTS
ALLOCATION`.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers.trainer_callback import PrinterCallback

from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.events import Event, StepDone
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.checkpoint import hash_weights, load_tokenizer
from tuition.runners.training.stages import grpo
from tuition.runners.training.stages.harness import StageWork

STUDY = "resume"


def kill_half_way(event: Event, key: str) -> None:
    """Kill this process half way through the block with this key."""
    if isinstance(event, StepDone) and event.key == key and event.step >= (event.steps + 1) // 2:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Difference:
    """Two checkpoints."""

    equal: bool
    largest: float
    """Largest difference of one weight."""

    def __str__(self) -> str:
        return "bit for bit" if self.equal else f"largest difference {self.largest:.1e}"


def compare(one: Path, other: Path) -> Difference:
    """Compare the weights of two checkpoint folders."""
    ours, theirs = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    largest = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    return Difference(hash_weights(one) == hash_weights(other), largest)


def train(scenario: Scenario, results: Path, text: str, expect_trained: int) -> Path:
    """Run a route, check how many of its blocks were trained now, and return the folder of its last checkpoint."""
    runner = RouteRunner(scenario, results)
    try:
        run = runner.run(_route(scenario, text), STUDY)
    finally:
        runner.close()
    trained = sum(use.executed for use in run.blocks)
    if trained != expect_trained:
        raise RuntimeError(f"{trained} of {len(run.blocks)} blocks were trained, not {expect_trained}")
    return run.model


def train_in_memory(scenario: Scenario, folder: Path, text: str) -> Path:
    """A route of student_rl alone, with one model and one optimizer that are never written between blocks."""
    runner = RouteRunner(scenario, folder / "store-in-memory")
    try:
        route = _route(scenario, text)
        answers = {problem.id: problem.answer for problem in scenario.labels}
        order = runner.trainer.order(route.blocks[0])
        model, optimizers = order.model.load(order.device, trainable=True), (None, None)
        for block in route.blocks:
            rows, _ = runner.trainer.rows.make(block, answers)
            of_block = order.model_copy(update={"block": block})
            work = StageWork(of_block, model, load_tokenizer(order.model.base), rows, folder, runner.grader)
            trainer = grpo.make_trainer(work, optimizers)
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            optimizers = (trainer.optimizer.optimizer, trainer.lr_scheduler)
    finally:
        runner.close()
    model.save_pretrained(folder / "in-memory")
    return folder / "in-memory"


def check_resume(file: Path, folder: Path, text: str) -> tuple[str, bool]:
    """What was seen, in words, and whether it is as it must be.

    Resumed must equal undisturbed, or differ no more than twice as much as two undisturbed runs do: then it is the
    device that does not repeat itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scenario = Scenario.load(str(file))
    undisturbed = train(scenario, folder / "undisturbed", text, expect_trained=2)
    again = train(scenario, folder / "again", text, expect_trained=2)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.experiments.gpu.resume",
        str(file),
        str(folder / "killed"),
        text,
    ]
    with (folder / "killed.log").open("w", encoding="utf-8") as log:
        killed = subprocess.run(command, stdout=log, stderr=log, cwd=Path(__file__).parents[3])
    if killed.returncode != -signal.SIGKILL:
        tail = (folder / "killed.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"the process to be killed ended by itself with {killed.returncode}: {''.join(tail)[:300]}")
    resumed = train(scenario, folder / "killed", text, expect_trained=1)
    return _judge("resumed", resumed, undisturbed, again, scenario.base_folder("student"))


def check_in_memory(file: Path, folder: Path, text: str) -> tuple[str, bool]:
    """The same for one process that keeps model and optimizer in memory. Reads what `check_resume` left in `folder`."""
    scenario = Scenario.load(str(file))
    undisturbed, again = (train(scenario, folder / name, text, expect_trained=0) for name in ("undisturbed", "again"))
    in_memory = train_in_memory(scenario, folder, text)
    return _judge("in memory", in_memory, undisturbed, again, scenario.base_folder("student"))


def _judge(name: str, ours: Path, undisturbed: Path, again: Path, base: Path) -> tuple[str, bool]:
    difference, noise, moved = (compare(one, undisturbed) for one in (ours, again, base))
    told = (
        f"{name} and undisturbed: {difference}; two undisturbed runs: {noise}; training moved a weight by at most "
        f"{moved.largest:.1e}"
    )
    return told, not moved.equal and (difference.equal or difference.largest <= 2 * noise.largest)


def _route(scenario: Scenario, text: str) -> Route:
    return compile_route(Allocation.parse(text), scenario.recipe, 0)


def main() -> None:
    """Train until the last block of the route is half done, then die."""
    scenario = Scenario.load(sys.argv[1])
    if scenario.device == "cpu":
        torch.set_num_threads(1)
    route = _route(scenario, sys.argv[3])
    RouteRunner(scenario, Path(sys.argv[2]), partial(kill_half_way, key=route.final)).run(route, STUDY)


if __name__ == "__main__":
    main()
