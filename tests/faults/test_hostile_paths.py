"""Keys, file names and links that lead out of the results folder: nothing behind them is read, moved or written."""

import json

import pytest
from tests.faults.conftest import KEY, Fence, accept, block_record
from tests.runners.made_records import made_record

from tuition.benchmarks.artefacts import RecordError
from tuition.planner.cost import CheckpointState
from tuition.runners.store.block_store import BlockStore


@pytest.mark.parametrize("key", ["", ".", "..", "../../outside/bait", "/etc", "ab", "AB" + "0" * 62, KEY + "\n", "\0"])
def test_what_is_no_key_never_becomes_a_path(fence: Fence, key: str) -> None:
    store = BlockStore(fence.results / "store")
    for action in (store.path, store.record, store.state, store.drop_optimizer, store.evict, store.sizes):
        assert isinstance(accept(lambda action=action: action(key)), RecordError)  # type: ignore[misc]
    with pytest.raises(RecordError, match="is not 64 hex digits"), store.lock(key):
        pass
    with pytest.raises(RecordError, match="is not 64 hex digits"):
        store.publish(key, lambda folder: made_record(KEY))
    fence.check()


@pytest.mark.parametrize("role", ["parent", "teacher"])
@pytest.mark.parametrize("relative", [True, False])
def test_an_ancestor_outside_of_the_store_is_not_moved(fence: Fence, role: str, relative: bool) -> None:
    store = BlockStore(fence.results / "store")
    file = block_record(store)
    record = json.loads(file.read_text())
    record.pop("record_sha256")
    ancestor = "../../outside/bait" if relative else str(fence.root / "outside" / "bait")
    file.write_text(json.dumps({**record, role: ancestor}))
    assert BlockStore(store.folder).state(KEY) is CheckpointState.absent
    fence.check()


@pytest.mark.parametrize("name", ["../../../../outside/bait/record.json", "/etc/hostname", "a\0b"])
def test_a_listed_file_outside_of_the_block_is_damage(fence: Fence, name: str) -> None:
    store = BlockStore(fence.results / "store")
    file = block_record(store)
    record = json.loads(file.read_text())
    record.pop("record_sha256")
    file.write_text(json.dumps({**record, "files": {**record["files"], name: "0" * 64}}))
    assert BlockStore(store.folder).state(KEY) is CheckpointState.absent
    fence.check()


@pytest.mark.parametrize("name", ["model/pytorch_model.bin", "model/modeling.py", "extra"])
def test_a_file_that_the_record_does_not_list_is_damage(fence: Fence, name: str) -> None:
    store = BlockStore(fence.results / "store")
    block_record(store)
    (store.path(KEY) / name).write_bytes(b"import os")
    again = BlockStore(store.folder)
    assert again.state(KEY) is CheckpointState.absent and name in again.set_aside[KEY]


@pytest.mark.parametrize("level", ["block", "prefix"])
def test_links_out_of_the_store_are_refused(fence: Fence, level: str) -> None:
    elsewhere = BlockStore(fence.root / "outside" / "store")
    block_record(elsewhere)
    fence.before = fence.outside()
    store = BlockStore(fence.results / "store")
    link = store.folder / KEY[:2] / (KEY if level == "block" else "")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere.folder / KEY[:2] / (KEY if level == "block" else ""))
    for action in (store.state, store.drop_optimizer, store.evict):
        with pytest.raises(RecordError, match=r"is a symbolic link.*remove"):
            action(KEY)
    with pytest.raises(RecordError, match="is a symbolic link"):
        store.publish(KEY, lambda folder: made_record(KEY))
    assert store.block_keys() == [] and store.records() == []
    fence.check()
