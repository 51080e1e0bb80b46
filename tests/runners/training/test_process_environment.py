"""A user's variables do not change what is trained."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.process_environment import set_for_training, training_environment

ODD = {"ACCELERATE_MIXED_PRECISION": "bf16", "ACCELERATE_DYNAMO_BACKEND": "inductor", "FSDP_VERSION": "1"}


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    with mock.patch.dict(os.environ, ODD):
        yield


def test_what_training_needs_is_set_and_the_rest_is_cleared() -> None:
    set_for_training("cpu", sharded=True)
    assert os.environ["ACCELERATE_USE_CPU"] == "True" and os.environ["FSDP_VERSION"] == "2"
    set_for_training("cuda", sharded=False)
    left = {name: text for name, text in os.environ.items() if name.startswith(("ACCELERATE_", "FSDP_"))}
    assert left == {"ACCELERATE_USE_CPU": "False"}


def test_afterwards_the_environment_is_what_it_was() -> None:
    before = dict(os.environ)
    with training_environment("cpu", sharded=False):
        assert "ACCELERATE_MIXED_PRECISION" not in os.environ
        os.environ["MASTER_ADDR"] = "127.0.0.1"  # as colocated vLLM does
    assert dict(os.environ) == before


@pytest.mark.slow
def test_a_block_is_the_same_under_odd_variables(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    scenario_file["stages"]["student_rl"]["lr_warmup_steps"] = 0
    weights = []
    for odd in (True, False):
        for name in ODD:
            if not odd:
                del os.environ[name]
        scenario = load(scenario_file)
        with closing(RouteRunner(scenario, tmp_path / str(odd))) as runner:
            route = compile_route(Allocation.parse("student_rl=1"), scenario.recipe, 0)
            weights.append(runner.run(route, "odd").weights_sha256)
    assert weights[0] == weights[1]
