"""`tuition race`: a race from the command line, its table and its figure."""

import json
import re
from pathlib import Path

import pytest

from tests.app.conftest import Command
from tests.benchmarks.made_table import SPACE, made_complete_table
from tuition.benchmarks.planning.race_file import race_file, read_measured
from tuition.benchmarks.tables.recorded_table import write_table

SMALL = ("--planners", "random,gp-ei,rule", "--repeats", "2", "--budgets", "0.5R,1R", "--quiet")


def test_planners_race_on_simulated_problems(tmp_path: Path, tuition: Command) -> None:
    arguments = ("race", "--family", "matched", "--problems", "2", *SMALL)
    result = tuition(*arguments, "--figure", "race.png")
    assert result.returncode == 0, result.stderr
    assert "## Planners on matched" in result.stdout and "numbers 1000 to 1001" in result.stdout
    rows = {line.split(" | ")[0]: line for line in result.stdout.splitlines() if line.startswith("| ")}
    assert {"| random", "| gp-ei, trained", "| gp-ei, named"} <= rows.keys()
    covered = rows["| gp-ei, named"].strip(" |").split(" | ")[-1]
    assert re.fullmatch(r"(\d+ %), (\d+ %)", covered) and rows["| random"].endswith("|  |")
    assert (tmp_path / "race.png").stat().st_size > 10_000
    document = json.loads(tuition(*arguments, "--json").stdout)
    folder = tmp_path / document["rows"]
    assert folder == tmp_path / "results" / "planners" / "matched"
    assert sorted(path.stem for path in folder.iterdir()) == ["gp-ei", "random", "rule"]
    assert {(one["planner"], one["answer"], one["budget"]) for one in document["regrets"]} == {
        (planner, answer, budget)
        for planner in ("random", "gp-ei", "rule")
        for answer in ("named", "trained")
        for budget in (0.5, 1.0)
    }


def test_problems_to_tune_on_are_said_to_be_that(tmp_path: Path, tuition: Command) -> None:
    result = tuition("race", "--family", "matched", "--problems", "1", "--tuning", "--planners", "half", "--to", "here")
    assert "on which planners may be tuned" in result.stdout and "half has played 1/1 problems" in result.stderr
    assert read_measured(race_file(tmp_path / "here", "half")).header.units == (0,)


def test_a_race_on_a_table_shows_what_noise_costs(tmp_path: Path, tuition: Command) -> None:
    table = made_complete_table(SPACE, lambda checkpoint, seed: 0.4)
    write_table(tmp_path / "made.parquet", table.header, table.rows)
    result = tuition("race", "--table", "made.parquet", "--planners", "random,half", "--budgets", "2", "--repeats", "1")
    assert result.returncode == 0, result.stderr
    assert "2 recordings" in result.stdout and "Noise: a judges' mean has an error of" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --table or --family"),
        (("--table", "micro@1", "--family", "matched"), "give either --table or --family"),
        (("--table", "micro@1", "--tuning"), "--tuning is for --family"),
        (("--family", "easy"), "unknown family 'easy'; choose from matched"),
        (("--family", "matched", "--planners", "best"), "unknown planner 'best'; choose from structural"),
        (("--family", "matched", "--budgets", "much"), "--budgets 'much': give numbers of R"),
        (("--family", "matched", "--budgets", "2R,1R"), "ascending"),
        (("--family", "matched", "--figure", "f.txt"), "ends in .png, .pdf or .svg"),
        (("--table", "absent.parquet"), "no recorded table 'absent.parquet'"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, tuition: Command, arguments: tuple[str, ...], message: str) -> None:
    result = tuition("race", *arguments)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
