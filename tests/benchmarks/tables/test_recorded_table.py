"""Recorded tables: what is written comes back, and what contradicts itself, or is no table, is refused in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.benchmarks.made_table import SEEDS, made_header, made_run, made_runs
from tuition.benchmarks.tables.recorded_table import (
    FIRST_RECORDED_SEED,
    METADATA_KEY,
    RecordedError,
    RecordedRun,
    checked_table,
    read_table,
    recorded_seeds,
    role_of,
    selected_split,
    table_bytes,
    with_first_prices,
    write_table,
)
from tuition.planner.allocation import Allocation

HEADER = made_header()
TEXTS = ["student_rl=4", "teacher=large teacher_rl=2 warmup=1 opd=1 student_rl=2", "teacher=small warmup=1", "base"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "made.parquet"
    write_table(path, HEADER, made_runs(HEADER, TEXTS))
    return path


def test_what_is_written_comes_back(path: Path) -> None:
    table = read_table(path)
    assert table.header == HEADER and list(table.runs) == made_runs(HEADER, TEXTS)
    assert [str(allocation) for allocation in table.allocations] == TEXTS
    assert table.seeds() == SEEDS and table.seeds("judge") == SEEDS[::2] and table.seeds("draw") == SEEDS[1::2]


def test_outcomes_have_the_recorded_counts(path: Path) -> None:
    table = read_table(path)
    outcomes = table.correct_PK(Allocation.parse("student_rl=4"), SEEDS[0], "test")
    assert outcomes.shape == (6, 4) and set(np.unique(outcomes)) <= {0, 1}
    assert tuple(outcomes.sum(axis=1)) == table.runs[0].test_correct


def test_what_is_not_recorded_is_told_with_what_is(path: Path) -> None:
    table = read_table(path)
    with pytest.raises(RecordedError, match="'student_rl=3' with seed 1000001 is not recorded"):
        table.run(Allocation.parse("student_rl=3"), SEEDS[0])
    with pytest.raises(RecordedError, match="with seeds 1000001, 1000002, 1000003, 1000004 only"):
        table.run(Allocation.parse("base"), SEEDS[-1] + 1)


def test_seeds_take_turns_and_none_is_one_of_tuning_search_or_test() -> None:
    roles = [role_of(seed) for seed in recorded_seeds(5)]
    assert roles == ["judge", "draw", "judge", "draw", "judge"]
    others = {*range(100), *(1000 * (i + 1) + seed for i in range(50) for seed in range(100))}
    assert not others & set(recorded_seeds(100)) and recorded_seeds(1) == (FIRST_RECORDED_SEED,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "draw"}, "its role is 'draw'"),
        ({"scenario": "other@1"}, "its scenario is 'other@1'"),
        ({"teacher": "large"}, "its teacher is 'large'"),
        ({"allocation": "student_rl=3"}, "its blocks is"),
        ({"allocation": "teacher_rl=0 student_rl=4"}, "its allocation is"),
        ({"allocation": "student_rl=5"}, "asks for 5 label blocks"),
        ({"labels_trained": 7}, "its labels_trained is 7"),
        ({"test_correct": (1, 2, 3)}, "counts of 3 problems on t@1"),
        ({"test_correct": (0, 0, 0, 0, 0, 5)}, "from 0 to 5; expected 6, from 0 to 4"),
        ({"validation_correct": (0, 0, 0, 0, 0, -1)}, "from -1 to 0; expected"),
    ],
)
def test_a_row_that_contradicts_the_header_is_refused(changes: dict[str, Any], message: str) -> None:
    run = made_run(HEADER, "student_rl=4", SEEDS[0]).model_copy(update=changes)
    with pytest.raises(ValueError, match=message):
        checked_table(HEADER, [run])


def test_rows_that_contradict_each_other_are_refused() -> None:
    run = made_run(HEADER, "student_rl=4", SEEDS[0])
    with pytest.raises(RecordedError, match="appears twice"):
        checked_table(HEADER, [run, run])
    dearer = run.blocks[0].model_copy(update={"gpu_seconds": 9.0})
    longer = made_run(HEADER, "student_rl=4 replay=1", SEEDS[0])
    longer = longer.model_copy(update={"blocks": (dearer, *longer.blocks[1:])})
    with pytest.raises(RecordedError, match="a different price"):
        checked_table(HEADER, [run, longer])
    assert checked_table(HEADER, with_first_prices([run, longer])).runs[1].blocks[0].gpu_seconds == 2.0
    with pytest.raises(RecordedError, match="recorded seeds start at"):
        checked_table(HEADER, [made_run(HEADER, "base", 7, role=role_of(7))])


def rewritten(path: Path, out: Path, header: bytes | None, rows: list[dict[str, Any]] | None = None) -> Path:
    table = pyarrow.parquet.read_table(path)
    if rows is not None:
        table = pyarrow.Table.from_pylist(rows)
    metadata = {METADATA_KEY: header} if header is not None else {}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), out)
    return out


def header_with(**changes: Any) -> bytes:
    return json.dumps({**HEADER.model_dump(mode="json"), **changes}).encode()


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (None, None, "lacks the header"),
        (b"{", None, "JSON"),
        (b"[" * 100_000, None, "JSON"),
        (header_with(colour=1), None, "colour"),
        (header_with(format=4), None, "format"),
        (header_with(untrained={"student": [5] * 6}), None, "the base model student: it has counts of 6 problems"),
        (header_with(space={"teachers": [], "num_label_blocks": 0}), None, "num_label_blocks"),
        (header_with(recipe={**HEADER.recipe.model_dump(), "student": "another"}), None, "its blocks is"),
        (header_with(recipe={**HEADER.recipe.model_dump(), "labels_per_block": 3}), None, "do not fill blocks of 3"),
        (header_with(), [{"allocation": "base"}], "its columns are allocation"),
        (header_with(scenario="made@111111111111"), None, "does not end with its hash, @000000000000"),
        (header_with(names={"half": "student_rl=5"}), None, "asks for 5 label blocks"),
        (header_with(names={"half": "teacher=nobody opd=1"}), None, "half has a teacher 'nobody'"),
        (header_with(names={"half": "the other half"}), None, "is not name=value"),
        (header_with(names={}), None, "names has no 'teacher-upstream'"),
        (header_with(names={"teacher-upstream": "student_rl=4"}), None, "names has no 'teacher-upstream'"),
        (header_with(names={"\x1b[2Jhalf": "base"}), None, "letters that do not show"),
        (header_with(space={**HEADER.space.model_dump(), "num_label_blocks": 9}), None, "9 label blocks, the recipe 4"),
        (header_with(space={**HEADER.space.model_dump(), "max_replay": 10**30}), None, "lower max_replay, which is 1"),
        (header_with(untrained={"nobody": [0] * 6}), None, "no model 'nobody'"),
    ],
)
def test_a_hostile_file_is_one_line(
    path: Path, tmp_path: Path, header: bytes | None, rows: list[dict[str, Any]] | None, message: str
) -> None:
    bad = rewritten(path, tmp_path / "bad.parquet", header, rows)
    with pytest.raises(RecordedError, match=message) as error:
        read_table(bad)
    assert "bad.parquet is not a recorded table" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("field", ["host", "device", "date", "command", "code_version"])
def test_a_row_cannot_steer_the_terminal_that_shows_it(field: str, tmp_path: Path) -> None:
    run = made_run(HEADER, "student_rl=4", SEEDS[0]).model_copy(update={field: "\x1b]0;title\x07"})
    (tmp_path / "bad.parquet").write_bytes(table_bytes(HEADER, [run]))
    with pytest.raises(RecordedError, match=f"{field} is .*letters that do not show") as error:
        read_table(tmp_path / "bad.parquet")
    assert str(error.value).isprintable()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_file_that_is_cut_short_or_garbled_is_one_line(path: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(RecordedError) as error:
        read_table(bad)
    assert "\n" not in str(error.value)
    place = data.draw(st.integers(0, len(whole) - 1))
    bad.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    try:
        read_table(bad)  # a flipped byte of a text or a count may still be a table
    except RecordedError as garbled:
        assert "\n" not in str(garbled)


def test_a_file_that_is_too_large_or_absent_is_refused(path: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.parquet"
    with large.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(RecordedError, match="the limit is"):
        read_table(large)
    with pytest.raises(RecordedError, match=r"no recorded table '.*absent"):
        read_table(tmp_path / "absent.parquet")


def test_the_best_split_is_selected_on_the_validation_of_draw_seeds_alone() -> None:
    def run(text: str, seed: int, validation: int, test: int) -> RecordedRun:
        counts = {"validation_correct": (validation,) * 6, "test_correct": (test,) * 6}
        return made_run(HEADER, text, seed).model_copy(update=counts)

    upstream, half = "teacher=large teacher_rl=4 opd=2", "teacher=large teacher_rl=2 opd=2 student_rl=2"
    control = "teacher=large teacher_rl=2 opd=2 replay=2"
    runs = [run(control, seed, 4, 4) for seed in SEEDS]  # no search would propose it
    for seed in SEEDS:
        draws = role_of(seed) == "draw"
        runs += [run(upstream, seed, 1 if draws else 4, 4), run(half, seed, 2 if draws else 0, 0)]
    runs.append(run("student_rl=4", SEEDS[1], 4, 4))  # of one draw seed only
    assert str(selected_split(checked_table(HEADER, runs))) == half
    assert selected_split(checked_table(HEADER, [r for r in runs if r.role == "judge"])) is None


def test_a_table_of_150_routes_and_4_seeds_is_small() -> None:
    header = made_header(num_problems=384, samples=8)
    texts = [str(a) for a in dict.fromkeys(header.space.random_allocations(20_000, seed=0))][:110]
    runs = made_runs(header, texts)
    assert len(table_bytes(header, runs)) < 2e6 * len(runs) / 600
