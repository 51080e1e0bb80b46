"""Standings: who shares a table, rank intervals from paired differences, ties, seeds and partial suites."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.made_scores import made_entry
from tuition.benchmarks.boards.board_folder import add_entries
from tuition.benchmarks.boards.entries import EntryError
from tuition.benchmarks.boards.loaded_board import Board, Listed, load_board
from tuition.benchmarks.boards.manifest import Change, Manifest
from tuition.benchmarks.boards.outcomes import Outcomes
from tuition.benchmarks.boards.ranked_rows import NO_RANKS, ONE_RUN, unseen_note
from tuition.benchmarks.boards.standings import compare, standings
from tuition.benchmarks.reported import reported_entries
from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.benchmarks.statistics.seed_variance import SeedVariances

GREEDY = {"name": "greedy", "temperature": 0.0}


def board_of(tmp_path: Path, *rows: dict[str, Any]) -> Board:
    add_entries(tmp_path / "board", [made_entry(tmp_path, **row) for row in rows])
    return load_board(tmp_path / "board")


def test_rows_are_ranked_by_what_paired_differences_leave_open(tmp_path: Path) -> None:
    wide = {"num_problems": 60, "num_samples": 8}
    board = board_of(
        tmp_path, {"name": "direct", "accuracy": 0.2, **wide}, {"name": "a", "accuracy": 0.5, **wide},
        {"name": "b", "accuracy": 0.505, **wide}, {"name": "top", "accuracy": 0.9, **wide},
    )  # fmt: skip
    (table,) = standings(board).measured
    assert table.rows[0].entry.name == "top" and table.rows[-1].entry.name == "direct"
    assert [row.rank for row in table.rows] == ["1", "2-3", "2-3", "4"]
    assert table.reference == "direct" and [row.difference is None for row in table.rows] == [False] * 3 + [True]
    assert table.ranked and table.notes[-1] == unseen_note(60)
    top, direct = table.rows[0].listed, table.rows[-1].listed
    variances = SeedVariances.of(
        {row.entry.name: [run.correct_PK.mean() for run in row.listed.outcomes] for row in table.rows}
    )
    expected = paired_difference(
        [run.correct_PK for run in top.outcomes], [run.correct_PK for run in direct.outcomes],
        seed_variance=variances.between("top", "direct"),
    )  # fmt: skip
    assert table.rows[0].difference == expected


def test_without_direct_the_first_row_is_the_reference_and_one_row_has_no_rank(tmp_path: Path) -> None:
    (table,) = standings(board_of(tmp_path, {"name": "only", "seeds": (4,)})).measured
    assert (table.rows[0].rank, table.rows[0].reference, table.reference) == ("-", True, "only")
    assert not table.ranked and table.notes[:2] == (NO_RANKS, ONE_RUN)


def test_rows_below_three_seeds_have_no_rank_beside_others(tmp_path: Path) -> None:
    board = board_of(
        tmp_path, {"name": "direct", "seeds": (1, 2, 3)}, {"name": "half", "seeds": (1, 2, 4)},
        {"name": "quick", "seeds": (1, 2)},
    )  # fmt: skip
    (table,) = standings(board).measured
    ranks = {row.entry.name: row.rank for row in table.rows}
    assert ranks["quick"] == "-" and {ranks["direct"], ranks["half"]} == {"1-2"}
    assert f"{NO_RANKS} (1 of 3 rows)" in table.notes
    corrected = {pair.p_value_holm is None for pair in table.pairs}
    assert len(table.pairs) == 3 and corrected == {True, False}, "pairs of a row without a rank are not corrected"


def test_only_the_base_model_of_a_stated_scenario_is_ranked_without_training_seeds(tmp_path: Path) -> None:
    """A checkpoint that states no costs may be the best of many runs."""
    free = {"seeds": (None,), "labels_trained": 0, "labels_validation": 0, "labels_owned": 0, "gpu_seconds": 0.0}
    picked = {"model": "mine", "allocation": None, "scenario": None}
    board = board_of(
        tmp_path, {"name": "direct"}, {"name": "half"}, {"name": "base", "allocation": "base", **free},
        {"name": "picked", **free, **picked},
    )  # fmt: skip
    (table,) = standings(board).measured
    entries = {row.entry.name: row.entry for row in table.rows}
    assert {row.entry.name for row in table.rows if row.rank == "-"} == {"picked"}
    assert (entries["base"].untrained, entries["picked"].untrained) == (True, False)
    assert f"{NO_RANKS} (1 of 4 rows)" in table.notes


def test_a_table_says_how_many_of_its_rows_are_of_one_run(tmp_path: Path) -> None:
    board = board_of(tmp_path, {"name": "direct", "seeds": (1, 2)}, {"name": "half", "seeds": (1,)})
    assert f"{ONE_RUN}, in 1 of 2 rows" in standings(board).measured[0].notes


def test_presets_and_parts_never_share_a_table_unless_asked_and_then_it_says_so(tmp_path: Path) -> None:
    board = board_of(
        tmp_path, {"name": "whole"}, {"name": "greedy", "decoding": GREEDY},
        {"name": "part", "suite": "toy@1[:5]", "num_problems": 5}, {"name": "other suite", "suite": "tiny@1"},
        {"name": "other version", "suite": "toy@2"}, {"name": "other problems", "num_problems": 11},
    )  # fmt: skip
    tables = standings(board).measured
    assert sorted(len(table.rows) for table in tables) == [1] * 6
    notes = {table.rows[0].entry.name: table.notes for table in tables}
    assert any("partial suite" in note for note in notes["part"]) and notes["whole"] == (unseen_note(12),)
    mixed = {
        table.rows[0].entry.suite.partition("[")[0]: table for table in standings(board, mix_presets=True).measured
    }
    assert {suite: len(table.rows) for suite, table in mixed.items()} == {"toy@1": 4, "toy@2": 1, "tiny@1": 1}
    text = " ".join(mixed["toy@1"].notes)
    assert "mixed decoding presets" in text and "mixed parts" in text and "partial suite" in text
    by_name = {row.entry.name: row for row in mixed["toy@1"].rows}
    numbers = {name: row.difference.num_problems for name, row in by_name.items() if row.difference is not None}
    assert all(count in (5, 11, 12) for count in numbers.values()) and len(numbers) == 3


def test_presets_of_one_name_and_other_fields_are_other_presets(tmp_path: Path) -> None:
    board = board_of(
        tmp_path, {"name": "a", "decoding": GREEDY}, {"name": "b", "decoding": {**GREEDY, "max_new_tokens": 9}}
    )
    assert len(standings(board).measured) == 2


def test_costs_on_different_devices_are_marked(tmp_path: Path) -> None:
    board = board_of(tmp_path, {"name": "a"}, {"name": "b", "accelerator": "NVIDIA H100"})
    (table,) = standings(board).measured
    assert "GPU-seconds were measured on different devices (NVIDIA H100; cpu x86_64)" in table.notes


def test_a_processor_that_an_older_entry_does_not_name_is_no_other_device(tmp_path: Path) -> None:
    named = "cpu: AMD EPYC 9R14, family 25 model 17"
    board = board_of(tmp_path, {"name": "a"}, {"name": "b", "accelerator": named})
    (table,) = standings(board).measured
    (note,) = [note for note in table.notes if "GPU-seconds" in note]
    assert note.startswith("GPU-seconds on cpu x86_64 are of entries that an earlier version made")
    assert note.endswith(f"it may be another than {named}")


def test_rows_without_common_problems_are_left_open(tmp_path: Path) -> None:
    a, b = listed("a", [1]), listed("b", [1], prefix="other")
    assert compare(a, b) is None


def listed(name: str, seeds: list[int | None], prefix: str = "p", shift: float = 0.0) -> Listed:
    """An entry with outcomes of its own (the entry's document does not matter here)."""
    runs = []
    for place, seed in enumerate(seeds):
        rng = np.random.default_rng(1000 * sum(name.encode()) + (place if seed is None else seed))
        correct_PK = (rng.random((20, 4)) < 0.5 + shift).astype(np.int8)
        runs.append(Outcomes(seed, tuple(f"{prefix}{i:02}" for i in range(20)), correct_PK))
    return Listed(name.ljust(64, "0"), reported_entries("arxiv-2605.12483")[0], tuple(runs))


def test_common_seeds_are_paired_with_each_other(tmp_path: Path) -> None:
    a, b = listed("a", [1, 2, 3]), listed("b", [3, 2, 7])
    by_seed = {run.seed: run.correct_PK for run in b.outcomes}
    # Seeds 2 and 3 with each other, then the run that each has left.
    expected = paired_difference(
        [a.outcomes[place].correct_PK for place in (1, 2, 0)], [by_seed[seed] for seed in (2, 3, 7)]
    )
    assert compare(a, b) == expected and expected.num_seeds == 3


@pytest.mark.parametrize(("a", "b", "num_seeds"), [([1, 2], [5, 6, 7], 2), ([None], [None], 1)])
def test_other_seeds_are_paired_in_their_order(a: list[int | None], b: list[int | None], num_seeds: int) -> None:
    difference = compare(listed("a", a), listed("b", b))
    assert difference is not None and difference.num_seeds == num_seeds
    assert difference.excludes_training_variance == (num_seeds == 1)


def test_a_checkpoint_is_paired_with_every_run_of_the_other() -> None:
    checkpoint, trained = listed("a", [None]), listed("b", [5, 6, 7])
    difference = compare(trained, checkpoint)
    assert difference is not None and difference.num_seeds == 3 and not difference.excludes_training_variance
    means = [np.mean([run.correct_PK.mean() for run in x.outcomes]) for x in (trained, checkpoint)]
    assert difference.mean == pytest.approx(means[0] - means[1])
    assert compare(checkpoint, trained) == difference.reversed()


def test_reported_numbers_are_never_ranked(tmp_path: Path) -> None:
    reported = reported_entries("arxiv-2605.12483")
    add_entries(tmp_path / "board", [made_entry(tmp_path, "direct"), *((entry, []) for entry in reported)])
    shown = standings(load_board(tmp_path / "board"), mix_presets=True)
    assert [len(table.rows) for table in shown.measured] == [1]
    assert [len(table.rows) for table in shown.reported] == [4, 14, 6, 6, 6, 3]
    assert sum(len(by_suite) for table in shown.reported for _, by_suite in table.rows) == len(reported) == 117
    with pytest.raises(EntryError, match="cannot be compared"):
        compare(Listed("0" * 64, reported[0]), listed("a", [1]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.integers(2, 4))
def test_ranks_hold_the_place(shifts: list[float], num_seeds: int) -> None:
    manifest = Manifest(
        name="x", title="X", version="1.0", changelog=(Change(version="1.0", date="2026-01-01", change="x"),)
    )
    board = Board(manifest, tuple(_measured(i, shift, num_seeds) for i, shift in enumerate(shifts)))
    (table,) = standings(board).measured
    for place, row in enumerate(table.rows, 1):
        if num_seeds < RANKED_SEEDS or len(table.rows) == 1:
            assert (row.rank_first, row.rank_last, row.rank) == (None, None, "-")
        else:
            assert row.rank_first is not None and row.rank_last is not None
            assert 1 <= row.rank_first <= place <= row.rank_last <= len(table.rows)


def test_one_interval_without_zero_among_six_pairs_is_still_a_tie() -> None:
    manifest = Manifest(
        name="x", title="X", version="1.0", changelog=(Change(version="1.0", date="2026-01-01", change="x"),)
    )
    listed = [_measured(number, shift, 3) for number, shift in enumerate((0.35, 0.45, 0.5, 0.65))]
    (table,) = standings(Board(manifest, tuple(listed))).measured
    differences = [compare(a, b) for a, b in combinations(listed, 2)]
    assert len([d for d in differences if d is not None and (d.low > 0 or d.high < 0)]) == 1
    assert [row.rank for row in table.rows] == ["1-4"] * 4


def _measured(number: int, shift: float, num_seeds: int) -> Listed:
    from tuition.benchmarks.boards.entries import (
        EarlierEntry,
        MeasuredScore,
        Preset,
        SampleFile,
        ids_sha256,
        measured_score,
    )

    rng = np.random.default_rng(number)
    ids = tuple(f"p{i}" for i in range(8))
    runs = tuple(Outcomes(s, ids, (rng.random((8, 2)) < shift).astype(np.int8)) for s in range(num_seeds))
    score, _ = measured_score([run.correct_PK for run in runs])
    assert isinstance(score, MeasuredScore)
    entry = EarlierEntry(
        schema_version=2,
        name=f"row {number}", preset=Preset(name="p", fields={}), model="m", suite="toy@1", score=score, num_problems=8,
        num_samples=2, problem_ids_sha256=ids_sha256(ids), sampling_seed=0, engine="e", grader="g", command="tuition x",
        code_version="0", versions={},
        samples=tuple(
            SampleFile(training_seed=s, sha256=f"{s:064x}", weights_sha256=f"{s:064x}") for s in range(num_seeds)
        ),
    )  # fmt: skip
    return Listed(f"{number:064x}", entry, runs)


def test_entries_of_two_grading_policies_never_share_a_table(tmp_path: Path) -> None:
    rows = [made_entry(tmp_path, f"row {number}", grader=f"tuition-{number}") for number in (1, 2)]
    add_entries(tmp_path / "board", rows)
    for mixed in (False, True):
        tables = standings(load_board(tmp_path / "board"), mixed).measured
        assert [[row.entry.name for row in table.rows] for table in tables] == [["row 1"], ["row 2"]]
        assert "tuition-1: graded by another policy than other tables here (tuition-1, tuition-2)" in tables[0].notes


def test_entries_of_two_grading_policies_are_not_compared(tmp_path: Path) -> None:
    rows = [made_entry(tmp_path, f"row {number}", grader=f"tuition-{number}") for number in (1, 2)]
    add_entries(tmp_path / "board", rows)
    a, b = load_board(tmp_path / "board").entries
    with pytest.raises(EntryError, match="graded by tuition-1 and by tuition-2: verdicts of two policies are not"):
        compare(a, b)
    assert compare(a, a) is not None
