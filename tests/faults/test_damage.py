"""Damage on disk, full and read-only disks, a clock that jumps: nothing damaged is ever used, what can be made again is
made again to the same weights, and every error names the file and the next step.

What a store does with single damaged blocks is in tests/runners/store/test_block_store.py as well; here the block is a
real one.
"""

import errno
import json
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
import yaml
from tests.faults.conftest import assert_one_line
from tests.runners.conftest import small_scenario_file
from tests.runners.made_records import made_record

from tuition.planner.allocation import Allocation
from tuition.planner.cost import CheckpointState
from tuition.planner.route import Route, compile_route
from tuition.planner.storage import StudyError
from tuition.planner.study import open_study
from tuition.runners.labels import Ledger, LedgerError
from tuition.runners.route_runner import RouteRun, RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.checkpoint import SCALARS, TENSORS

pytestmark = pytest.mark.slow

KEY = "ab" + "0" * 62
MODEL_FILES = ["model/model.safetensors", "model/config.json", "model/tokenizer.json"]
FILES = [*MODEL_FILES, TENSORS, SCALARS, "train.parquet", "record.json"]


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes, seed: int = 0) -> bytes:
    flipped = bytearray(data)
    flipped[random.Random(seed).randrange(len(data))] ^= 1
    return bytes(flipped)


def garbage(data: bytes) -> bytes:
    return random.Random(0).randbytes(len(data))


def middle(data: bytes) -> bytes:
    """All but the first page overwritten: an SQLite file that still opens."""
    return data[:4096] + garbage(data[4096:])


def end(data: bytes) -> bytes:
    """The last third overwritten: an SQLite file whose schema is whole."""
    whole = len(data) // 4096 * 2 // 3 * 4096
    return data[:whole] + garbage(data[whole:])


def damage_file(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


@pytest.fixture(scope="module")
def scenario_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenario") / "small.yaml"
    path.write_text(yaml.safe_dump(small_scenario_file()))
    return path


@pytest.fixture(scope="module")
def scenario(scenario_path: Path) -> Scenario:
    return Scenario.load(str(scenario_path))


@pytest.fixture(scope="module")
def route(scenario: Scenario) -> Route:
    return compile_route(Allocation.parse("student_rl=1"), scenario.recipe, 0)


def run(scenario: Scenario, results: Path, route: Route) -> RouteRun:
    runner = RouteRunner(scenario, results)
    try:
        return runner.run(route, "study")
    finally:
        runner.close()


@pytest.fixture(scope="module")
def trained(scenario: Scenario, route: Route, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A results folder with one trained block, and the hash of its weights."""
    results = tmp_path_factory.mktemp("trained")
    return results, run(scenario, results, route).weights_sha256


@pytest.fixture
def results(trained: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(trained[0], tmp_path / "results"))


@pytest.mark.parametrize("how", [truncate, flip, garbage, lambda data: b""])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_real_block_is_never_believed(
    results: Path, route: Route, name: str, how: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    block = BlockStore(results / "store").path(route.final)
    damage_file(block / name, how)
    store = BlockStore(results / "store")
    assert store.state(route.final) is CheckpointState.absent
    assert name in store.set_aside[route.final] and route.final in caplog.text and "made again" in caplog.text
    assert [path.name[:9] for path in block.parent.iterdir()] == [".damaged-"]


def test_no_flipped_bit_of_a_record_changes_what_is_believed(results: Path, route: Route) -> None:
    store = BlockStore(results / "store")
    file = store.path(route.final) / "record.json"
    whole, data = store.record(route.final), file.read_bytes()
    for seed in range(200):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(flip(data, seed))
        again = BlockStore(results / "store")
        try:
            believed = again.record(route.final)
        except ValueError as error:  # the format has become a newer one
            assert "newer version" in str(error)
            continue
        # A flip in the name of the checksum leaves all else as it was.
        assert believed in (None, whole)
        if believed is None:
            aside = next(file.parent.parent.glob(".damaged-*"))
            aside.rename(file.parent)


@pytest.mark.parametrize("name", ["record.json", "model/config.json", "block"])
def test_a_folder_in_place_of_a_file_and_the_reverse_are_damage(results: Path, route: Route, name: str) -> None:
    block = BlockStore(results / "store").path(route.final)
    if name == "block":
        shutil.rmtree(block)
        block.write_text("a file")
    else:
        (block / name).unlink()
        (block / name).mkdir()
    assert BlockStore(results / "store").state(route.final) is CheckpointState.absent


def test_half_of_an_optimizer_state_is_none(results: Path, route: Route) -> None:
    store = BlockStore(results / "store")
    (store.path(route.final) / TENSORS).unlink()
    assert BlockStore(results / "store").state(route.final) is CheckpointState.evaluable


@pytest.mark.parametrize("name", ["model/model.safetensors", "train.parquet"])
def test_a_damaged_block_is_trained_again_to_the_same_weights(
    scenario: Scenario, route: Route, results: Path, trained: tuple[Path, str], name: str
) -> None:
    damage_file(BlockStore(results / "store").path(route.final) / name, flip)
    again = run(scenario, results, route)
    assert again.blocks[0].executed and again.weights_sha256 == trained[1]


def test_a_damaged_score_is_drawn_again_to_the_same_samples(scenario: Scenario, results: Path, route: Route) -> None:
    runner = RouteRunner(scenario, results)
    first = runner.score(route.final, "validation", "study").table
    (samples,) = (results / "scores").glob("*/*/samples.parquet")
    for how in (truncate, flip):
        damage_file(samples, how)
        again = runner.score(route.final, "validation", "study")
        assert again.gpu_seconds > 0 and again.table.equals(first)
    runner.close()


def test_damaged_rollouts_are_drawn_again_to_the_same_weights(scenario: Scenario, tmp_path: Path) -> None:
    wanted = compile_route(Allocation.parse("teacher=medium warmup=1"), scenario.recipe, 0)
    first = run(scenario, tmp_path, wanted)
    (table,) = (tmp_path / "store" / "rollouts").glob("*/*/rollouts.parquet")
    damage_file(table, truncate)
    BlockStore(tmp_path / "store").evict(wanted.final)
    again = run(scenario, tmp_path, wanted)
    assert again.weights_sha256 == first.weights_sha256 and again.gpu_seconds_marginal > 0
    assert list(table.parent.parent.glob(".damaged-*"))


@pytest.mark.parametrize("how", [truncate, garbage, middle])
def test_a_damaged_ledger_is_named_and_the_blocks_stand(
    scenario_path: Path,
    results: Path,
    route: Route,
    how: Callable[[bytes], bytes],
    tuition: Callable[..., tuple[int, str]],
) -> None:
    ledger = results / "ledger.sqlite"
    damage_file(ledger, how)
    command = ("run", "student_rl=1", "--scenario", str(scenario_path), "--results", str(results), "--quiet")
    code, error = tuition(*command)
    assert code == 1
    assert_one_line(error, str(ledger), "restore it, or move it aside")
    ledger.rename(results / "aside")
    assert BlockStore(results / "store").state(route.final) is CheckpointState.resumable
    assert tuition(*command)[0] == 0


def test_every_use_of_a_ledger_that_is_damaged_inside_ends_in_our_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    for booked in range(50):
        Ledger(path).book("study", 0, f"route{booked}", "opd", [f"label{booked}-{i}" for i in range(20)], 100)
    damage_file(path, middle)
    uses: list[Callable[[Ledger], object]] = [
        lambda ledger: ledger.book("study", 0, "new", "opd", ["a"], 100),
        lambda ledger: ledger.owned("study"),
        lambda ledger: ledger.trainings("study"),
        lambda ledger: ledger.price("key"),
    ]
    for use in uses:
        with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used"):
            use(Ledger(path))


@pytest.mark.parametrize("how", [truncate, garbage, middle, end])
def test_a_damaged_study_is_named_and_a_new_one_begins(
    scenario_path: Path, results: Path, how: Callable[[bytes], bytes], tuition: Callable[..., tuple[int, str]]
) -> None:
    database = results / "studies" / "s" / "study.db"
    database.parent.mkdir(parents=True)
    url, sha256 = f"sqlite:///{database}", Scenario.load(str(scenario_path)).sha256
    study = open_study("s", url, sha256, 0)
    study.add_trials([optuna.create_trial(value=0.0, user_attrs={"a": "x" * 500}) for _ in range(30)])
    damage_file(database, how)
    command = ("search", "--scenario", str(scenario_path), "--results", str(results), "--study", "s", "--trials", "1")
    code, error = tuition(*command)
    assert code in (1, 2)
    assert_one_line(error, str(database), "aside", "the same command")
    database.rename(database.with_name("aside"))
    assert open_study("s", url, sha256, 0).trials == []


def test_a_sound_study_opens(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    open_study("s", url, "a", 0)
    assert open_study("s", url, "a", 0).study_name == "s"
    with pytest.raises(StudyError, match="another --study name"):
        open_study("s", url, "b", 0)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return filler


def put(store: BlockStore, size: int = 10) -> None:
    def write(folder: Path) -> BlockRecord:
        (folder / "weights").write_bytes(b"x" * size)
        return made_record(KEY)

    store.publish(KEY, write)


def test_a_disk_that_fills_while_a_block_is_published(disk: Path) -> None:
    store = BlockStore(disk / "store")
    with pytest.raises(OSError) as caught:
        put(store, 2_000_000)
    assert caught.value.errno == errno.ENOSPC
    assert BlockStore(disk / "store").state(KEY) is CheckpointState.absent
    assert [path for path in store.folder.rglob("*") if path.is_file()] == [], "what was written is freed"
    put(store)
    assert BlockStore(disk / "store").record(KEY)


def test_a_disk_that_is_full(disk: Path, scenario_path: Path, tuition: Callable[..., tuple[int, str]]) -> None:
    ledger = Ledger(disk / "ledger.sqlite")
    ledger.book("study", 0, "route", "opd", ["a"], 10)
    filler = fill(disk)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used .*full.*free disk space"):
        ledger.book("study", 0, "route", "opd", [f"label{i}" for i in range(2000)], 10_000)
    code, error = tuition("run", "base", "--scenario", str(scenario_path), "--results", str(disk / "new"), "--quiet")
    assert code == 1
    assert_one_line(error, str(disk / "new"), "free disk space")
    filler.unlink()
    assert ledger.owned("study") == 1
    ledger.book("study", 0, "route", "opd", ["b"], 10)
    assert ledger.owned("study") == 2


def test_a_read_only_store_can_be_read_and_is_left_alone(
    disk: Path, scenario_path: Path, tuition: Callable[..., tuple[int, str]]
) -> None:
    put(BlockStore(disk / "store"))
    Ledger(disk / "ledger.sqlite")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    store = BlockStore(disk / "store")
    assert store.state(KEY) is CheckpointState.evaluable
    with pytest.raises(OSError) as caught:
        put(store)
    assert caught.value.errno == errno.EROFS
    with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used .*make it writable"):
        Ledger(disk / "ledger.sqlite").book("study", 0, "route", "opd", ["a"], 10)
    code, error = tuition("run", "student_rl=1", "--scenario", str(scenario_path), "--results", str(disk), "--quiet")
    assert code == 1
    assert_one_line(error, str(disk), "make the file system writable")


def test_a_damaged_block_of_a_read_only_store_is_not_used(disk: Path) -> None:
    store = BlockStore(disk / "store")
    put(store)
    (store.path(KEY) / "weights").write_bytes(b"other")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OSError, match=KEY):
        BlockStore(disk / "store").state(KEY)


def test_the_command_refuses_a_block_of_a_newer_version(
    results: Path, route: Route, scenario_path: Path, tuition: Callable[..., tuple[int, str]]
) -> None:
    file = BlockStore(results / "store").path(route.final) / "record.json"
    newer = json.dumps({"key": route.final, "format": 3, "what is new": []})
    file.write_text(newer)
    code, error = tuition("run", "student_rl=1", "--scenario", str(scenario_path), "--results", str(results), "--quiet")
    assert code == 2 and file.read_text() == newer
    assert_one_line(error, str(file), "format 3 > 2", "update Tuition")


def test_a_clock_that_jumps_backwards_changes_nothing(
    scenario: Scenario, route: Route, trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.time()]

    def backwards() -> float:
        now[0] -= 86_400.0
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    first = run(scenario, tmp_path, route)
    assert first.weights_sha256 == trained[1] and first.gpu_seconds_full > 0
    assert not run(scenario, tmp_path, route).blocks[0].executed
    runner = RouteRunner(scenario, tmp_path)
    assert runner.score(route.final, "validation", "study").gpu_seconds > 0
    assert runner.score(route.final, "validation", "study").gpu_seconds == 0
    runner.close()


def test_a_ledger_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used"):
        Ledger(tmp_path / "ledger.sqlite")
    (tmp_path / "other.sqlite").write_bytes(b"")
    with sqlite3.connect(tmp_path / "other.sqlite") as db:
        db.execute("CREATE TABLE spent (something_else TEXT)")
    with pytest.raises(LedgerError, match=r"other\.sqlite cannot be used .*move it aside"):
        Ledger(tmp_path / "other.sqlite").owned("study")
