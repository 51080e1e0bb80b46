import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.runners.made_records import made_record
from tuition.benchmarks.artefacts import RecordFormatError
from tuition.planner.allocation import Allocation
from tuition.planner.cost import Price
from tuition.planner.route import Recipe, compile_route
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_record import (
    BlockRecord,
    PoolContent,
    charge_used,
    is_intact,
    read_record,
    record_text,
)

KEY = "ab" + "0" * 62
OTHER = "cd" + "0" * 62
# What the first version wrote, and no later one left out.
FIRST_FIELDS = [
    "accelerator", "environment", "finished", "gpu_seconds", "host", "index", "key", "labels_new", "labels_pool",
    "model", "parent", "parent_weights_sha256", "peak_memory_bytes", "python", "run_seed", "seconds", "seed",
    "settings", "stage", "stage_start", "steps", "versions", "weights_sha256",
]  # fmt: skip


def document(record: BlockRecord) -> dict[str, Any]:
    return dict(json.loads(record_text(record)))


def content(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def test_a_record_is_read_as_it_was_written() -> None:
    record = made_record(
        KEY, rollouts={"key": OTHER, "gpu_seconds": 0.5}, pool={"kind": "labels", "count": 4, "sha256": OTHER}
    )
    written = record_text(record).encode()
    assert read_record(written, KEY) == record and is_intact(written)
    assert record.format == 2 and record.name == "opd[0]"
    assert record.price == Price(10.0, OTHER, 0.5)


def test_a_record_of_format_1_has_no_pool() -> None:
    fields = {name: value for name, value in document(made_record(KEY)).items() if name in FIRST_FIELDS}
    record = read_record(content({**fields, "format": 1, "teacher": None, "files": {}, "rows": 12}), KEY)
    assert record.pool is None and record.price == Price(10.0)
    assert (record.groups, record.labels_filtered, record.base) == (None, None, None)


@pytest.mark.parametrize("field", FIRST_FIELDS)
def test_a_record_that_lacks_a_field_names_it(field: str) -> None:
    fields = document(made_record(KEY))
    del fields[field]
    with pytest.raises(ValueError, match=rf"^{field} is missing$"):
        read_record(content(fields), KEY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("index", -1),
        ("index", "many"),
        ("gpu_seconds", float("nan")),
        ("finished", float("inf")),
        ("parent", "../../bait"),
        ("teacher", "x" * 64),
        ("stage_start", KEY + "\n"),
        ("weights_sha256", 3),
        ("files", {"../bait": "0"}),
        ("files", {"/etc/hostname": "0"}),
        ("files", []),
        ("format", 0),
        ("rollouts", {"key": "x", "gpu_seconds": 1}),
        ("rollouts", {"key": OTHER, "gpu_seconds": -1}),
    ],
)
def test_a_field_that_cannot_be_is_named_on_one_line(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}") as caught:
        read_record(content({**document(made_record(KEY)), field: value}), KEY)
    assert len(str(caught.value).splitlines()) == 1


def test_a_teacher_without_the_hash_of_its_weights_is_damage() -> None:
    with pytest.raises(ValueError, match="teacher_weights_sha256"):
        read_record(content({**document(made_record(KEY)), "teacher": OTHER}), KEY)


def test_a_record_of_another_block_is_damage() -> None:
    with pytest.raises(ValueError, match=f"belongs to another block, '{KEY}'"):
        read_record(record_text(made_record(KEY)).encode(), OTHER)


@pytest.mark.parametrize("fields", [{"key": KEY, "format": 3}, {"format": 99, "what is new": []}])
def test_a_newer_format_is_told_from_damage(fields: dict[str, Any]) -> None:
    with pytest.raises(RecordFormatError, match=r"was written by a newer version \(format \d+ > 2\): update Tuition"):
        read_record(content(fields), KEY)


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b"\xff", b"[" * 10_000, b'{"format": "x"}', b'{"format": null}'])
def test_what_is_no_record_is_damage(broken: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        read_record(broken, KEY)
    assert not isinstance(caught.value, RecordFormatError)


def test_the_checksum_covers_what_is_stored_in_any_format() -> None:
    fields = document(made_record(KEY))
    assert not is_intact(content({**fields, "steps": 4}))
    assert not is_intact(content({**fields, "a field of another version": 1}))
    del fields["record_sha256"]
    assert is_intact(content(fields)), "blocks of before it was introduced"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("teacher=medium teacher_rl=2 warmup=1", [("labels", 4), ("labels", 8), ("prompts", None)]),
        ("teacher=medium teacher_rl=1 opd=1 student_rl=1", [("labels", 4), ("prompts", None), ("labels", 4)]),
        ("teacher=medium teacher_rl=2 opd=1 prompts=labels", [("labels", 4), ("labels", 8), ("problems", 8)]),
    ],
)
def test_a_pool_is_kept_as_its_kind_number_and_hash(
    scenario_file: dict[str, Any],
    load: Callable[[dict[str, Any]], Scenario],
    text: str,
    kinds: list[tuple[str, int | None]],
) -> None:
    def pools(recipe: Recipe) -> list[PoolContent]:
        return [PoolContent.of(block, recipe) for block in compile_route(Allocation.parse(text), recipe, 0).blocks]

    found = pools(load(scenario_file).recipe)
    assert [(pool.kind, pool.count) for pool in found] == kinds
    assert len({pool.sha256 for pool in found}) == 3
    scenario_file["labels"]["count"], scenario_file["prompts"]["count"] = 32, 24
    others = pools(load(scenario_file).recipe)
    assert all(one.sha256 != other.sha256 for one, other in zip(found, others, strict=True))


def test_what_was_used_is_told_apart_and_unknown_of_records_of_before() -> None:
    rollouts = {"key": "a" * 64, "gpu_seconds": 8.0, "gpu_seconds_used": 3.0}
    known = made_record(KEY, gpu_seconds=10.0, gpu_seconds_used=6.0, rollouts=rollouts)
    before = made_record(OTHER, gpu_seconds=10.0, rollouts={"key": "a" * 64, "gpu_seconds": 8.0})
    assert known.price.gpu_seconds == 10.0 and before.used is None
    assert read_record(record_text(known).encode(), KEY) == known
    assert charge_used([known.used, known.used]) == [9.0, 6.0]  # the rollouts are used once
    assert charge_used([known.used, before.used]) == [None, None]
