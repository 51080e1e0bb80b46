"""The frozen test benches and the recorded tables that ship with them."""

import re
import shutil
from pathlib import Path

import optuna
import pandas as pd
import pytest

import tuition.benchmarks
from tests.app.conftest import Command
from tests.experiments.sharing.version_1 import version_1
from tuition.app.studies.search_run import scenario_baselines
from tuition.benchmarks.planning.grounds import table_ground
from tuition.benchmarks.planning.race import Rules, hold
from tuition.benchmarks.planning.race_file import read_race
from tuition.benchmarks.planning.rivals import PLANNERS
from tuition.benchmarks.tables.recorded_table import missing_checkpoints, read_table, recorded_seeds
from tuition.benchmarks.tables.replay import Replay
from tuition.benchmarks.tables.shipped import find_table, shipped_tables
from tuition.planner.drift import describe_drift
from tuition.runners.scenarios.scenario import Scenario

# A bench is frozen: whoever changes what decides its results makes another bench, with another version.
FROZEN = {
    "micro": "a2f9f188d0a2b7d1780b086d802db750e28f8863adf255f57eaa57d50e194364",
    "micro-b": "9e4eb3c20d5ca7e69035f8cddec3aafd8883abfb03448eb6614adec0d2304c4b",
}
FROZEN_MICRO_C = "61e74039a9e00f72a606d8e627ba41b66192e19a4ebeccdc31663563b2527119"
# With the recipe of version 1 and the policy that graded until 2026-11-30 they are what they were.
GRADED_BEFORE = {
    "micro": "a8654c3b27b1f3946db372c6571c4f3212d7da01caf56e5b2b7b637f15858a6c",
    "micro-b": "945b4d6cfe5b1cf0f7caddce519b8b0a1e9847b501a302a8f53cc27906cd20ef",
}
# The tables were recorded before revisions of stages rose, a warm-up's first step trained and another policy graded;
# but for that, they are of the same benches.
RECORDED = {
    "micro": "de7f722a219f044e0e00880b96ae8e4d82d1277d4f8e1ec1fcee09f12eba645e",
    "micro-b": "c77e5bd18ae44558b4b4db5bf9944fd85e94fdb2f8e7620aaf0723ac25344dd1",
}
TABLES = Path(tuition.benchmarks.__file__).parent / "recorded_tables"
RACES = Path(tuition.benchmarks.__file__).parent / "measured_planners"


@pytest.mark.parametrize("name", FROZEN)
def test_bench_is_frozen(name: str) -> None:
    scenario = Scenario.load(name)
    assert scenario.sha256 == FROZEN[name]
    before = version_1(scenario).file.model_copy(update={"grading": "tuition-1"})
    assert Scenario(before, scenario.folder).sha256 == GRADED_BEFORE[name]


def test_the_bench_that_was_built_to_have_an_inner_best_is_frozen() -> None:
    assert Scenario.load("micro-c").sha256 == FROZEN_MICRO_C


@pytest.mark.parametrize("name", FROZEN)
def test_table_is_of_the_frozen_bench_and_has_the_named_routes_on_five_seeds(name: str) -> None:
    path = TABLES / f"{name}@1.parquet"
    table = read_table(path)
    scenario = version_1(Scenario.load(name))
    assert table.header.scenario_sha256 == RECORDED[name]
    drift = describe_drift(scenario.recipe.stages, table.header.recipe.recipe().stages)
    fields = [line.partition(": ")[0].partition(".") for line in drift]
    assert {stage for stage, _, field in fields if field == "revision"} == table.header.other_revisions.keys()
    # The first step of a warm-up trains today.
    warmed_up = {stage for stage, _, field in fields if field == "lr_warmup_first_rate"}
    assert warmed_up == set(table.header.idle_first_steps)
    assert {field for *_, field in fields} == {"revision", "lr_warmup_first_rate", "grader"}
    assert table.header.grader.startswith("tuition-1+")
    assert path.stat().st_size < 2_000_000
    for allocation in scenario_baselines(scenario).values():
        assert len(table.seeds(allocation=allocation)) >= 5


@pytest.mark.parametrize("name", [name for name in shipped_tables() if re.fullmatch(r"micro(-b)?@([2-9]|\d\d)", name)])
def test_a_later_version_is_of_the_bench_as_it_is_complete_and_without_folders(name: str) -> None:
    table = read_table(find_table(name))
    assert table.header.scenario_sha256 == FROZEN[name.partition("@")[0]]
    assert (table.seeds(), table.header.other_revisions) == (recorded_seeds(6), {})
    assert not [seed for seed in table.seeds() if missing_checkpoints(table, seed)]
    assert table.header.untrained.keys() == table.header.untrained_validation.keys()
    assert table.header.untrained.keys() == {"student", *table.header.space.teachers}
    assert not [run for run in table.rows if re.search(r"(^|[\s=])[/~]", run.command)]
    assert find_table(name).stat().st_size < 2_000_000


@pytest.mark.parametrize("name", FROZEN)
def test_a_planner_can_draw_from_the_table(name: str) -> None:
    table = read_table(TABLES / f"{name}@1.parquet")
    replay = Replay(table, table.seeds("draw")[0])
    best = max(
        replay.allocations, key=lambda allocation: table.correct_PK(allocation, replay.seed, "validation").mean()
    )
    assert replay.marginal_cost(best).gpu_seconds > 0
    replay.run(best)
    assert replay.marginal_cost(best).gpu_seconds == 0


@pytest.mark.parametrize("folder", sorted(path for path in RACES.iterdir() if "@" in path.name), ids=lambda p: p.name)
def test_a_race_that_ships_was_held_on_the_table_that_ships(folder: Path) -> None:
    ground = table_ground(TABLES / f"{folder.name}.parquet")
    for measured in read_race(folder):
        header = measured.header
        assert (header.ground, header.identity, header.units) == (ground.name, ground.identity, ground.units)


@pytest.mark.slow
def test_its_random_searches_are_repeated(tmp_path: Path) -> None:
    ground = table_ground(TABLES / "micro@1.parquet")
    shipped = next(one for one in read_race(RACES / ground.name) if one.header.planner == "random")
    rules = Rules(repeats=shipped.header.repeats, budgets=shipped.header.budgets)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    (again,) = hold(ground, [PLANNERS["random"]], rules, tmp_path)
    if again.header.optuna != shipped.header.optuna:
        pytest.skip("another Optuna draws other proposals")
    assert again.header.model_copy(update={"format": shipped.header.format}) == shipped.header
    pd.testing.assert_frame_equal(again.rows, shipped.rows)


def test_a_table_of_another_grading_policy_is_never_completed(tmp_path: Path, tuition: Command) -> None:
    """What ships was graded by tuition-1, and micro is graded by a later policy today."""
    table = tmp_path / "micro.json.gz"
    shutil.copyfile(find_table("micro@1"), table)
    before = table.read_bytes()
    for more in ([], ["--dry-run"]):
        result = tuition("record", "--scenario", "micro", "--out", str(table), *more)
        assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
        assert "graded by tuition-1+" in result.stderr and "and by tuition-2+" in result.stderr
        assert "verdicts of two policies are not compared" in result.stderr
        assert "`grading` in the scenario's file), or choose another --out" in result.stderr
    assert table.read_bytes() == before and list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize("command", [["evidence", "--table"], ["race", "--table"], ["recorded"]])
def test_a_table_that_ships_is_had_by_its_name(command: list[str], tuition: Command) -> None:
    wrong = tuition(*command, "absent@1")
    assert wrong.returncode == 2 and "'absent@1' is neither a file nor a shipped table (shipped: " in wrong.stderr
    if command == ["recorded"]:  # the others take longer
        shown = tuition(*command, "micro@1")
        assert shown.returncode == 0 and "micro@1.parquet: micro@" in shown.stdout
