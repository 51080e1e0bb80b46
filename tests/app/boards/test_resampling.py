"""`tuition leaderboard resample`: weights draw again, and invented completions are found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.app.conftest import Command
from tests.benchmarks.forged_boards import change_samples, make_honest, named, relist, rescore
from tuition.benchmarks.measured_boards import shipped_boards
from tuition.benchmarks.statistics.redrawn import redrawn_p_value

STUDENT = "micro base:student"


@pytest.mark.slow
def test_a_base_model_draws_again_what_is_stated_and_not_what_was_invented(tmp_path: Path, tuition: Command) -> None:
    arguments = ["leaderboard", "resample", STUDENT, "--problems", "12", "--seed", "7", "--json", "--quiet"]
    honest = tuition(*arguments)
    assert honest.returncode == 0, honest.stderr
    found = json.loads(honest.stdout)
    (run,) = found["runs"]
    assert (found["status"], len(found["problems"]), run["weights"]) == ("agrees", 12, "a base model of micro")
    assert abs(run["drawn"] - run["stated"]) < 0.2 and run["p_value"] > 0.001

    copy = Path(shutil.copytree(shipped_boards()["micro@1"], tmp_path / "copy"))
    id, document = named(copy, STUDENT)
    change_samples(copy, document, 0, lambda table: table.assign(verdict="correct", correct=True))
    rescore(copy, document)
    relist(copy, id, document)
    forged = tuition(*arguments, "--board", "copy")
    assert forged.returncode == 1 and json.loads(forged.stdout)["status"] == "differs"


def test_weights_that_are_not_at_hand_are_undecided_and_it_is_said_why(tuition: Command) -> None:
    result = tuition("leaderboard", "resample", "direct", "--board", "micro@1", "--problems", "2", "--quiet")
    assert result.returncode == 3 and "direct (training seed 1000): stated" in result.stdout
    assert "cannot be trained again" in result.stdout and "undecided" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "0 measured entries of what ships are 'absent'"),
        (["direct"], "2 measured entries of what ships are 'direct' (micro@1, micro@2): give an id, or --board"),
        (["direct", "--board", "micro@2", "--scenario", "micro-b"], "give the entry's scenario by --scenario FILE"),
    ],
)
def test_an_entry_that_cannot_be_drawn_is_one_line(arguments: list[str], message: str, tuition: Command) -> None:
    result = tuition("leaderboard", "resample", *arguments)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_scenario_that_is_not_built_in_is_asked_for(tmp_path: Path, tuition: Command) -> None:
    make_honest(tmp_path)
    result = tuition("leaderboard", "resample", "half", "--board", "./board")
    assert result.returncode == 2
    assert result.stderr == (
        "error: half: its scenario 'small' is not built in: give the scenario's file by --scenario FILE\n"
    )


def test_the_exact_test_holds_its_level_and_finds_what_was_raised() -> None:
    rng = np.random.default_rng(0)
    chance_P1 = rng.random((20, 1))
    draws = [(rng.random((20, 8)) < chance_P1).astype(int) for _ in range(400)]
    p_values = pd.Series([redrawn_p_value(a, b) for a, b in zip(draws[::2], draws[1::2], strict=True)])
    assert (p_values < 0.05).mean() <= 0.08, "level"
    raised = [np.maximum(draw, rng.random((20, 8)) < 0.5) for draw in draws[:50]]
    assert np.mean([redrawn_p_value(a, b) < 0.001 for a, b in zip(raised, draws[50:100], strict=True)]) > 0.9, "power"
