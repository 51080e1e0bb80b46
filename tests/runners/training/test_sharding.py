"""FSDP2 with two processes on a CPU: what a sharded stage leaves is what an unsharded one does, whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.training.checkpoint import CarriedState, load_carried, save_carried
from tuition.runners.training.sharding import gather_optimizer, shard_optimizer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_sharded_stage_leaves_what_an_unsharded_one_does(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    scenario_file["keep_optimizer"] = "all"
    scenario_file["stages"]["student_rl"]["kl_coef"] = 0.1  # so that there is a reference, which is sharded too
    # Adam turns rounding into whole steps where a gradient is nearly 0, so that only a small rate can be compared.
    scenario_file["stages"]["student_rl"]["learning_rate"] = 1e-6
    left: dict[str, list[dict[str, torch.Tensor]]] = {}
    for sharding in ("none", "fsdp2"):
        scenario_file["hardware"] |= {"processes": 2, "sharding": sharding}
        scenario = load(scenario_file)
        runner = RouteRunner(scenario, tmp_path / sharding)
        route = compile_route(Allocation.parse("student_rl=2"), scenario.recipe, 0)
        runner.run(route, "sharded")
        runner.close()
        record = runner.store.record(route.final)
        assert record is not None and record.environment.get("sharding", "none") == sharding
        first, second = (pd.read_parquet(runner.store.path(b.key) / "train.parquet") for b in route.blocks)
        # The second block goes on with the warm-up where the first one left it, so it had its scheduler.
        assert second["learning_rate"].iloc[0] > first["learning_rate"].iloc[-1] > 0
        left[sharding] = [
            load_file(runner.store.path(block.key) / file)
            for block in route.blocks
            for file in ("model/model.safetensors", "optimizer.safetensors")
        ]
    base = load_file(scenario.base_folder("student") / "model.safetensors")
    starts = [base, None, base, None]  # an optimizer starts from nothing
    for start, whole, gathered in zip(starts, left["none"], left["fsdp2"], strict=True):
        assert {name: tensor.shape for name, tensor in whole.items()} == {n: t.shape for n, t in gathered.items()}
        learnt = distance(whole, start or {name: torch.zeros_like(tensor) for name, tensor in whole.items()})
        assert learnt > 0 and distance(whole, gathered) < 0.01 * learnt


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Euclidean, over all tensors but counts of steps."""
    return float(sum(((one[name] - other[name]) ** 2).sum() for name in one if one[name].ndim) ** 0.5)


def in_two_processes(rank: int, rendezvous: str, folder: str) -> None:
    """Gather a sharded optimizer's state, and take it up again."""
    torch.distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    model = torch.nn.Linear(4, 5)  # rows that two processes cannot halve
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    gathered = gather_optimizer(optimizer.state_dict(), keep=rank == 0)
    if rank == 0:
        save_carried(CarriedState(gathered, {}), Path(folder))
    else:
        assert gathered["state"] == {}
    torch.distributed.barrier()
    shared = shard_optimizer(load_carried(Path(folder)).optimizer, optimizer.param_groups)
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            mine, taken = (getattr(one, "_local_tensor", one) for one in (value, shared["state"][index][name]))
            assert torch.equal(mine, taken), (rank, index, name)
    torch.distributed.destroy_process_group()


def test_the_first_process_holds_the_gathered_optimizer_and_each_takes_up_its_share(tmp_path: Path) -> None:
    (tmp_path / "carried").mkdir()
    # Raises what either asserts.
    torch.multiprocessing.spawn(in_two_processes, (str(tmp_path / "met"), str(tmp_path / "carried")), nprocs=2)
    assert set(load_carried(tmp_path / "carried").optimizer["state"]) == {0, 1}


@pytest.mark.parametrize(
    ("hardware", "lora", "message"),
    [
        ({"sharding": "fsdp2"}, None, "needs hardware.processes of 2 or more"),
        ({"sharding": "fsdp2", "processes": 2}, {"rank": 4}, r"lora \(student\) cannot be combined"),
    ],
)
def test_what_cannot_be_sharded_is_refused(
    hardware: dict[str, Any],
    lora: dict[str, int] | None,
    message: str,
    scenario_file: dict[str, Any],
    load: Callable[..., Scenario],
) -> None:
    scenario_file["hardware"] |= hardware
    scenario_file["student"]["lora"] = lora
    with pytest.raises(ScenarioError, match=message):
        load(scenario_file)
