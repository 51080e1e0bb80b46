"""Blocks that two processes train together, on a CPU: what they leave, how they fail, and that nothing is orphaned."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.events import Event, StepDone
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.training.launch import LaunchError

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
            if "tuition.runners.training.child" in (words := " ".join(process.cmdline())) and marker in words:
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


def test_two_processes_train_a_block_twice_the_same(
    together: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    scenario = load(together)
    events: list[Event] = []
    weights = set()
    for folder in ("first", "again"):
        runner = RouteRunner(scenario, tmp_path / folder, events.append)
        run = runner.run(_route(scenario, "teacher=medium opd=1"), "two")
        runner.close()
        weights.add(run.weights_sha256)
        record = runner.store.record(run.route.final)
        assert record is not None and record.environment["processes"] == "2"
        assert record.gpu_seconds > 1 and record.peak_memory_bytes > 100e6
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [(event.step, event.steps) for event in steps] == [(1, 2), (2, 2)] * 2
    assert {event.key for event in steps} == {run.route.final}
    assert all(event.curves["loss"] and event.curves["seconds"] > 0 for event in steps)
    assert len(weights) == 1


def test_a_dead_process_fails_the_block_with_its_log(
    together: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the block's folder: only our own children name it
    together["stages"]["student_rl"]["steps"] = 400
    scenario = load(together)
    runner = RouteRunner(scenario, tmp_path / "results")

    def kill(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 1:
            os.kill(_children(str(tmp_path))[-1].pid, signal.SIGKILL)

    runner.hear = kill
    route = _route(scenario, "student_rl=1")
    with pytest.raises(LaunchError, match=r"training in 2 processes ended with .*: read .*block-.*\.log") as caught:
        runner.run(route, "killed")
    runner.close()
    assert "\n" not in str(caught.value)
    assert runner.store.record(route.final) is None
    assert _wait_for(lambda: not _children(str(tmp_path)), 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_orphaned_when_the_parent_goes(
    number: signal.Signals, together: dict[str, Any], tmp_path: Path
) -> None:
    together["stages"]["student_rl"]["steps"] = 400
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(together))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [
        sys.executable,
        "-m",
        "tuition.app.cli",
        "run",
        "student_rl=1",
        "--scenario",
        str(tmp_path / "scenario.yaml"),
    ]
    parent = subprocess.Popen(
        [*command, "--results", str(tmp_path / "results")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert _wait_for(lambda: bool(list(tmp_path.glob("tuition-*/events.jsonl"))), 120)
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
