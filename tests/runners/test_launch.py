"""Blocks that two processes train together, on a CPU: what they leave, how they fail, and that nothing is orphaned."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from planner.allocation import Allocation
from planner.route import Route, compile_route
from runners.engine import LocalEngine, Silent
from runners.launch import LaunchError
from runners.scenario import Scenario, ScenarioError

# Each block starts two interpreters that import torch and trl.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def together(scenario_file: dict[str, Any]) -> dict[str, Any]:
    scenario_file["hardware"] |= {"processes": 2}
    return scenario_file


def _route(scenario: Scenario, text: str) -> Route:
    return compile_route(Allocation.parse(text), scenario.recipe, 0)


def _children(marker: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if "runners.child" in (words := " ".join(process.cmdline())) and marker in words:
                found.append(process)
        except psutil.Error:
            continue
    return found


def _wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


def test_two_processes_train_a_stage_block_by_block(
    together: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    scenario = load(together)
    engine = LocalEngine(scenario, tmp_path / "results")
    steps: list[tuple[str, int]] = []

    class Watch(Silent):
        def block_step(self, block: Any, step: int, steps_: int) -> None:
            steps.append((block.stage, step))

    engine.listener = Watch()
    route = _route(scenario, "teacher=medium opd=1 student_rl=2")
    engine.run(route, "two")
    engine.close()
    assert steps == [(stage, step) for stage in ("opd", "student_rl", "student_rl") for step in (1, 2)]
    for block in route.blocks:
        record = engine.store.record(block.key)
        assert record is not None
        assert record["environment"]["processes"] == "2"
        assert record["gpu_seconds"] > 1
        assert record["peak_memory_bytes"] > 100e6
    first, second = (pd.read_parquet(engine.store.path(block.key) / "train.parquet") for block in route.blocks[1:])
    # The second block goes on with the warm-up where the first one left it, so it had its scheduler.
    assert second["learning_rate"].iloc[0] > first["learning_rate"].iloc[-1] > 0
    again = LocalEngine(scenario, tmp_path / "again")
    one = again.run(_route(scenario, "teacher=medium opd=1"), "again")
    again.close()
    assert one.weights_sha256 == engine.trainer.weights_sha256(route.blocks[0].key)


def test_a_dead_process_fails_the_block_with_its_log(
    together: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    together["stages"]["student_rl"]["steps"] = 400
    scenario = load(together)
    engine = LocalEngine(scenario, tmp_path / "results")

    class Killer(Silent):
        def block_step(self, block: Any, step: int, steps: int) -> None:
            if step == 1:
                os.kill(_children("tuition-")[-1].pid, signal.SIGKILL)

    engine.listener = Killer()
    route = _route(scenario, "student_rl=1")
    with pytest.raises(LaunchError, match=r"training in 2 processes ended with .*: read .*block-.*\.log") as caught:
        engine.run(route, "killed")
    engine.close()
    assert "\n" not in str(caught.value)
    assert engine.store.record(route.final) is None
    assert _wait_for(lambda: not _children("tuition-"), 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_orphaned_when_the_parent_goes(
    number: signal.Signals, together: dict[str, Any], tmp_path: Path
) -> None:
    together["stages"]["student_rl"]["steps"] = 400
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(together))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "app.cli", "run", "student_rl=1", "--scenario", str(tmp_path / "scenario.yaml")]
    parent = subprocess.Popen(
        [*command, "--results", str(tmp_path / "results")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert _wait_for(lambda: bool(list(tmp_path.glob("tuition-*/steps"))), 120)
    parent.send_signal(number)
    if number == signal.SIGTERM:  # the first lets the block finish, the second does not
        time.sleep(1)
        parent.send_signal(number)
    parent.wait(60)
    assert _wait_for(lambda: not _children(str(tmp_path)), 60)


def test_a_step_that_does_not_divide_is_refused(together: dict[str, Any], load: Callable[..., Scenario]) -> None:
    together["hardware"]["processes"] = 3
    with pytest.raises(ScenarioError, match=r"hardware\.processes=3 shares"):
        load(together)
