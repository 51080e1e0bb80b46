"""The store of scores: keys cover what decides a score, records have a type, damage is found and set aside."""

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.made_scores import two_by_two
from tuition.benchmarks.artefacts import (
    SAMPLE_COLUMNS,
    RecordError,
    RecordFormatError,
    checked_table,
)
from tuition.benchmarks.scoring.score_store import (
    FORMAT,
    Making,
    ScoredModel,
    ScoreKey,
    ScoreRecord,
    ScoreStore,
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


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_saved_table_comes_back(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    assert store.load(KEY) is None
    record = store.save(KEY, two_by_two(), Making(host="a-host"))
    folder = store.path(KEY.key)
    assert folder == tmp_path / KEY.key[:2] / KEY.key
    stored = store.load(KEY)
    assert stored is not None and stored.record == record == store.read(KEY.key)
    loaded = stored.samples
    assert list(loaded.columns) == list(SAMPLE_COLUMNS)
    assert loaded["extracted"].isna().tolist() == [False, True, False, True]
    assert loaded["level"].isna().all()
    assert loaded["correct"].tolist() == [True, False, True, False]
    written = json.loads((folder / "record.json").read_text())
    assert written["host"] == "a-host" and written["format"] == FORMAT
    assert written["score_key"] == asdict(KEY) and record.score_key == KEY


def test_a_text_with_any_characters_comes_back(tmp_path: Path) -> None:
    table = two_by_two(1, 1).assign(completion="a\n\t\x00,\"'é漢\\boxed{")
    ScoreStore(tmp_path).save(KEY, table, Making())
    loaded = ScoreStore(tmp_path).load(KEY)
    assert loaded is not None and loaded.samples["completion"][0] == table["completion"][0]


def test_a_table_comes_back_exactly_with_holes_and_large_numbers(tmp_path: Path) -> None:
    levels = pd.array([None, 2**53 + 1, -3, None], dtype="Int64")
    table = checked_table(two_by_two(2, 2).assign(level=levels, subject=[None, "sums", "", "é"]))
    ScoreStore(tmp_path).save(KEY, table, Making())
    loaded = ScoreStore(tmp_path).load(KEY)
    assert loaded is not None
    pd.testing.assert_frame_equal(loaded.samples, table)


def test_a_table_takes_little_more_than_its_outcomes_and_completions(tmp_path: Path) -> None:
    """Alike completions, as a small model gives them, are not stored one by one."""
    rng = np.random.default_rng(0)
    texts = [
        f"{a}+{b}={a + b},{a + b}+{c}={a + b + c} \\boxed{{{a + b + c}}}" for a, b, c in rng.integers(10, 50, (2048, 3))
    ]
    table = two_by_two(256, 8).assign(completion=texts)
    ScoreStore(tmp_path).save(KEY, table, Making())
    ours = (ScoreStore(tmp_path).path(KEY.key) / "samples.parquet").stat().st_size
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
    store.save(KEY, two_by_two(), Making())
    damage(store.path(KEY.key))
    with caplog.at_level(logging.WARNING):
        assert store.load(KEY) is None
    assert str(store.path(KEY.key)) in caplog.text and "damaged" in caplog.text
    assert [name.startswith(".damaged-") for name in names(store.path(KEY.key).parent)] == [True]
    store.save(KEY, two_by_two(), Making())
    assert store.load(KEY) is not None


def test_saving_twice_keeps_the_first(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    store.save(KEY, two_by_two(), Making(host="first"))
    assert store.save(KEY, two_by_two(), Making(host="second")).host == "first"
    assert store.read(KEY.key).host == "first"


def test_wrong_tables_and_fields_are_refused(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    with pytest.raises(RecordError, match="lacks \\['verdict'\\] and has unknown \\['surplus'\\]"):
        store.save(KEY, two_by_two().drop(columns="verdict").assign(surplus=1), Making())
    with pytest.raises(RecordError, match="wrong type"):
        store.save(KEY, two_by_two().assign(num_tokens="many"), Making())
    assert store.load(KEY) is None


# As commit e466b8e wrote them: a search's, and one of `tuition bench`.
OF_A_SEARCH = {"gpu_seconds": 0.045, "versions": {"torch": "2.13.0+cpu", "trl": "1.16.0"}}
OF_A_BENCH = {
    "batch_size": 64, "code_version": "0.1.0+ge466b8e", "command": "tuition bench --model base:student --suite micro",
    "engine": "transformers", "gpu_seconds": None, "grading_seconds": 0.012, "host": "vm", "kind": "bench",
    "model": {
        "block": None, "content_sha256": "b" * 64, "label": "earlier base:student", "revision": None,
        "weights_sha256": "1" * 64,
    },
    "num_problems": 2, "num_problems_whole": 384, "num_samples": 2, "num_tokens": 40, "num_truncated": 0,
    "preset": "sampled", "preset_sources": {"all": "scenario micro"}, "python": "3.11.7", "samples_resumed": 0,
    "seconds": 0.011, "seed": 0, "started": "2026-11-30T01:15:54Z", "suite": "micro-test@1/384[:4]",
    "suite_checksum": "6" * 64, "suite_partial": True, "suite_source": "generator", "suite_verified": True,
    "verdicts": {"correct": 6, "no_answer": 0, "timeout": 0, "wrong": 2}, "versions": {"tuition": "0.1.0"},
}  # fmt: skip


@pytest.mark.parametrize("earlier", [OF_A_SEARCH, OF_A_BENCH])
def test_records_of_format_1_are_read(tmp_path: Path, earlier: dict[str, Any]) -> None:
    store = ScoreStore(tmp_path)
    now = store.save(KEY, two_by_two(), Making())
    own = {"key": KEY.key, "score_key": asdict(KEY), "samples_sha256": now.samples_sha256}
    (store.path(KEY.key) / "record.json").write_text(json.dumps({**earlier, **own}))
    stored = store.load(KEY)
    assert stored is not None and stored.record.format == 1
    told = stored.record.model_dump(exclude_unset=True, exclude={"format", *own, "model"})
    assert told == {name: value for name, value in earlier.items() if name in Making.model_fields and name != "model"}
    label = None if stored.record.model is None else stored.record.model.label
    assert label == (earlier["model"]["label"] if "model" in earlier else None)


def test_a_record_of_a_later_version_is_refused_and_stays(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    store.save(KEY, two_by_two(), Making())
    file = store.path(KEY.key) / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": FORMAT + 1}))
    for read in (lambda: store.load(KEY), lambda: store.check(KEY.key)):
        with pytest.raises(RecordFormatError, match=rf"score {KEY.key[:12]} was .*\(format 3 > 2\): update") as error:
            read()
        assert len(str(error.value).splitlines()) == 1
    assert file.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples_sha256": None}, "samples_sha256"),
        ({"score_key": {"suite": "s"}}, "score_key"),
        ({"gpu_seconds": -1}, "gpu_seconds is -1"),
        ({"format": 0}, "format is 0"),
        ({"key": "0" * 64}, "belongs to another score"),
    ],
)
def test_what_is_wrong_with_a_record_is_told_in_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    store = ScoreStore(tmp_path)
    store.save(KEY, two_by_two(), Making())
    file = store.path(KEY.key) / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(RecordError, match=message) as error:
        store.read(KEY.key)
    assert len(str(error.value).splitlines()) == 1


def test_keys_are_listed_in_order_and_by_their_beginning(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "scores")
    assert store.score_keys() == []
    keys = sorted(store.save(replace(KEY, sampling_seed=seed), two_by_two(), Making()).key for seed in range(5))
    (tmp_path / "scores" / keys[0][:2] / f".{keys[0]}.lock").touch()
    (tmp_path / "scores" / keys[0][:2] / f".damaged-{keys[0]}-00000000").mkdir()
    (tmp_path / "scores" / keys[0][:2] / ("0" * 64)).symlink_to(tmp_path)
    assert store.score_keys() == keys
    assert store.score_keys(keys[2][:9]) == [keys[2]] and store.score_keys("0" * 64) == []


def test_models_are_called_alike_by_everybody() -> None:
    assert ScoredModel.of_block("ab" * 32, "opd[1]") == ScoredModel(
        label="block abababababab (opd[1])", block="ab" * 32
    )
    assert ScoredModel.of_base("micro", "student").label == "micro base:student"


def test_a_record_is_frozen_and_holds_no_number_that_json_lacks() -> None:
    fields = {"key": KEY.key, "score_key": KEY, "samples_sha256": "0" * 64}
    record = ScoreRecord(**fields)
    with pytest.raises(ValueError, match="frozen"):
        record.host = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="finite"):
        ScoreRecord(**fields, seconds=float("nan"))
