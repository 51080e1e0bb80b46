"""The race: who is judged by what, how a race resumes, and files of it that are untrusted."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import optuna
import pandas as pd
import pyarrow.parquet
import pytest

from tests.benchmarks.made_table import SEEDS, SPACE, made_complete_table, made_header, made_run
from tuition.benchmarks.planning.contestant import RaceError
from tuition.benchmarks.planning.grounds import Ground, family_ground, table_ground
from tuition.benchmarks.planning.problems import FIRST_JUDGING, ProblemError
from tuition.benchmarks.planning.race import ROUNDING, Rules, hold
from tuition.benchmarks.planning.race_file import (
    COLUMNS,
    INTERVAL,
    Measured,
    RaceHeader,
    race_file,
    read_measured,
    read_race,
    write_measured,
)
from tuition.benchmarks.planning.regrets import answers_differ, regrets
from tuition.benchmarks.planning.rivals import choose_planners
from tuition.benchmarks.tables.recorded_table import RecordedError, read_table, write_table
from tuition.planner.allocation import Allocation, Checkpoint

optuna.logging.set_verbosity(optuna.logging.WARNING)
TREASURE = "teacher=small teacher_rl=2 warmup=1 opd=1 student_rl=2"
RULES = Rules(repeats=2, budgets=(0.5, 1.5))
PLAYERS = choose_planners(["random", "gp-ei", "halving", "rule"])
QUICK = [planner for planner in PLAYERS if planner.name != "gp-ei"]
"""Who plays in moments."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """A complete table in which one split is better than all others."""

    def mean(checkpoint: Checkpoint, seed: int) -> float:
        return 0.9 if str(checkpoint) == TREASURE else 0.4

    made = made_complete_table(SPACE, mean, num_problems=20)
    path = tmp_path_factory.mktemp("table") / "made.parquet"
    write_table(path, made.header, made.rows)
    return table_ground(path)


@pytest.fixture(scope="module")
def family() -> Ground:
    return family_ground("matched", 2)


@pytest.fixture(scope="module")
def folder(family: Ground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("races") / "matched"
    hold(family, PLAYERS, RULES, folder)
    return folder


def test_problems_for_judging_and_for_tuning_are_apart(family: Ground) -> None:
    assert family.units == (FIRST_JUDGING, FIRST_JUDGING + 1)
    tuning = family_ground("matched", 2, tuning=True)
    assert tuning.units == (0, 1) and tuning.name != family.name
    with pytest.raises(ProblemError, match="1001 problems: choose from 1 to 1000"):
        family_ground("matched", FIRST_JUDGING + 1, tuning=True)


def test_a_familys_answers_are_judged_by_its_truth(family: Ground, folder: Path) -> None:
    for measured in read_race(folder):
        for row in measured.rows.to_dict("records"):
            unit = family.unit(row["unit"])
            assert row["spent"] <= row["budget"] * (1 + ROUNDING) and row["best"] == unit.best
            for answer in ("named", "trained"):
                if row[answer]:
                    assert row[f"{answer}_value"] == unit.value(Allocation.parse(row[answer]))
                else:
                    assert math.isnan(row[f"{answer}_value"])


def test_a_tables_answers_are_judged_by_test_scores_of_judge_seeds_alone(table: Ground, tmp_path: Path) -> None:
    (measured,) = hold(table, choose_planners(["random"]), RULES, tmp_path)
    assert measured.header.units == (SEEDS[1], SEEDS[3])
    recorded = read_table(Path(table.source))
    for row in measured.rows.to_dict("records"):
        judged = [recorded.correct_PK(Allocation.parse(row["trained"]), seed, "test").mean() for seed in SEEDS[::2]]
        assert row["trained_value"] == pytest.approx(fmean(judged)) and row["best"] > 0.8


def test_a_table_without_a_judge_is_refused(tmp_path: Path) -> None:
    header = made_header()
    file = tmp_path / "draws.parquet"
    write_table(file, header, [made_run(header, text, SEEDS[1]) for text in header.names.values()])
    with pytest.raises(RecordedError, match="record more seeds"):
        table_ground(file)


def test_every_planner_plays_every_unit_and_only_those_with_draws_repeat(folder: Path) -> None:
    counted = {
        one.header.planner: one.rows.groupby(["unit", "budget"])["search"].nunique() for one in read_race(folder)
    }
    repeats = {"random": {2}, "gp-ei": {1}, "halving": {2}, "rule": {1}}
    assert {name: set(searches) for name, searches in counted.items()} == repeats
    assert all(len(searches) == 4 for searches in counted.values())


def test_units_have_draws_of_their_own(folder: Path) -> None:
    random = read_measured(race_file(folder, "random")).rows
    assert random.groupby(["unit", "search"])["trained"].agg(tuple).nunique() == 4


def test_a_unit_is_the_observation_and_a_planner_without_an_answer_has_no_regret(folder: Path) -> None:
    measured = read_measured(race_file(folder, "random"))
    found = {(one.answer, one.budget): one for one in regrets([measured])}
    at = measured.rows[measured.rows["budget"] == RULES.budgets[-1]]
    units = (at["best"] - at["trained_value"]).groupby(at["unit"]).mean()
    one = found["trained", RULES.budgets[-1]]
    assert one.mean == pytest.approx(units.mean()) and one.units == 2
    assert one.half == pytest.approx(12.706 * units.std() / 2**0.5, rel=1e-3)
    again = replace(measured, rows=pd.concat([measured.rows, measured.rows.assign(search=9)]))
    assert regrets([again])[-1].half == pytest.approx(regrets([measured])[-1].half)
    rows = measured.rows.copy()
    rows.loc[0, "trained_value"] = math.nan
    nan, there = [one for one in regrets([replace(measured, rows=rows)]) if one.answer == "trained"]
    assert math.isnan(nan.mean) and not math.isnan(there.mean)
    assert answers_differ(measured) is False


def test_the_interval_of_the_named_split_is_held_against_the_truth(family: Ground, folder: Path) -> None:
    measured = {one.header.planner: one for one in read_race(folder)}
    rows = measured["gp-ei"].rows
    assert (rows["named_low"] < rows["named_high"]).all() and rows["named"].ne("").all()
    held = rows["named_value"].between(rows["named_low"], rows["named_high"])
    for budget in RULES.budgets:
        shares = {one.answer: one.covered for one in regrets([measured["gp-ei"]]) if one.budget == budget}
        assert shares["named"] == held[rows["budget"] == budget].mean() and math.isnan(shares["trained"])
    wrong = replace(measured["gp-ei"], rows=rows.assign(named_value=0.0))
    assert {one.covered for one in regrets([wrong]) if one.answer == "named"} == {0.0}
    assert all(math.isnan(one.covered) for one in regrets([measured["random"], measured["rule"]]))


def test_a_file_of_before_has_no_intervals(folder: Path, tmp_path: Path) -> None:
    measured = read_measured(race_file(folder, "gp-ei"))
    file = race_file(tmp_path, "gp-ei")
    write_measured(replace(measured, header=measured.header.model_copy(update={"format": 1})), file)
    table = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(table.drop_columns(list(INTERVAL)), file)
    again = read_measured(file)
    assert again.rows[list(INTERVAL)].isna().all().all()
    kept = [name for name in COLUMNS if name not in INTERVAL]
    pd.testing.assert_frame_equal(again.rows[kept], measured.rows[kept])


def test_a_race_goes_on_with_the_planner_that_it_was_killed_at(family: Ground, folder: Path, tmp_path: Path) -> None:
    hold(family, QUICK[:1], RULES, tmp_path)
    before = race_file(tmp_path, "random").stat()

    def killed(planner: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold(family, QUICK, RULES, tmp_path, killed)
    assert [file.name for file in tmp_path.iterdir()] == ["random.parquet"]
    played = set()
    hold(family, QUICK, RULES, tmp_path, lambda planner, *_: played.add(planner))
    assert played == {"halving", "rule"}, "the first is not played again"
    assert race_file(tmp_path, "random").stat().st_mtime_ns == before.st_mtime_ns
    for planner in QUICK:
        assert race_file(tmp_path, planner.name).read_bytes() == race_file(folder, planner.name).read_bytes()


def test_other_rules_or_another_revision_are_played_again(family: Ground, tmp_path: Path) -> None:
    rule = choose_planners(["rule"])
    hold(family, rule, RULES, tmp_path)
    played: list[str] = []
    for planners, rules in (
        (rule, RULES),
        ([replace(rule[0], revision=9)], RULES),
        ([replace(rule[0], revision=9)], replace(RULES, budgets=(0.5, 1.5, 2.0))),
    ):
        hold(family, planners, rules, tmp_path, lambda planner, done, total: played.append(f"{planner} {done}/{total}"))
    assert played == ["rule 1/2", "rule 2/2"] * 2
    file, before = race_file(tmp_path, "rule"), race_file(tmp_path, "rule").read_bytes()
    with pytest.raises(RaceError, match=r"holds 2 units at budgets of 0\.5, 1\.5, 2 R, which this race would replace"):
        hold(family, [replace(rule[0], revision=9)], replace(RULES, budgets=(1.0,)), tmp_path)
    assert file.read_bytes() == before


def test_a_file_is_completed_by_more_problems_and_budgets_and_left_alone_by_fewer(folder: Path, tmp_path: Path) -> None:
    played: list[str] = []

    def race(problems: int, *budgets: float) -> Measured:
        played.clear()
        rules, ground = replace(RULES, budgets=budgets), family_ground("matched", problems)
        return hold(ground, QUICK[:1], rules, tmp_path, lambda *told: played.append(f"{told[1]}/{told[2]}"))[0]

    race(1, 0.5)
    race(1, 0.5, 1.5)
    assert played == ["1/1"]
    whole = race(2, 0.5, 1.5)
    assert played == ["1/1"], "the first problem is not played again"
    assert race_file(tmp_path, "random").read_bytes() == race_file(folder, "random").read_bytes()
    part = race(2, 1.5)
    assert not played and part.header.budgets == (1.5,)
    pd.testing.assert_frame_equal(part.rows, whole.rows[whole.rows["budget"] == 1.5].reset_index(drop=True))
    assert race_file(tmp_path, "random").read_bytes() == race_file(folder, "random").read_bytes()


@pytest.mark.slow
def test_workers_play_the_same_race(family: Ground, folder: Path, tmp_path: Path) -> None:
    hold(family, PLAYERS[:1], replace(RULES, workers=2), tmp_path)
    assert race_file(tmp_path, "random").read_bytes() == race_file(folder, "random").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"), [({"repeats": 0}, "at least 1"), ({"budgets": (2.0, 1.0)}, "ascending")]
)
def test_rules_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RaceError, match=message):
        replace(RULES, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["text", "cut", "no header", "range", "empty", "nothing"])
def test_a_damaged_file_is_refused_in_one_line(folder: Path, tmp_path: Path, damage: str) -> None:
    file, whole = race_file(tmp_path, "random"), race_file(folder, "random")
    measured = read_measured(whole)
    if damage == "text":
        file.write_text("no table")
    elif damage == "cut":
        file.write_bytes(whole.read_bytes()[:-50])
    elif damage == "no header":
        measured.rows.to_parquet(file)
    elif damage != "nothing":
        rows = measured.rows.assign(best=7.0) if damage == "range" else measured.rows.iloc[:0]
        write_measured(Measured(measured.header, rows), file)
    with pytest.raises(RaceError) as caught:
        read_measured(file)
    assert len(str(caught.value).splitlines()) == 1 and file.name in str(caught.value)


def test_planners_of_different_grounds_are_not_compared(folder: Path, tmp_path: Path) -> None:
    measured = read_measured(race_file(folder, "random"))
    write_measured(measured, race_file(tmp_path, "random"))
    other = RaceHeader(**{**measured.header.model_dump(), "identity": "families 0", "planner": "rule"})
    write_measured(Measured(other, measured.rows), race_file(tmp_path, "rule"))
    with pytest.raises(RaceError, match="different units: measure them again"):
        read_race(tmp_path)
