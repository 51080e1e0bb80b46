"""Records: folders appear whole, outcomes and answers stand where they belong."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.made_scores import two_by_two as sample_table
from tuition.benchmarks.artefacts import RecordError, answers_PK, correct_PK, publish_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_when_its_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "final"
    with publish_folder(final) as folder:
        (folder / "nested").mkdir()
        (folder / "nested" / "file").write_text("content")
        assert not final.exists()
    assert (final / "nested" / "file").read_text() == "content"
    assert names(final.parent) == ["final"]


def test_an_error_leaves_nothing_and_passes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"), publish_folder(tmp_path / "final") as folder:
        (folder / "file").write_text("half")
        raise KeyError("mine")
    assert names(tmp_path) == []


def test_the_first_of_two_writers_wins_silently(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with publish_folder(final) as slow:
        (slow / "file").write_text("slow")
        with publish_folder(final) as fast:
            (fast / "file").write_text("fast")
    assert (final / "file").read_text() == "fast"
    assert names(tmp_path) == ["final"]


@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_outcomes_are_ordered_by_problem_then_sample(num_problems: int, num_samples: int, random: Any) -> None:
    table = sample_table(num_problems, num_samples)
    table["correct"] = [random.random() < 0.5 for _ in range(len(table))]
    expected = table.sort_values(["problem_id", "sample"])["correct"].to_numpy().reshape(num_problems, num_samples)
    ids, outcomes_PK = correct_PK(table.iloc[random.sample(range(len(table)), len(table))])
    assert ids == sorted(f"p{problem}" for problem in range(num_problems))
    assert np.array_equal(outcomes_PK, expected)


def test_outcomes_that_make_no_rectangle_are_refused() -> None:
    with pytest.raises(RecordError, match="'p1' has 1 samples but 'p0' has 2"):
        correct_PK(sample_table().iloc[:3])
    with pytest.raises(RecordError, match="'p0' has sample 1 twice"):
        correct_PK(pd.concat([sample_table(), sample_table().iloc[[1]]]))
    with pytest.raises(RecordError, match="empty"):
        correct_PK(sample_table().iloc[:0])


@given(st.randoms(use_true_random=False))
def test_answers_stand_where_their_verdicts_do(random: Any) -> None:
    table = sample_table(3, 4)
    table["extracted"] = [
        "2" if correct else (None if row % 2 else str(row)) for row, correct in enumerate(table["correct"])
    ]
    shuffled = table.iloc[random.sample(range(len(table)), len(table))]
    answers = answers_PK(shuffled)
    assert answers == [["2", None, "2", None], ["2", None, "6", None], ["2", None, "10", None]]
    assert [[int(answer == "2") for answer in row] for row in answers][1:] == correct_PK(shuffled)[1][1:].tolist()
    with pytest.raises(RecordError, match="empty"):
        answers_PK(table.iloc[:0])
