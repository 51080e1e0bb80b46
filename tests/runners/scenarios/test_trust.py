"""Code that a model brings along: refused, unless the scenario says so and the command confirms it."""

import json
import os
import shutil
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
from tuition.runners.scenarios.sources import UntrustedError, confirm_trust
from tuition.runners.training.checkpoint import CheckpointError, load_model

CODE = """
from transformers import Qwen3Config, Qwen3ForCausalLM

open({ran!r}, "w").close()


class OwnConfig(Qwen3Config):
    model_type = "unheard-of"


class OwnModel(Qwen3ForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path) -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def own(scenario_file: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A scenario whose student needs code of its own, which leaves a file when it runs."""
    folder = Path(shutil.copytree(scenario_file["student"]["path"], tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    config |= {"model_type": "unheard-of", "auto_map": code, "architectures": ["OwnModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(CODE.format(ran=str(tmp_path / "ran")))
    scenario_file["student"] = {"path": str(folder)}
    return scenario_file


def test_code_is_refused_and_not_run(own: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path) -> None:
    confirm_trust(True)  # alone it is not enough
    with pytest.raises(CheckpointError, match="needs its own code"):
        _ = load(own).recipe
    with pytest.raises(CheckpointError, match="needs its own code"):
        load_model(tmp_path / "model", "float32", "cpu")
    os.environ.clear()
    own["student"]["trust_remote_code"] = True  # nor is this
    with pytest.raises(UntrustedError, match="confirm with --trust-remote-code"):
        _ = load(own).recipe
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_code_that_is_trusted_runs_through_a_route_and_is_in_its_keys(
    own: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    confirm_trust(True)
    own["student"]["trust_remote_code"] = True
    own["stages"]["student_rl"]["kl_coef"] = 0.05  # whose reference is loaded by TRL
    scenario = load(own)
    with closing(RouteRunner(scenario, tmp_path / "results")) as runner:
        route = compile_route(Allocation.parse("teacher=medium warmup=1 student_rl=2"), scenario.recipe, 0)
        run = runner.run(route, "own")
        assert len(runner.score(route.final, "validation", "own").table) == 16
    assert (tmp_path / "ran").exists() and (run.model / "own.py").exists()
    with (tmp_path / "model" / "own.py").open("a") as file:
        file.write("# changed\n")
    assert load(own).recipe.student != scenario.recipe.student
