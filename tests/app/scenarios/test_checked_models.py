"""Every command that plans or trains says what is wrong with a scenario's models, before anything is trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.runners.scenarios.scenario_file import BUILT_IN

RUN = ("run", "teacher=big opd=1")
OF = ("--scenario", "mine.yaml")


def write(folder: Path, **teacher: Any) -> None:
    """A scenario whose teacher's configuration or generation_config.json is changed."""
    path = Path(shutil.copytree(BUILT_IN / "micro" / "teacher", folder / "big"))
    for name, change in teacher.items():
        file = path / f"{name}.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    (folder / "mine.yaml").write_text(yaml.safe_dump(tiny_scenario_file(teachers={"big": {"path": "big"}})))


@pytest.mark.parametrize(
    "command",
    [
        ("scenarios", "mine.yaml"),
        ("plan", *OF),
        (*RUN, *OF),
        ("search", *OF),
        ("search", *OF, "--dry-run"),
        ("baselines", *OF),
        ("baselines", *OF, "--dry-run"),
        ("record", *OF),
        ("record", *OF, "--dry-run"),
    ],
    ids=" ".join,
)
def test_a_command_refuses_in_one_line(tmp_path: Path, tuition: Command, command: tuple[str, ...]) -> None:
    write(tmp_path, config={"vocab_size": 100})
    result = tuition(*command)
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "need the tokenizer's 164 tokens in both models' output, but the student has 164" in result.stderr
    assert not list(tmp_path.glob("results/store/*/*"))


def test_doctor_lists_it(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path, config={"vocab_size": 100})
    result = tuition("doctor", *OF)
    assert result.returncode == 1 and "problem: warmup, opd and transfer_sft need the tokenizer's" in result.stdout


@pytest.mark.parametrize("command", [("scenarios", "mine.yaml"), ("plan", *OF), ("doctor", *OF)], ids=" ".join)
def test_warnings_are_shown(tmp_path: Path, tuition: Command, command: tuple[str, ...]) -> None:
    write(tmp_path, generation_config={"eos_token_id": [1, 5]})
    result = tuition(*command)
    assert result.returncode == 0 and "warning: teacher big ends with" in result.stdout


@pytest.mark.slow
def test_a_run_warns_and_goes_on(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path, generation_config={"eos_token_id": [1, 5]})
    result = tuition(*RUN, *OF)
    assert result.returncode == 0 and "warning: teacher big ends with" in result.stderr
