"""The command line in this process: importing torch anew for every call would take minutes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.runners.conftest import shared_grader
from tests.runners.conftest import shared_graders as shared_graders
from tests.runners.conftest import shared_hashes as shared_hashes
from tests.runners.made_records import made_record
from tuition.app.boards import board_verification, resampling
from tuition.app.cli import main
from tuition.app.scoring import bench_scores, graded_outputs
from tuition.benchmarks.grading import hard_golds
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.checkpoint import SCALARS, TENSORS


@pytest.fixture(scope="session", autouse=True)
def shared_graders_of_commands() -> Iterator[None]:
    """Commands share graders as runners do."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (bench_scores, board_verification, graded_outputs, hard_golds, resampling):
            patch.setattr(module, "Grader", shared_grader)
        yield


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Result]


@pytest.fixture
def tuition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process and in a pipe, in the test's folder."""

    def run(*arguments: str) -> Result:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["tuition", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        captured = capfd.readouterr()
        return Result(int(str(exit.value.code or 0)), captured.out, captured.err)

    return run


A, B, C = ("a" * 64, "b" * 64, "c" * 64)
WEIGHTS_BYTES, STATE_BYTES = 20_000, 40_000


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore(tmp_path / "results" / "store")


def put(store: BlockStore, key: str, gpu_seconds: float = 10.0, model: Path | None = None, **fields: Any) -> None:
    def write(folder: Path) -> BlockRecord:
        (folder / "model").mkdir()
        if model is None:
            (folder / "model" / "model.safetensors").write_bytes(b"w" * WEIGHTS_BYTES)
        else:
            for file in model.iterdir():
                (folder / "model" / file.name).write_bytes(file.read_bytes())
        (folder / TENSORS).write_bytes(b"s" * STATE_BYTES)
        (folder / SCALARS).write_bytes(b"{}")
        return made_record(key, gpu_seconds=gpu_seconds, **fields)

    store.publish(key, write)
