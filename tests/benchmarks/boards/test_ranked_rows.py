"""Leaderboard: order, rank intervals, the table's words, JSON without NaN, and the figure."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import norm

from tuition.benchmarks.boards.ranked_rows import (
    NO_RANKS,
    ONE_RUN,
    Meta,
    RankedRow,
    Row,
    from_json,
    pairwise_differences,
    plot,
    rank_rows,
    render,
    row_difference,
    to_json,
)
from tuition.benchmarks.statistics.intervals import Difference, Score, paired_difference, score_over_seeds
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.benchmarks.statistics.seed_variance import SeedVariances

META = Meta("my-study", "micro-test@1", "sampled", 100, labels_owned=164, seed_variance="moderated")


def difference(low: float, high: float, num_seeds: int = 3) -> Difference:
    """With the p-value of a normal distribution that has this 95 % interval."""
    p_value = 2 * float(norm.sf(abs(low + high) / (high - low) * norm.ppf(0.975)))
    return Difference((low + high) / 2, low, high, 50, num_seeds, num_seeds == 1, p_value)


def row(name: str, mean: float, to_reference: Difference | None, num_seeds: int = 3) -> Row:
    return Row(
        name=name,
        allocation="teacher=large teacher_rl=4 warmup=1 opd=2 student_rl=2" if to_reference else "student_rl=8",
        kind="finalist" if name.startswith("search") else "baseline",
        score=Score(mean, 0.021, 0.011, 50, 4, num_seeds, 0.013 if num_seeds > 1 else math.nan),
        difference=to_reference,
        selected_validation=0.391 if name.startswith("search") else None,
        labels_trained=48,
        gpu_seconds=12345.6,
        seeds=tuple(range(num_seeds)),
    )


def board(num_seeds: int = 3) -> list[RankedRow]:
    rows = [
        row("direct", 0.24, None, num_seeds),
        row("search #12", 0.388, difference(0.1, 0.196, num_seeds), num_seeds),
        row("half", 0.37, difference(-0.02, 0.28, num_seeds), num_seeds),
    ]
    pairwise = {
        ("search #12", "direct"): difference(0.1, 0.196),
        ("direct", "half"): difference(-0.28, 0.02),
        # An interval that leaves out zero (p = 0.03), but not a p-value that survives three tests.
        ("half", "search #12"): difference(-0.19, -0.01),
    }
    return rank_rows(rows, pairwise)


def text(rows: list[RankedRow], width: int = 100, meta: Meta = META) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(rows, meta))
    return console.export_text()


def test_rows_are_sorted_and_ranked_by_what_holms_correction_leaves_open() -> None:
    assert [(r.row.name, r.rank_first, r.rank_last, r.rank) for r in board()] == [
        ("search #12", 1, 2, "1-2"),
        ("half", 1, 3, "1-3"),
        ("direct", 2, 3, "2-3"),
    ]


def test_rows_that_are_all_apart_get_one_rank_each() -> None:
    rows = [row("a", 0.1, None), row("b", 0.5, difference(0.3, 0.5)), row("c", 0.3, difference(0.1, 0.3))]
    names = {"a": 0.1, "b": 0.5, "c": 0.3}
    pairwise = {
        (x, y): difference(names[x] - names[y] - 0.01, names[x] - names[y] + 0.01)
        for x in names
        for y in names
        if x < y
    }
    assert [r.rank for r in rank_rows(rows, pairwise)] == ["1", "2", "3"]


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 1000))
def test_rank_intervals_hold_the_place_in_the_order(num_rows: int, num_seeds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcomes = {
        f"row {i}": [(rng.random((8, 2)) < rng.random()).astype(int) for _ in range(num_seeds)] for i in range(num_rows)
    }
    pairwise = pairwise_differences(outcomes)
    assert len(pairwise) == num_rows * (num_rows - 1) // 2
    rows = [
        replace(row(name, 0, None, num_seeds), score=score_over_seeds(runs), difference=pairwise.get(("row 0", name)))
        for name, runs in outcomes.items()
    ]
    for place, ranked in enumerate(rank_rows(rows, pairwise), 1):
        if num_seeds < RANKED_SEEDS:
            assert (ranked.rank_first, ranked.rank_last) == (None, None)
        else:
            assert 1 <= ranked.rank_first <= place <= ranked.rank_last <= num_rows


def test_what_cannot_be_ranked_is_named() -> None:
    a, b = row("a", 0.2, None), row("b", 0.1, difference(-0.2, 0.1))
    with pytest.raises(ValueError, match="no paired difference of 'a' and 'b'"):
        rank_rows([a, b], {})
    with pytest.raises(ValueError, match="'a' appears twice"):
        rank_rows([a, a], {})
    with pytest.raises(ValueError, match=r"without a difference: \['a', 'b'\]"):
        rank_rows([a, replace(b, difference=None)], {})


def test_the_table_fits_100_columns_and_names_its_numbers() -> None:
    shown = text(board())
    assert max(map(len, shown.splitlines())) <= 100
    for part in (
        "my-study on micro-test@1 (sampled)", "38.8 ±2.1 problems", "±1.1 samples", "±1.3 seeds", "+14.8",
        "[+10.0, +19.6]", "minus direct", "points [95 %]", "reference", "1-2", "39.1", "12,346", "teacher_rl=4",
        "avg@4 over 50 problems; training seeds 0, 1, 2", "164 owned, of which 100 for validation",
        "after Holm's correction over all pairs", "are not corrected for multiple comparisons",
    ):  # fmt: skip
        assert part in shown, part
    assert ONE_RUN not in shown


def test_a_shuffled_row_says_so_beside_its_allocation() -> None:
    rows = [replace(row("direct", 0.2, None), shuffled=True), row("b", 0.1, difference(-0.2, 0.1))]
    shown = text(rank_rows(rows, {("b", "direct"): difference(-0.2, 0.1)}))
    assert shown.count("shuffled") == 1 and "student_rl=8 (shuffled," in shown


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_below_three_seeds_there_are_no_ranks_and_the_heading_says_why(num_seeds: int) -> None:
    rows = board(num_seeds)
    shown = text(rows)
    assert [(ranked.row.name, ranked.rank) for ranked in rows] == [("search #12", "-"), ("half", "-"), ("direct", "-")]
    assert shown.splitlines()[1].strip() == NO_RANKS
    assert (ONE_RUN in shown) == (num_seeds == 1)
    # The word stands in the heading alone: no column, no note.
    assert shown.count("rank") == 1 and "best" not in shown.lower()
    assert "nan" not in shown


def test_ranks_of_an_earlier_version_are_left_out_below_three_seeds_and_its_intervals_are_named() -> None:
    for num_seeds, ranks in ((2, ["-"] * 3), (3, ["1-2", "1-3", "2-3"])):
        document = to_json(board(num_seeds), META)
        del document["seed_variance"]
        for entry, bounds in zip(document["rows"], ((1, 2), (1, 3), (2, 3)), strict=True):
            entry["rank_first"], entry["rank_last"] = bounds
            if entry["difference"]:
                del entry["difference"]["few_problems"]
        rows, meta = from_json(document)
        assert [ranked.rank for ranked in rows] == ranks
        assert meta.seed_variance == "own"
        assert "Of an earlier version: each pair's own seed variance alone" in " ".join(text(rows, meta=meta).split())


def test_an_interval_that_few_problems_widen_is_marked_and_small_suites_say_what_they_may_miss() -> None:
    marked = replace(difference(-0.02, 0.28), few_problems=True)
    rows = [row("direct", 0.24, None), row("half", 0.37, marked)]
    shown = text(rank_rows(rows, {("half", "direct"): marked}))
    assert "+28.0]†" in shown and "† wider than the variance says" in shown
    assert "50 problems may hold none of those that make up 6% of all." in shown
    assert "†" not in text(board())


def test_a_table_moderates_the_seed_variances_of_its_rows() -> None:
    rng = np.random.default_rng(0)
    runs = {name: [rng.binomial(1, rate, (60, 4)) for _ in range(3)] for name, rate in (("a", 0.5), ("b", 0.6))}
    runs["base"] = [rng.binomial(1, 0.4, (60, 4))]
    found = pairwise_differences(runs)
    assert found["a", "b"].mean == paired_difference(runs["a"], runs["b"]).mean
    assert found["a", "b"].p_value != paired_difference(runs["a"], runs["b"]).p_value
    table = SeedVariances.of({name: [run.mean() for run in several] for name, several in runs.items()})
    assert found["a", "base"] == row_difference(runs["a"], runs["base"], table.between("a", "base"))


def test_names_with_brackets_are_shown_as_they_are() -> None:
    rows = [row("[bold]odd[/]", 0.2, None), row("b", 0.1, difference(-0.2, 0.1))]
    shown = text(rank_rows(rows, {("b", "[bold]odd[/]"): difference(-0.2, 0.1)}))
    assert "[bold]odd[/]" in shown


def test_json_has_no_nan_and_comes_back() -> None:
    document = to_json(board(num_seeds=1), META)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    first = document["rows"][0]
    assert (first["name"], first["rank_first"], first["rank_last"]) == ("search #12", None, None)
    assert first["score"]["se_seeds"] is None and first["score"]["mean"] == 0.388
    assert document["heading"] == f"{NO_RANKS}\n{ONE_RUN}" and document["reference"] == "direct"
    assert document["labels_owned"] == 164
    assert to_json(board(), META)["heading"] is None


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_a_leaderboard_read_back_from_json_shows_the_same(num_seeds: int) -> None:
    document = json.loads(json.dumps(to_json(board(num_seeds), META)))
    rows, meta = from_json(document)
    assert meta == META
    assert text(rows) == text(board(num_seeds))
    assert to_json(rows, meta) == document


def test_ranks_of_an_earlier_version_are_not_shown_under_todays_caption() -> None:
    document = to_json(board(), META)
    del document["rank_correction"]
    with pytest.raises(ValueError, match="its ranks are corrected by None, not by 'holm'"):
        from_json(document)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_figure_is_written_in_the_format_of_its_name(tmp_path: Path, ending: str) -> None:
    plot(board(), tmp_path / f"board.{ending}")
    content = (tmp_path / f"board.{ending}").read_bytes()
    assert content.startswith(b"\x89PNG") if ending == "png" else b"<svg" in content
    assert [path.name for path in tmp_path.iterdir()] == [f"board.{ending}"]
