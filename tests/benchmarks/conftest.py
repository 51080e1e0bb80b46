"""A small leaderboard for the tests, made once and copied for each test that needs it."""

import shutil
from pathlib import Path

import pytest

from tests.benchmarks.made_scores import NAMES, made_entry
from tuition.benchmarks.boards.board_folder import add_entries
from tuition.benchmarks.reported import reported_entries


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard of three measured entries and four reported ones, made once."""
    root = tmp_path_factory.mktemp("example")
    folder = root / "board"
    add_entries(folder, [made_entry(root, name, accuracy) for name, accuracy in NAMES.items()], "Toy board")
    add_entries(folder, [(entry, []) for entry in reported_entries("arxiv-2605.12483")[:4]])
    return folder


@pytest.fixture
def board(example: Path, tmp_path: Path) -> Path:
    """A copy of the example, for a test to damage."""
    return Path(shutil.copytree(example, tmp_path / "board"))
