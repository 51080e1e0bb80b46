"""Planners on a recorded table: what they find is judged on other seeds, and files of them are untrusted."""

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from tests.benchmarks.made_table import SEEDS, SPACE, made_header, made_run
from tuition.benchmarks.statistics.intervals import standard_error
from tuition.benchmarks.tables.race import (
    COLD,
    EVERYTHING,
    PLANNERS,
    SHARES,
    PlannersError,
    measure,
    read_planners,
    references,
    standings,
    write_planners,
)
from tuition.benchmarks.tables.recorded_table import checked_table, read_table, write_table

optuna.logging.set_verbosity(optuna.logging.WARNING)
TREASURE = "teacher=small teacher_rl=2 warmup=1 opd=1 student_rl=2"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty routes of one score each on every seed; one split is better than all others, and no named route is it."""
    header = made_header(num_problems=20)
    texts = dict.fromkeys(
        [*header.names.values(), TREASURE, *map(str, list(dict.fromkeys(SPACE.random_allocations(300, seed=1)))[:30])]
    )
    runs = [
        made_run(header, text, seed, 0.9 if text == TREASURE else 0.4 if "teacher" in text else 0.2)
        for seed in SEEDS
        for text in texts
    ]
    file = tmp_path_factory.mktemp("table") / "made.parquet"
    write_table(file, header, runs)
    return file


@pytest.fixture(scope="module")
def measured(path: Path) -> pd.DataFrame:
    return measure(path, read_table(path), searches=6)


@pytest.mark.slow
def test_every_planner_is_measured_at_every_budget_on_every_draw_seed(measured: pd.DataFrame) -> None:
    planners = measured[measured["kind"] == "planner"]
    counted = planners.groupby(["planner", "draw_seed", "share"])["search"].nunique()
    assert len(counted) == len(PLANNERS) * 2 * len(SHARES) and set(counted) == {6}
    assert set(planners["draw_seed"]) == {SEEDS[1], SEEDS[3]}
    assert set(measured["judge_seeds"]) == {f"{SEEDS[0]} {SEEDS[2]}"}
    late = planners[planners["trials"] > 1]
    assert (late["spent"] <= late["budget"]).all()


def test_a_choice_is_judged_by_test_scores_of_judge_seeds_alone(path: Path, measured: pd.DataFrame) -> None:
    table = read_table(path)
    for _, row in measured.drop_duplicates("allocation").iterrows():
        allocation = next(a for a in table.allocations if str(a) == row["allocation"])
        judged = [table.correct_PK(allocation, seed, "test").mean() for seed in SEEDS[::2]]
        assert row["test"] == pytest.approx(np.mean(judged))


def test_more_budget_never_lowers_what_validation_shows(measured: pd.DataFrame) -> None:
    planners = measured[measured["kind"] == "planner"].sort_values("share")
    for _, one in planners.groupby(["planner", "draw_seed", "search"]):
        assert one["validation"].is_monotonic_increasing and one["trials"].is_monotonic_increasing


def test_all_that_is_there_is_the_reference(measured: pd.DataFrame) -> None:
    known = references(measured)
    assert known.loc[EVERYTHING, "test"] > 0.8 > known.loc["direct", "test"]
    assert known.loc[EVERYTHING, "budget"] > known.loc["direct", "budget"]


@pytest.mark.slow
def test_the_same_seeds_give_the_same_rows(path: Path, measured: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(measure(path, read_table(path), searches=6), measured)


def test_standings_take_the_recording_as_the_unit_and_pair_with_random(measured: pd.DataFrame) -> None:
    share = SHARES[-1]
    found = standings(measured, share)
    assert sorted(s.planner for s in found) == sorted(PLANNERS)
    at = measured[(measured["kind"] == "planner") & (measured["share"] == share)]
    for standing in found:
        own = at[at["planner"] == standing.planner]
        values = own.groupby("draw_seed")["test"].mean().to_numpy()
        assert standing.test == pytest.approx(values.mean())
        assert (standing.searches, standing.recordings) == (len(own), len(values)) == (12, 2)
        assert standing.error == pytest.approx(standard_error(values))
        assert (standing.lowest, standing.highest) == (values.min(), values.max())
        assert standing.first is standing.last is None, "two recordings do not rank planners"
        if standing.difference is not None:
            random = at.loc[at["planner"] == "random", "test"].mean()
            assert standing.difference.mean == pytest.approx(standing.test - random)
    assert found[0].test >= found[-1].test


def four_recordings(frame: pd.DataFrame) -> pd.DataFrame:
    """Its searches as if each three were of a recording of their own."""
    return frame.assign(draw_seed=frame["draw_seed"] * 2 + frame["search"] % 2)


def test_more_searches_of_two_recordings_are_no_more_observations(measured: pd.DataFrame) -> None:
    again = pd.concat([measured, measured.assign(search=measured["search"] + 100)])
    for once, twice in zip(standings(measured, SHARES[-1]), standings(again, SHARES[-1]), strict=True):
        assert once.planner == twice.planner and once.error == pytest.approx(twice.error)
        if once.difference is not None and twice.difference is not None:
            assert once.difference.low == pytest.approx(twice.difference.low)


def test_planners_that_never_differ_share_their_ranks(measured: pd.DataFrame) -> None:
    found = standings(four_recordings(measured.assign(test=0.5)), SHARES[0])
    assert {(s.first, s.last) for s in found} == {(1, len(PLANNERS))}
    assert [s.equal for s in found if s.difference is not None] == [True] * (len(PLANNERS) - 1)


def test_planners_that_always_differ_are_told_apart(measured: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    better = measured["planner"].str.endswith(COLD) * 0.3 + rng.uniform(0.2, 0.21, len(measured))
    found = standings(four_recordings(measured.assign(test=better)), SHARES[0])
    ranks = {s.planner: (s.first, s.last) for s in found}
    assert {ranks[name] for name in PLANNERS if name.endswith(COLD)} == {(1, 2)}


def test_a_table_without_a_judge_is_refused(tmp_path: Path) -> None:
    header = made_header()
    runs = [made_run(header, text, SEEDS[1]) for text in header.names.values()]
    file = tmp_path / "draws.parquet"
    write_table(file, header, runs)
    with pytest.raises(PlannersError, match="record more seeds"):
        measure(file, checked_table(header, runs), searches=2)


def test_what_is_written_is_read_again(measured: pd.DataFrame, tmp_path: Path) -> None:
    write_planners(measured, tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(read_planners(tmp_path / "p.parquet")[list(measured.columns)], measured)


@pytest.mark.parametrize("damage", ["text", "cut", "column", "range", "empty", "nothing"])
def test_a_damaged_file_is_refused_in_one_line(measured: pd.DataFrame, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "p.parquet"
    write_planners(measured, file)
    if damage == "text":
        file.write_text("no table")
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-30])
    elif damage == "column":
        measured.drop(columns="test").to_parquet(file)
    elif damage == "range":
        measured.assign(test=7.0).to_parquet(file)
    elif damage == "empty":
        measured[:0].to_parquet(file)
    else:
        file.unlink()
    with pytest.raises(PlannersError) as refused:
        read_planners(file)
    assert "\n" not in str(refused.value) and "p.parquet" in str(refused.value)
