"""Entries: the schema takes what it should and refuses hostile documents in one line; ids are hashes of content."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.made_scores import made_entry
from tuition.benchmarks.boards.entries import (
    MAX_ENTRY_BYTES,
    EntryError,
    MeasuredEntry,
    ReportedEntry,
    entry_id,
    entry_json,
    parse_entry,
    validate_entry,
)
from tuition.benchmarks.reported import reported_entries


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """A measured entry as JSON values."""
    entry, _ = made_entry(tmp_path, "half")
    values: dict[str, Any] = json.loads(entry_json(entry))
    return values


def with_change(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(document))
    *parents, last = path.split(".")
    place = changed
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return dict(changed)


def test_an_entry_read_back_is_the_same_and_keeps_its_id(document: dict[str, Any]) -> None:
    entry = validate_entry(document, "x")
    spaced = json.dumps(dict(reversed(document.items())), indent=7).encode()
    assert parse_entry(entry_json(entry).encode(), "x") == parse_entry(spaced, "x") == entry
    assert isinstance(entry, MeasuredEntry) and entry.seeds == (1, 2, 3)
    assert entry_id(parse_entry(spaced, "x")) == entry_id(entry)


def test_the_id_of_a_known_entry_never_changes() -> None:
    """Ids are cited: if this fails, the schema or the canonical form changed, and every id in the world with it."""
    first = reported_entries("arxiv-2605.12483")[0]
    assert entry_id(first) == "79081dce662a4547e627081ebe4601ee491b964ae9cdb6ccba90a0419634b12a"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"), ("suite", "toy@2"), ("preset.fields.temperature", 0.7), ("labels_trained", 31),
        ("gpu_seconds", 12.6), ("score.mean", 0.123), ("num_samples", 5), ("command", "tuition other"),
        ("samples.0.sha256", "0" * 64), ("samples.0.training_seed", 9), ("code_version", "0.1.1"),
        ("allocation", "student_rl=8"), ("shuffled", True), ("scenario.sha256", "6" * 64), ("accelerator", "H100"),
    ],
)  # fmt: skip
def test_every_field_is_in_the_id(document: dict[str, Any], path: str, value: Any) -> None:
    changed = validate_entry(with_change(document, path, value), "x")
    assert entry_id(changed) != entry_id(validate_entry(document, "x"))


HOSTILE: list[tuple[str, Any, str]] = [
    ("score.mean", 1.2, "score.mean is 1.2"),
    ("score.mean", 47.7, "score.mean is 47.7"),
    ("score.mean", -0.1, "score.mean is -0.1"),
    ("score.mean", "0.5", "score.mean is '0.5'"),
    ("score.mean", True, "score.mean is True"),
    ("score.se_problems", None, "score.se_problems must be a number, as num_problems is 12"),
    ("score.se_seeds", 2, "score.se_seeds is 2"),
    ("name", "<script>alert(1)</script>", "printable text"),
    ("name", "=HYPERLINK(0)", "begin with a letter"),
    ("name", "half\n# title", "printable text"),
    ("name", "half\u202egnp.exe", "printable text"),
    ("name", "half\x00", "printable text"),
    ("name", "\ud800", "Invalid JSON"),
    ("name", "", "name is ''"),
    ("name", "x" * 501, "at most 200 characters"),
    ("name", None, "name is None"),
    ("suite", "../../etc@1", "suite is '../../etc@1'"),
    ("suite", "toy", "suite is 'toy'"),
    ("samples.0.sha256", "../../../etc/passwd", "samples.0.sha256 is '../../../etc/passwd'"),
    ("samples.0.sha256", "A" * 64, "samples.0.sha256"),
    ("samples", [], "samples"),
    ("samples.1.training_seed", 1, "give every run a different seed"),
    ("samples.1.training_seed", None, "give every run a different seed"),
    ("num_problems", 0, "num_problems is 0"),
    ("num_problems", 10**4000, "num_problems"),
    ("labels_trained", 1000, "labels_trained is 1000 but labels_owned only 128"),
    ("labels_trained", -1, "labels_trained is -1"),
    ("gpu_seconds", 1e300, "gpu_seconds"),
    ("schema_version", 1, "schema_version is 1: written before the first release; add the row again from its study"),
    ("schema_version", 4, "schema_version is 4: this version reads 2 and 3"),
    ("samples.0.blocks.0.key", "x", "samples.0.blocks.0.key"),
    ("allocation", "student_rl=8 (shuffled, no blocks)", "'(shuffled,' is not name=value"),
    ("allocation", "opd=2 teacher=large teacher_rl=4", "write it as 'teacher=large teacher_rl=4 opd=2'"),
    ("allocation", "student_rl=-1", "add the row again from its study"),
    ("allocation", None, "model and allocation are both null"),
    ("scenario", None, "allocation and scenario belong together"),
    ("scenario.sha256", "x", "scenario.sha256"),
    ("accelerator", None, "gpu_seconds and accelerator belong together"),
    ("shuffled", 1, "shuffled is 1"),
    ("kind", "guessed", "kind"),
    ("kind", "reported", ""),
    ("rank", 1, "unknown field 'rank'"),
    ("preset.fields.text", "\x00", "null bytes"),
    ("preset.fields.text", {"a": {}}, "preset.fields.text"),
    ("preset.fields.Bad Name", 1, "preset.fields"),
    ("versions", {"torch": ["2"]}, "versions.torch"),
    ("command", "tuition\x1b[31m", "printable text"),
]


@pytest.mark.parametrize(("path", "value", "message"), HOSTILE)
def test_hostile_entries_are_refused_in_one_line(document: dict[str, Any], path: str, value: Any, message: str) -> None:
    with pytest.raises(EntryError) as error:
        parse_entry(json.dumps(with_change(document, path, value)).encode(), "x.json")
    assert message in str(error.value) and str(error.value).startswith("x.json")
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not valid JSON"), (b"\xff\xfe", "is not valid JSON"), (b"[1, 2", "is not valid JSON"),
        (b"null", "x.json"), (b"[]", "x.json"),
        (b"[" * 100_000, "nested too deeply"), (b'{"a":' * 50_000, "nested too deeply"),
        (b'{"kind": "measured", "kind": "reported"}', "'kind' twice"),
        (b" " * (MAX_ENTRY_BYTES + 1), "larger than"), (b'{"x": ' + b"9" * 5000 + b"}", "is not valid JSON"),
    ],
)  # fmt: skip
def test_what_is_no_entry_at_all_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(EntryError, match=message) as error:
        parse_entry(data, "x.json")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(document: dict[str, Any], text: str) -> None:
    with pytest.raises(EntryError):
        parse_entry(json.dumps(document).replace(json.dumps(document["gpu_seconds"]), text).encode(), "x")


def test_a_checkpoint_counts_once(document: dict[str, Any]) -> None:
    weights = document["samples"][0]["weights_sha256"]
    with pytest.raises(EntryError, match="two training runs have the same checkpoint"):
        validate_entry(with_change(document, "samples.1.weights_sha256", weights), "x")


def test_an_error_of_one_kind_is_null_and_never_zero(tmp_path: Path) -> None:
    one, _ = made_entry(tmp_path, "one", seeds=(5,), num_samples=1)
    assert one.score.se_seeds is None and one.score.se_samples is None and one.score.se_problems is not None
    with pytest.raises(EntryError, match="se_seeds must be null"):
        validate_entry(with_change(json.loads(entry_json(one)), "score.se_seeds", 0.0), "x")


def test_a_missing_field_is_named(document: dict[str, Any]) -> None:
    for name in ("name", "suite", "score", "samples", "command", "code_version", "preset"):
        with pytest.raises(EntryError, match=f"{name} is missing"):
            validate_entry({key: value for key, value in document.items() if key != name}, "x")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", 'https://a"onload=x', "https://a b", "https://<b>", "//a"]
)
def test_a_reported_entry_links_to_the_web_only(url: str) -> None:
    entry = json.loads(entry_json(reported_entries("arxiv-2605.12483")[0]))
    assert isinstance(validate_entry(entry, "x"), ReportedEntry)
    with pytest.raises(EntryError, match=r"source\.url"):
        validate_entry(with_change(entry, "source.url", url), "x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELD_NAMES = sorted({*MeasuredEntry.model_fields, *ReportedEntry.model_fields, "other"})


@given(st.sampled_from(FIELD_NAMES), json_values)
def test_any_value_in_any_field_is_an_entry_or_one_line(name: str, value: Any) -> None:
    entry = json.loads(entry_json(reported_entries_once()))
    try:
        parse_entry(json.dumps({**entry, name: value}).encode(), "x")
    except EntryError as error:
        assert len(str(error).splitlines()) == 1 and str(error)


@cache
def reported_entries_once() -> ReportedEntry:
    return reported_entries("arxiv-2605.12483")[0]
