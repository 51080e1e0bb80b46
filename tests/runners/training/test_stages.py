"""Golden curves: a stage whose code changes what a block computes must raise its revision.

The pinned numbers are the loss and gradient norm of two tiny blocks of every stage, of two steps each, from the
shipped micro checkpoints. When a test here fails after a change of the stage's code, raise its number in
`planner/stages.py` and pin the new curves (`python -m tests.runners.training.pin_golden_curves`); when it fails after
an update of torch or TRL alone, only pin them anew (versions stand in the records of blocks).
"""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import accelerate
import pandas as pd
import pytest
import torch

from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.planner.stages import STAGE, STAGES, TRANSFER_STAGES, Stage
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario

GOLDEN = Path(__file__).parent / "golden_curves.json"


def smallest_with(stage: Stage) -> Allocation:
    """Two blocks of a stage, of which the second continues the first, and what they cannot do without."""
    counts = {stage.name: 2}
    if stage.model == "teacher":  # somebody must be taught; the cheapest is a transfer that draws nothing beforehand
        counts |= {next(transfer.name for transfer in TRANSFER_STAGES if transfer.generates): 1}
    taught = stage.model == "teacher" or stage.is_transfer
    return Allocation(teacher="medium" if taught else None, **counts)


ROUTES = {stage.name: smallest_with(stage) for stage in STAGES}


def curves(runner: RouteRunner, stage: str) -> dict[str, object]:
    """What two tiny blocks of a stage compute."""
    route = compile_route(ROUTES[stage], runner.scenario.recipe, 0)
    runner.run(route, "golden")
    keys = [block.key for block in route.blocks if block.stage == stage]
    table = pd.concat([pd.read_parquet(runner.store.path(key) / "train.parquet") for key in keys])
    return {
        "revision": STAGE[stage].revision,
        "loss": [round(float(x), 5) for x in table["loss"]],
        "grad_norm": [round(float(x), 4) for x in table["grad_norm"]],
    }


@pytest.mark.slow
@pytest.mark.parametrize("stage", sorted(ROUTES))
def test_a_stage_computes_what_its_revision_computed(runner: RouteRunner, stage: str) -> None:
    golden = json.loads(GOLDEN.read_text())[stage]
    now = curves(runner, stage)
    assert now["revision"] == golden["revision"], "pin the curves of the new revision"
    # Loose enough for another processor's rounding, tight enough for any change of the computation.
    assert now["loss"] == pytest.approx(golden["loss"], rel=2e-3, abs=2e-4)
    assert now["grad_norm"] == pytest.approx(golden["grad_norm"], rel=5e-3, abs=5e-4)


def test_every_stage_has_golden_curves() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(STAGE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "hardware", "tolerance"),
    [
        ({"gradient_checkpointing": True}, {}, 1e-4),
        ({"micro_batch": 4}, {}, 1e-3),  # the rest of a step is accumulated
        ({}, {"dtype": "bfloat16"}, 0.1),
    ],
    ids=["gradient checkpointing", "accumulation", "bfloat16"],
)
def test_what_saves_memory_leaves_the_first_gradient_as_it_is(
    settings: dict[str, object],
    hardware: dict[str, str],
    tolerance: float,
    scenario_file: dict[str, Any],
    load: Callable[..., Scenario],
    tmp_path: Path,
) -> None:
    text = "teacher=medium warmup=1 opd=1 student_rl=1"
    first: list[list[float]] = []
    for place in range(2):
        scenario = load(scenario_file)
        with closing(RouteRunner(scenario, tmp_path / str(place))) as runner:
            route = compile_route(Allocation.parse(text), scenario.recipe, 0)
            runner.run(route, "memory")
            tables = [pd.read_parquet(runner.store.path(block.key) / "train.parquet") for block in route.blocks]
        first.append([float(table["grad_norm"].iloc[0]) for table in tables])
        scenario_file["hardware"] |= hardware
        for stage in scenario_file["stages"].values():
            stage |= settings
    assert all(norm > 0 for norm in first[0])
    assert first[1][0] == pytest.approx(first[0][0], rel=tolerance)
    if not hardware:  # in bfloat16 later blocks draw other completions
        assert first[1] == pytest.approx(first[0], rel=tolerance)


@pytest.mark.slow
def test_an_offloaded_teacher_teaches_the_same(
    scenario_file: dict[str, Any],
    load: Callable[..., Scenario],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layer at a time or all at once, they are the same weights: the key does not tell them apart."""
    began: list[str] = []
    attach = accelerate.cpu_offload
    monkeypatch.setattr(accelerate, "cpu_offload", lambda *a, **k: (began.append("offloaded"), attach(*a, **k)))
    hashes = []
    for offloaded in (False, True):
        scenario_file["hardware"]["offload_teacher"] = offloaded
        scenario = load(scenario_file)
        route = compile_route(Allocation.parse("teacher=medium warmup=1 opd=1"), scenario.recipe, 0)
        with closing(RouteRunner(scenario, tmp_path / str(offloaded))) as runner:
            runner.run(route, "offloaded")
            hashes.append([(block.key, runner.trainer.weights_sha256(block.key)) for block in route.blocks])
    assert hashes[0] == hashes[1] and len(began) == 2


@pytest.mark.slow
def test_every_stage_trains_in_the_type_that_the_scenario_names(
    scenario_file: dict[str, Any],
    load: Callable[..., Scenario],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: set[torch.dtype] = set()
    forward = torch.nn.Linear.forward

    def noting(layer: torch.nn.Linear, values: torch.Tensor) -> torch.Tensor:
        result = forward(layer, values)
        if layer.training and result.requires_grad:
            trained.add(result.dtype)
        return result

    monkeypatch.setattr(torch.nn.Linear, "forward", noting)
    scenario_file["hardware"]["dtype"] = "bfloat16"
    scenario = load(scenario_file)
    types = {}
    with closing(RouteRunner(scenario, tmp_path)) as runner:
        for stage, allocation in ROUTES.items():
            runner.run(compile_route(allocation, scenario.recipe, 0), stage)
            types[stage] = set(trained)
    assert types == {stage: {torch.bfloat16} for stage in ROUTES}
