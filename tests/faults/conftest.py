"""What the tests of faults share: a fenced results folder, a whole block, a small disk, the command and its errors."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.runners.made_records import made_record

from tuition.app.cli import main
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.checkpoint import SCALARS, TENSORS

KEY, PARENT = "ab" + "0" * 62, "cd" + "0" * 62


def is_ours(error: Exception) -> bool:
    own = type(error).__module__.partition(".")[0] == "tuition"
    return own and isinstance(error, (ValueError, RuntimeError))


def accept(action: Callable[[], object]) -> Exception | None:
    """Run something; an error has to be ours, of one line, and writable to a terminal."""
    try:
        action()
    except Exception as error:
        assert is_ours(error), f"{error!r:.500}"
        message = str(error)
        assert message and len(message.splitlines()) == 1
        return error
    return None


class Fence:
    """A folder with a results folder, and baits around it that nobody may touch."""

    def __init__(self, root: Path):
        self.root, self.results = root, root / "results"
        for folder in (root / "outside" / "bait", root / "bait"):
            folder.mkdir(parents=True)
            (folder / "record.json").write_text("not a record")
        self.results.mkdir()
        self.before = self.outside()

    def outside(self) -> dict[str, bytes]:
        paths = [path for path in self.root.rglob("*") if self.results not in (path, *path.parents)]
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}

    def check(self) -> None:
        assert self.outside() == self.before


@pytest.fixture
def fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fence:
    fence = Fence(tmp_path)
    monkeypatch.chdir(fence.results)
    return fence


def block_record(store: BlockStore) -> Path:
    """A whole block; the path of its record."""

    def write(folder: Path) -> BlockRecord:
        (folder / "model").mkdir()
        (folder / "model" / "model.safetensors").write_bytes(b"weights")
        for name in (TENSORS, SCALARS):
            (folder / name).write_bytes(b"state")
        return made_record(KEY, parent=PARENT, teacher=PARENT, teacher_weights_sha256="w", weights_sha256="e" * 64)

    store.publish(KEY, write)
    return store.path(KEY) / "record.json"


@pytest.fixture
def tuition(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command in this process: its exit code and standard error."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tuition", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        return int(str(exit.value.code or 0)), capfd.readouterr().err

    return call


def assert_one_line(error: str, *parts: str) -> None:
    last = error.strip().splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in error
    assert all(part in last for part in parts), last


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"this process may not mount a file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
