import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.runners.made_records import BASE, made_record
from tuition.planner.cost import CheckpointState
from tuition.runners.locks import is_held
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore, StoreError
from tuition.runners.training.checkpoint import SCALARS, TENSORS, CarriedState, load_carried, save_carried

KEY = "ab" + "0" * 62
CHILD = "cd" + "0" * 62


def put(store: BlockStore, key: str, weights: str = "w", parent: str = BASE, parent_weights: str = "w") -> None:
    def write(folder: Path) -> BlockRecord:
        (folder / "model").mkdir()
        (folder / "model" / "model.safetensors").write_bytes(b"weights of " + weights.encode())
        for name in (TENSORS, SCALARS):
            (folder / name).write_bytes(b"state")
        return made_record(key, parent=parent, parent_weights_sha256=parent_weights, weights_sha256=weights)

    store.publish(key, write)


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore(tmp_path / "store")


def fresh(store: BlockStore) -> BlockStore:
    """The same store in a new process, which has verified nothing yet."""
    return BlockStore(store.folder)


def test_a_published_block_is_resumable(store: BlockStore) -> None:
    assert store.state(KEY) is CheckpointState.absent
    put(store, KEY)
    assert fresh(store).state(KEY) is CheckpointState.resumable


def test_a_block_without_optimizer_state_is_evaluable_and_not_damaged(store: BlockStore) -> None:
    put(store, KEY)
    store.drop_optimizer(KEY)
    assert fresh(store).state(KEY) is CheckpointState.evaluable


def test_a_crash_while_writing_leaves_no_block(store: BlockStore) -> None:
    def write(folder: Path) -> BlockRecord:
        (folder / "half").write_bytes(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.publish(KEY, write)
    assert fresh(store).state(KEY) is CheckpointState.absent
    assert store.records() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model" / "model.safetensors").write_bytes(b"weights of v"),
        lambda folder: (folder / "model" / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model" / "model.safetensors").unlink(),
        lambda folder: (folder / TENSORS).write_bytes(b"flipped"),
        lambda folder: (folder / "record.json").write_text(""),
        lambda folder: (folder / "record.json").write_text("[]"),
        lambda folder: (folder / "record.json").unlink(),
    ],
)
def test_a_damaged_block_is_set_aside_named_and_can_be_made_again(
    store: BlockStore, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, KEY)
    damage(store.path(KEY))  # type: ignore[operator]
    assert fresh(store).state(KEY) is CheckpointState.absent
    assert KEY in caplog.text
    assert list(store.path(KEY).parent.glob(".damaged-*"))
    put(store, KEY)
    assert fresh(store).state(KEY) is CheckpointState.resumable


def test_a_child_of_a_parent_retrained_to_other_weights_is_set_aside(store: BlockStore) -> None:
    put(store, KEY, weights="w")
    put(store, CHILD, parent=KEY, parent_weights="w")
    assert store.state(CHILD) is CheckpointState.resumable
    put(store, KEY, weights="other")
    assert fresh(store).state(KEY) is CheckpointState.resumable
    assert fresh(store).state(CHILD) is CheckpointState.absent


def test_a_block_of_a_newer_version_is_refused_and_left_alone(store: BlockStore) -> None:
    put(store, KEY)
    file = store.path(KEY) / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(StoreError, match=r"record\.json was written .*\(format 99 > 2\): update Tuition"):
        fresh(store).state(KEY)
    assert file.exists()


def test_who_wants_a_locked_block_waits(store: BlockStore) -> None:
    order = []

    def second() -> None:
        with fresh(store).lock(KEY):
            order.append("second")

    with store.lock(KEY):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join(timeout=10)
    assert order == ["first", "second"]


def test_optimizer_state_survives_the_disk_bit_for_bit(tmp_path: Path) -> None:
    import torch

    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 5))
    state = CarriedState(optimizer.state_dict(), scheduler.state_dict())
    save_carried(state, tmp_path)
    loaded = load_carried(tmp_path)
    for index, values in state.optimizer["state"].items():
        for name, value in values.items():
            assert torch.equal(value, loaded.optimizer["state"][index][name])
    assert loaded.optimizer["param_groups"][0]["lr"] == state.optimizer["param_groups"][0]["lr"]
    torch.optim.AdamW(layer.parameters()).load_state_dict(loaded.optimizer)


def test_a_held_lock_is_seen_and_asking_does_not_hold_it(store: BlockStore) -> None:
    assert store.in_use() == set()
    with store.lock(KEY):
        assert fresh(store).in_use() == {KEY}
    lock = store.folder / "locks" / f"{KEY}.lock"
    assert lock.exists() and not is_held(lock) and not is_held(lock.with_name("absent.lock"))
    with store.lock(CHILD):
        (store.folder / "locks" / "no lock").write_text("")
        assert store.in_use() == {CHILD}


def test_askers_do_not_take_each_other_for_the_holder(store: BlockStore) -> None:
    with store.lock(KEY):
        pass
    lock = store.folder / "locks" / f"{KEY}.lock"
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda _: is_held(lock), range(2000)))


def test_a_block_that_vanishes_while_it_is_listed_has_no_bytes(store: BlockStore) -> None:
    put(store, KEY)
    total, optimizer = store.sizes(KEY)
    assert total > optimizer == 2 * len(b"state")
    (store.path(KEY) / SCALARS).unlink()
    assert store.sizes(KEY) == (total - len(b"state"), 0)
    store.evict(KEY)
    assert store.sizes(KEY) == (0, 0) and store.block_keys() == []
