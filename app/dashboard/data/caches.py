"""What the server keeps between clicks: studies, indexes and samples, read once for all who look.

What is kept is shared and must not be changed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from tuition.app.dashboard.data import block_tree, recomputed_boards, record_index, samples
from tuition.app.dashboard.data.files import Unreadable, stamp
from tuition.app.dashboard.data.recomputed_boards import ShownBoard
from tuition.app.dashboard.data.record_index import Block, Found, Index, Protocol, StoredScore
from tuition.app.dashboard.data.samples import Item, Sampled
from tuition.app.dashboard.data.study_frames import StudyFrames, read_study
from tuition.benchmarks.planning.race_file import Measured, read_race
from tuition.benchmarks.results_folder import ResultsFolder

Stamps = tuple[tuple[int, int], ...]


@st.cache_resource(max_entries=8, show_spinner=False)
def _study(results: str, name: str, stamps: Stamps) -> StudyFrames:
    return read_study(Path(results), name)


@st.cache_resource(max_entries=8, show_spinner=False)
def _items(results: str, name: str, stamps: Stamps) -> Mapping[str, Item]:
    return samples.items(_study(results, name, stamps))


def _stamps(results: Path, name: str) -> Stamps:
    return tuple(map(stamp, ResultsFolder(results).study(name).watched))


def study(results: Path, name: str) -> StudyFrames:
    """A study, read again only when one of its files has changed."""
    return _study(str(results), name, _stamps(results, name))


def items(results: Path, name: str) -> Mapping[str, Item]:
    """All items of a study by id."""
    return _items(str(results), name, _stamps(results, name))


@st.cache_resource(max_entries=4, show_spinner=False)
def _indexes(results: str) -> tuple[Index[Block], Index[StoredScore]]:
    return record_index.blocks(Path(results)), record_index.scores(Path(results))


def blocks(results: Path) -> Found[Block]:
    """All blocks by key."""
    return _indexes(str(results))[0].refresh()


def scores(results: Path) -> tuple[Mapping[str, list[StoredScore]], tuple[Unreadable, ...]]:
    """All scores by the weights that they are of, and the records that could not be read."""
    found = _indexes(str(results))[1].refresh()
    return _by_weights(str(results), found.version, found), found.unreadable


@st.cache_resource(max_entries=2, show_spinner=False)
def _by_weights(results: str, version: int, _found: Found[StoredScore]) -> Mapping[str, list[StoredScore]]:
    return samples.by_weights(_found.items)


@st.cache_resource(max_entries=256, show_spinner=False)
def _sampled(
    results: str, key: str, _item: Item, _protocol: Protocol, _scores: Mapping[str, list[StoredScore]]
) -> Sampled:
    return samples.sampled(Path(results), _item, _protocol, _scores)


def sampled(results: Path, item: Item, protocol: Protocol, found: Mapping[str, list[StoredScore]]) -> Sampled:
    """An item's outcomes; FileError as there."""
    key = repr((item.id, item.runs, protocol))
    return _sampled(str(results), key, item, protocol, found)


@st.cache_resource(max_entries=64, show_spinner=False)
def details(results: str, key: str) -> pd.DataFrame:
    """A score's samples without completions; FileError as there."""
    return samples.details(Path(results), key)


@st.cache_resource(max_entries=2, show_spinner=False)
def _blocks_by_weights(results: str, version: int, _found: Found[Block]) -> Mapping[str, list[Block]]:
    return block_tree.by_weights(_found.items)


def blocks_by_weights(results: Path) -> Mapping[str, list[Block]]:
    """All blocks by the weights that they left."""
    found = _indexes(str(results))[0].refresh()
    return _blocks_by_weights(str(results), found.version, found)


@st.cache_resource(max_entries=4, show_spinner="Reading blocks …")
def _tree(results: str, name: str, stamps: Stamps, version: int, _found: Found[Block]) -> pd.DataFrame:
    every = [item for item in _items(results, name, stamps).values() if item.runs]
    searched = [item for item in every if not item.tested]
    return block_tree.tree(searched or every, _found.items)


def tree(results: Path, name: str) -> pd.DataFrame:
    """The tree of a study's trials, or of its tested rows where nothing was searched."""
    found = _indexes(str(results))[0].refresh()
    return _tree(str(results), name, _stamps(results, name), found.version, found)


@st.cache_resource(max_entries=4, show_spinner=False)
def _uses(results: str, name: str, stamps: Stamps, version: int, _found: Found[Block]) -> Mapping[str, int]:
    return block_tree.uses(_items(results, name, stamps).values(), _found.items)


def uses(results: Path, name: str) -> Mapping[str, int]:
    """How many runs of a study use a block, by key."""
    found = _indexes(str(results))[0].refresh()
    return _uses(str(results), name, _stamps(results, name), found.version, found)


@st.cache_resource(max_entries=64, show_spinner=False)
def _curves(results: str, keys: tuple[str, ...], _blocks: Sequence[Block]) -> pd.DataFrame:
    return block_tree.curves(Path(results), _blocks)


def curves(results: Path, blocks: Sequence[Block]) -> pd.DataFrame:
    """Training curves of a chain; FileError as there."""
    return _curves(str(results), tuple(block.key for block in blocks), blocks)


@st.cache_resource(max_entries=8, show_spinner=False)
def _race(folder: str, stamps: Stamps) -> list[Measured]:
    return read_race(Path(folder))


def race(folder: Path) -> list[Measured]:
    """The planners of a race; RaceError for what is none."""
    return _race(str(folder), tuple(map(stamp, sorted(folder.glob("*.parquet")))))


@st.cache_resource(max_entries=8, show_spinner="Recomputing the leaderboard …")
def _board(folder: str, stamps: Stamps) -> ShownBoard:
    return recomputed_boards.read_board(Path(folder))


def board(folder: Path) -> ShownBoard:
    """A leaderboard, recomputed from its samples when its manifest, entries or samples change; EntryError as there."""
    paths = (recomputed_boards.manifest_path(folder), folder / "entries", folder / "samples")
    return _board(str(folder), tuple(map(stamp, paths)))
