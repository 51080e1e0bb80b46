"""The promise under all reuse: blocks in separate processes equal one process that keeps everything in memory."""

from pathlib import Path

import pytest
import yaml

from tests.runners.conftest import small_scenario_file
from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, compile_route
from tuition.runners import fork_server
from tuition.runners.draws import shuffled_passes
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.checkpoint import load_model, load_tokenizer
from tuition.runners.training.stages import grpo
from tuition.runners.training.stages.harness import StageWork
from tuition.runners.training.work_order import ModelFiles, WorkOrder

BLOCKS = 4


def train_one_more(blocks: int, folders: list[Path]) -> None:
    """Train the last of so many blocks in each folder, in a process of its own that has computed nothing before."""
    for folder in folders:
        scenario = Scenario.load(str(folder / "scenario.yaml"))
        runner = RouteRunner(scenario, folder / "results")
        run = runner.run(compile_route(Allocation(student_rl=blocks), scenario.recipe, 0), "prefix")
        assert [use.executed for use in run.blocks] == [False] * (blocks - 1) + [True], run.blocks
        runner.close()


def _write_scenario(folder: Path, **settings: float) -> Path:
    content = small_scenario_file()
    content["stages"]["student_rl"] |= settings
    folder.mkdir()
    (folder / "scenario.yaml").write_text(yaml.safe_dump(content))
    return folder


def _train_in_memory(scenario: Scenario, tmp_path: Path) -> dict[str, object]:
    """All blocks in this process, with one model, one optimizer and one scheduler that are never written."""
    import torch

    torch.set_num_threads(1)
    from tuition.benchmarks.grading.grader import Grader

    route = compile_route(Allocation(student_rl=BLOCKS), scenario.recipe, 0)
    base = scenario.base_folder("student")
    model = load_model(base, "float32", "cpu")
    settings = scenario.file.stages.student_rl
    problems = {p.id: p for p in scenario.labels}
    optimizers: tuple[object, object] = (None, None)
    grader = Grader()

    def work(block: Block) -> StageWork:
        ids = shuffled_passes(block.pool, settings.steps * settings.prompts_per_step, block.seed)
        rows = [{"prompt": problems[i].problem, "answer": problems[i].answer} for i in ids]
        order = WorkOrder(
            block=block,
            settings=settings,
            model=ModelFiles(base, base, "float32"),
            reference=base,
            device="cpu",
            dtype="float32",
            engine="transformers",
        )
        return StageWork(order, model, load_tokenizer(base), rows, tmp_path, grader)

    for block in route.blocks:
        trainer = grpo.make_trainer(work(block), optimizers)
        trainer.train()
        optimizers = (trainer.optimizer.optimizer, trainer.lr_scheduler)
    grader.close()
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_four_processes_equal_one_process_in_memory_bit_for_bit(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folders = [
        _write_scenario(tmp_path / "without_kl", kl_coef=0.0),
        _write_scenario(tmp_path / "with_kl", kl_coef=0.05),
        # Completions of two steps are drawn together, so the second step's policy is no longer the one that drew.
        _write_scenario(tmp_path / "two_updates", updates_per_rollout=2, prompts_per_step=2),
    ]
    for blocks in range(1, BLOCKS + 1):
        process = fork_server.forked().Process(target=train_one_more, args=(blocks, folders))
        fork_server.start(process)
        process.join()
        assert process.exitcode == 0, blocks

    finals = []
    for folder in folders:
        scenario = Scenario.load(str(folder / "scenario.yaml"))
        route = compile_route(Allocation(student_rl=BLOCKS), scenario.recipe, 0)
        stored = load_file(BlockStore(folder / "results" / "store").model(route.final) / "model.safetensors")
        base = load_file(scenario.base_folder("student") / "model.safetensors")
        in_memory = _train_in_memory(scenario, tmp_path)
        assert any(not torch.equal(stored[name], base[name]) for name in stored), "nothing was trained"
        for name, tensor in stored.items():
            assert torch.equal(tensor, in_memory[name]), name
        finals.append(stored)
    # Neither is a decoration: each changes what is learned.
    for other in finals[1:]:
        assert any(not torch.equal(finals[0][name], other[name]) for name in other)
