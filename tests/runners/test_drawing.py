"""Drawing by several processes: what they draw does not depend on how many they are, nor on which of them draws it."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tuition.benchmarks.scoring.engines.requests import EngineError
from tuition.benchmarks.scoring.engines.transformers_engine import SEED_EACH_BATCH
from tuition.benchmarks.scoring.sampling import training_rollouts
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.drawing import Drawn, SideBySide, devices_of
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.store.block_record import charge_used

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = training_rollouts(8)


@pytest.fixture
def runners(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> Iterator[Callable[[int], RouteRunner]]:
    made: list[RouteRunner] = []

    def of(processes: int) -> RouteRunner:
        scenario_file["hardware"] |= {"processes": processes, "generation_batch": 4}
        for settings in scenario_file["stages"].values():  # so that three processes divide a step
            settings |= {"micro_batch": 2}
        for name in ("teacher_rl", "student_rl"):
            scenario_file["stages"][name] |= {"prompts_per_step": 3}
        for name in ("warmup", "opd", "transfer_sft"):
            scenario_file["stages"][name] |= {"prompts_per_step": 12}
        scenario_file["stages"]["teacher_sft"] |= {"sequences": 12}
        made.append(RouteRunner(load(scenario_file), tmp_path / str(processes)))
        return made[-1]

    yield of
    for runner in made:
        runner.close()


def drawn(runner: RouteRunner, prompts: list[list[int]]) -> Drawn:
    return runner.trainer.generate(runner.scenario.recipe.teachers["medium"], prompts, LIMIT, 7)


def test_rollouts_and_scores_do_not_depend_on_the_number_of_processes(runners: Callable[[int], RouteRunner]) -> None:
    prompts = [[5 + row % 7, 9, 11][: 1 + row % 3] for row in range(22)]  # six batches
    rollouts, scores = [], []
    for processes in (2, 3):
        runner = runners(processes)
        one = drawn(runner, prompts)
        assert len(one.completions) == 22 and one.elsewhere > 0 and one.used is not None and one.used > 0
        rollouts.append(one.completions)
        score = runner.score(runner.scenario.recipe.student, "validation", "study")
        assert score.gpu_seconds > 0
        scores.append((score.key, list(score.table["completion"])))
    assert rollouts[0] == rollouts[1] and len({str(one) for one in rollouts[0]}) > 5
    assert scores[0] == scores[1]


def test_a_block_says_what_it_reserved_and_what_it_used(runners: Callable[[int], RouteRunner]) -> None:
    runner = runners(2)
    route = compile_route(Allocation.parse("teacher=medium warmup=1"), runner.scenario.recipe, 0)
    run = runner.run(route, "study")
    record = runner.store.record(route.final)
    assert record is not None and record.rollouts is not None
    # On a CPU a process that waits costs nothing. Of the rollouts, opening the model is reserved and not used.
    assert record.gpu_seconds_used == record.gpu_seconds > 0
    assert record.rollouts.gpu_seconds_used is not None
    assert 0 < record.rollouts.gpu_seconds_used <= record.rollouts.gpu_seconds
    assert charge_used(use.record.used for use in run.blocks if use.record) == [
        record.gpu_seconds_used + record.rollouts.gpu_seconds_used
    ]


def test_a_process_that_dies_is_named_with_the_fix_and_none_is_left(runners: Callable[[int], RouteRunner]) -> None:
    runner = runners(2)
    with runner.trainer.opened(runner.scenario.recipe.student) as engine:
        assert isinstance(engine, SideBySide)
        numbers = list(engine._pool._processes)
        os.kill(numbers[0], signal.SIGKILL)
        with pytest.raises(EngineError, match=r"one of 2 processes that draw from .* has died"):
            engine.draw([[5, 6]], LIMIT, 0)
    assert len(numbers) == 2 and not any(map(psutil.pid_exists, numbers))


def test_only_what_is_drawn_before_training_has_other_keys(
    scenario_file: dict[str, Any], load: Callable[..., Scenario]
) -> None:
    alone = load(scenario_file)
    assert alone.draws == () and not any("draws" in covered for covered in alone.recipe.stages.values())
    scenario_file["hardware"] |= {"processes": 2}
    two = load(scenario_file)
    changed = {name for name, covered in two.recipe.stages.items() if covered.get("draws") == SEED_EACH_BATCH}
    assert changed == {"teacher_sft", "warmup", "transfer_sft"}


def test_a_model_that_is_split_takes_several_devices_of_each_process(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5,7")
    assert devices_of("cuda", 2, 2) == ["2,3", "5,7"] and devices_of("cuda", 3, 1) == ["2", "3", "5"]
    scenario_file["teachers"]["medium"]["tensor_parallel"] = 2
    scenario_file["hardware"] |= {"processes": 2, "engine": "vllm"}
    split = load(scenario_file)
    assert split.recipe.environment["sampling_tensor_parallel"] == "medium 2" and split.draws == ()
    for changes, message in (
        ({"engine": "transformers"}, "needs hardware.engine: vllm"),
        ({"processes": 1}, "divisor"),
    ):
        scenario_file["hardware"] |= {"processes": 2, "engine": "vllm", **changes}
        with pytest.raises(ScenarioError, match=message):
            load(scenario_file)
