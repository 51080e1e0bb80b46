import subprocess
import sys
from pathlib import Path

import pytest

from tuition.runners.store.block_store import StoreError
from tuition.runners.store.leases import Leases

ROOT = Path(__file__).parents[3]


def test_blocks_are_under_lease_for_the_length_of_the_with(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    with leases.hold(["a"]), leases.hold(["a", "b"]):
        assert Leases(tmp_path).keys() == {"a", "b"}
    assert leases.keys() == set()
    assert [path.name for path in leases.folder.iterdir()] == ["eviction.lock"]


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from tuition.runners.store.leases import Leases\n"
        "with Leases(pathlib.Path(sys.argv[1])).hold(['a']):\n"
        "    print(Leases(pathlib.Path(sys.argv[1])).keys(), flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert owner.stdout is not None and owner.stdout.readline() == "{'a'}\n"
    assert Leases(tmp_path).keys() == {"a"}
    owner.kill()
    owner.wait()
    assert Leases(tmp_path).keys() == set()
    assert not list((tmp_path / "leases").glob("*.json"))


def test_nothing_can_be_leased_while_an_eviction_decides(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from tuition.runners.store.leases import Leases\n"
        "print('asks', flush=True)\n"
        "with Leases(pathlib.Path(sys.argv[1])).hold(['a']): print('holds', flush=True)"
    )
    leases = Leases(tmp_path)
    with leases.no_changes():
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert other.stdout is not None and other.stdout.readline() == "asks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=0.5)
        assert leases.keys() == set()
    assert other.stdout.readline() == "holds\n"
    assert other.wait(timeout=30) == 0


def test_a_lease_in_force_that_cannot_be_read_stops_the_eviction(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    with leases.hold(["a"]):
        (file,) = leases.folder.glob("*.json")
        file.write_text("[")
        with pytest.raises(StoreError, match="nothing is evicted"):
            leases.keys()
