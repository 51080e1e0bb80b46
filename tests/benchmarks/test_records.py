"""Records: folders appear whole, score keys cover what decides a score, damage is found and set aside."""

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.records import (
    SAMPLE_COLUMNS,
    RecordError,
    ScoreKey,
    ScoreStore,
    answers_PK,
    checked_table,
    correct_PK,
    publish_folder,
)

KEY = ScoreKey(
    weights_sha256="ab" * 32,
    suite="micro-validation@1",
    decoding={"temperature": 1.0, "top_p": 1.0},
    num_samples=2,
    sampling_seed=0,
    engine="transformers",
    grader="g1",
)


def sample_table(num_problems: int = 2, num_samples: int = 2) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "problem_id": f"p{problem}",
                "sample": sample,
                "completion": "1+1=2 \\boxed{2}",
                "extracted": None if sample else "2",
                "verdict": "no_answer" if sample else "correct",
                "correct": sample == 0,
                "num_tokens": 9,
                "truncated": False,
                "level": None,
                "subject": "sums",
            }
            for problem in range(num_problems)
            for sample in range(num_samples)
        ]
    )


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


def test_a_saved_table_comes_back(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    assert store.load(KEY) is None
    folder = store.save(KEY, sample_table(), host="a-host")
    assert folder == store.path(KEY) == tmp_path / KEY.key[:2] / KEY.key
    loaded = store.load(KEY)
    assert loaded is not None
    assert list(loaded.columns) == list(SAMPLE_COLUMNS)
    assert loaded["extracted"].isna().tolist() == [False, True, False, True]
    assert loaded["level"].isna().all()
    assert loaded["correct"].tolist() == [True, False, True, False]
    record = json.loads((folder / "record.json").read_text())
    assert record["host"] == "a-host"
    assert record["score_key"] == asdict(KEY)


def test_a_text_with_any_characters_comes_back(tmp_path: Path) -> None:
    table = sample_table(1, 1).assign(completion="a\n\t\x00,\"'é漢\\boxed{")
    ScoreStore(tmp_path).save(KEY, table)
    loaded = ScoreStore(tmp_path).load(KEY)
    assert loaded is not None and loaded["completion"][0] == table["completion"][0]


def test_a_table_comes_back_exactly_with_holes_and_large_numbers(tmp_path: Path) -> None:
    levels = pd.array([None, 2**53 + 1, -3, None], dtype="Int64")
    table = checked_table(sample_table(2, 2).assign(level=levels, subject=[None, "sums", "", "é"]))
    ScoreStore(tmp_path).save(KEY, table)
    loaded = ScoreStore(tmp_path).load(KEY)
    assert loaded is not None
    pd.testing.assert_frame_equal(loaded, table)


def test_a_table_takes_little_more_than_its_outcomes_and_completions(tmp_path: Path) -> None:
    """Alike completions, as a small model gives them, are not stored one by one."""
    rng = np.random.default_rng(0)
    texts = [
        f"{a}+{b}={a + b},{a + b}+{c}={a + b + c} \\boxed{{{a + b + c}}}" for a, b, c in rng.integers(10, 50, (2048, 3))
    ]
    table = sample_table(256, 8).assign(completion=texts)
    ScoreStore(tmp_path).save(KEY, table)
    ours = (ScoreStore(tmp_path).path(KEY) / "samples.parquet").stat().st_size
    checked_table(table).to_parquet(tmp_path / "plain.parquet", index=False)
    assert ours < 0.7 * (tmp_path / "plain.parquet").stat().st_size
    assert ours < 0.35 * sum(map(len, texts))


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "cd" * 32},
        {"suite": "micro-validation@2"},
        {"decoding": {"temperature": 0.0, "top_p": 1.0}},
        {"num_samples": 4},
        {"sampling_seed": 1},
        {"engine": "other"},
        {"grader": "g2"},
    ],
)
def test_every_field_is_part_of_the_key(change: dict[str, Any]) -> None:
    assert replace(KEY, **change).key != KEY.key


def test_the_key_is_pinned_and_no_order_of_settings_changes_it() -> None:
    assert replace(KEY, decoding={"top_p": 1.0, "temperature": 1.0}).key == KEY.key
    # Pinned: another key would orphan every stored score.
    assert KEY.key == "a55737f4cd398233343f69a75642520c95f4058dc06c2f524046e3d9113bdfcd"


def test_a_key_that_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(RecordError, match="JSON"):
        _ = replace(KEY, decoding={"temperature": float("nan")}).key


def damage_table(folder: Path) -> None:
    content = bytearray((folder / "samples.parquet").read_bytes())
    content[10] ^= 1
    (folder / "samples.parquet").write_bytes(content)


def cut_record(folder: Path) -> None:
    (folder / "record.json").write_text('{"key": ')


def wrong_record(folder: Path) -> None:
    (folder / "record.json").write_text("[1, 2]")


def no_record(folder: Path) -> None:
    (folder / "record.json").unlink()


def no_table(folder: Path) -> None:
    (folder / "samples.parquet").unlink()


@pytest.mark.parametrize("damage", [damage_table, cut_record, wrong_record, no_record, no_table])
def test_a_damaged_score_is_set_aside_and_can_be_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    store = ScoreStore(tmp_path)
    damage(store.save(KEY, sample_table()))
    with caplog.at_level(logging.WARNING):
        assert store.load(KEY) is None
    assert str(store.path(KEY)) in caplog.text and "damaged" in caplog.text
    assert [name.startswith(".damaged-") for name in names(store.path(KEY).parent)] == [True]
    store.save(KEY, sample_table())
    assert store.load(KEY) is not None


def test_saving_twice_keeps_the_first(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    store.save(KEY, sample_table(), attempt=1)
    store.save(KEY, sample_table(), attempt=2)
    assert json.loads((store.path(KEY) / "record.json").read_text())["attempt"] == 1


def test_wrong_tables_and_fields_are_refused(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    with pytest.raises(RecordError, match="lacks \\['verdict'\\] and has unknown \\['surplus'\\]"):
        store.save(KEY, sample_table().drop(columns="verdict").assign(surplus=1))
    with pytest.raises(RecordError, match="wrong type"):
        store.save(KEY, sample_table().assign(num_tokens="many"))
    with pytest.raises(RecordError, match="samples_sha256"):
        store.save(KEY, sample_table(), samples_sha256="mine")
    assert store.load(KEY) is None


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
