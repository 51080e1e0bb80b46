"""Outcomes and completions behind scores: what is compared, and the answers themselves.

Statistics are those of `benchmarks`; here samples are read and handed to them. Completions are read for one problem at
a time, in batches, however large the file.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from tuition.app.dashboard.data.record_index import Protocol, StoredScore
from tuition.app.dashboard.data.study_frames import StudyFrames
from tuition.benchmarks.artefacts import FileError, file_sha256, read_json
from tuition.benchmarks.boards.board_folder import MAX_SAMPLES_BYTES, open_regular
from tuition.benchmarks.boards.entries import EntryError
from tuition.benchmarks.boards.outcomes import Outcomes, read_outcomes
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import SAMPLES_FILE, ScoreStore
from tuition.benchmarks.scoring.statements import parse_statements, statements_path
from tuition.benchmarks.statistics.intervals import Score, avg_at_k, score_over_seeds

SHAPE = ("problem_id", "sample", "verdict", "correct", "extracted", "num_tokens", "truncated", "level", "subject")
BATCH_ROWS = 4096


@dataclass(frozen=True)
class Item:
    """What can be compared or looked at: a trial of a search ("#3") or a tested row, by name.

    `runs` are its training runs: (seed, SHA-256 of the final weights).
    """

    id: str
    allocation: str
    tested: bool
    runs: tuple[tuple[int | None, str], ...]
    validation: float | None = None

    @property
    def label(self) -> str:
        """How it is offered."""
        score = "" if self.validation is None else f", validation {100 * self.validation:.1f} %"
        return f"{self.id}: {self.allocation}{score}"


@dataclass(frozen=True)
class Sampled:
    """An item's outcomes under one protocol: one `Outcomes` and one score key a training run."""

    item: Item
    outcomes: tuple[Outcomes, ...]
    keys: tuple[str, ...]

    @property
    def score(self) -> Score:
        """Its score over its training runs."""
        return score_over_seeds([run.correct_PK for run in self.outcomes])


def items(study: StudyFrames) -> dict[str, Item]:
    """All items of a study by id: tested rows in their order, then trials, best first."""
    found: dict[str, Item] = {}
    for ranked in study.rows:
        runs = tuple((run.seed, run.weights_sha256) for run in study.runs.get(ranked.row.name, ()))
        row = ranked.row
        found[row.name] = Item(row.name, row.allocation, True, runs, row.selected_validation)
    done = study.complete
    columns = (done[name] for name in ("number", "allocation", "weights_sha256", "score"))
    for number, allocation, weights, score in zip(*columns, strict=True):
        if weights:
            found[f"#{number}"] = Item(f"#{number}", allocation or "", False, ((study.seed, weights),), float(score))
    return found


def by_weights(scores: Mapping[str, StoredScore]) -> dict[str, list[StoredScore]]:
    """Scores by the weights that they are of."""
    found: dict[str, list[StoredScore]] = {}
    for score in scores.values():
        found.setdefault(score.weights, []).append(score)
    return found


def protocols(chosen: Sequence[Item], scores: Mapping[str, list[StoredScore]]) -> list[Protocol]:
    """The protocols under which every run of all chosen items was scored."""
    sets = [{score.protocol for score in scores.get(weights, [])} for item in chosen for _, weights in item.runs]
    if not sets or any(not item.runs for item in chosen):
        return []
    return sorted(set.intersection(*sets), key=lambda protocol: (protocol.name, protocol.settings, protocol.engine))


def named(found: Iterable[Protocol]) -> dict[str, Protocol]:
    """Protocols by the names under which they are offered; those that differ only in details are numbered."""
    names: dict[str, Protocol] = {}
    for protocol in found:
        name, number = protocol.name, 1
        while name in names:
            number += 1
            name = f"{protocol.name}, {number}"
        names[name] = protocol
    return names


def sampled(results: Path, item: Item, protocol: Protocol, scores: Mapping[str, list[StoredScore]]) -> Sampled:
    """An item's outcomes. FileError with the file's name when one cannot be read."""
    outcomes, used = [], []
    for seed, weights in item.runs:
        key = next(score.key for score in scores[weights] if score.protocol == protocol)
        with _opened(results, key) as file:
            outcomes.append(read_outcomes(file, seed))
        used.append(key)
    return Sampled(item, tuple(outcomes), tuple(used))


def samples_path(results: Path, key: str) -> Path:
    """The sample file of a score; RecordError for what is no key."""
    return ScoreStore(ResultsFolder(results).scores).samples_file(key)


def details(results: Path, key: str) -> pd.DataFrame:
    """A score's samples without their completions. FileError when they cannot be read."""
    return _read(results, key, list(SHAPE))


def _read(results: Path, key: str, columns: list[str]) -> pd.DataFrame:
    with _opened(results, key) as file:
        frame: pd.DataFrame = pyarrow.parquet.read_table(file, columns=columns, use_threads=False).to_pandas()
        return frame


@contextmanager
def _opened(results: Path, key: str) -> Iterator[BufferedReader]:
    """The sample file of a score, to be read. FileError for one whose bytes are not those that its record states."""
    path = samples_path(results, key)
    try:
        with open_regular(path, MAX_SAMPLES_BYTES) as file:
            found = os.fstat(file.fileno())
            stated = ScoreStore(ResultsFolder(results).scores).read(key).samples_sha256
            if stated != _sha256(path, found.st_ino, found.st_size, found.st_mtime_ns):
                raise EntryError("does not match its checksum: `tuition store verify` moves it aside")
            yield file
    except (EntryError, ValueError, KeyError, OSError, pyarrow.ArrowException) as error:
        raise FileError(f"scores/{key[:2]}/{key[:12]}…/{SAMPLES_FILE}: {one_line(error)}") from None


@lru_cache(maxsize=4096)
def _sha256(path: Path, *stamp: int) -> str:
    """Of a file, read once as long as it is the same."""
    return file_sha256(path)


def completions(results: Path, key: str, problem_id: str) -> list[dict[str, Any]]:
    """The samples of one problem with their completions, in order. FileError when they cannot be read."""
    found: list[dict[str, Any]] = []
    with _opened(results, key) as file:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(BATCH_ROWS, use_threads=False):
            own = pyarrow.compute.equal(batch.column("problem_id"), problem_id)
            found += batch.filter(own).to_pylist()
    return sorted(found, key=lambda sample: sample["sample"])


def statement(results: Path, suite: str, problem_id: str) -> tuple[str, str] | None:
    """What was asked and the answer it wanted; None for scores that were made before these were kept.

    FileError for a file that cannot be read.
    """
    path = statements_path(ResultsFolder(results).statements, suite)
    try:
        return parse_statements(read_json(path), suite).get(problem_id)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:  # a FileError is a ValueError
        raise FileError(f"{path.parent.name}/{path.name}: {one_line(error)}") from None


def breakdown(details_by_name: Mapping[str, Sequence[pd.DataFrame]], column: str) -> pd.DataFrame:
    """Scores by the values of a column (level, subject). Columns: group, name, mean (%), error (points), problems."""
    rows = []
    for name, frames in details_by_name.items():
        known = [frame.dropna(subset=[column]) for frame in frames]
        groups = sorted({value for frame in known for value in frame[column].unique()}, key=str)
        for group in groups:
            arrays = [_outcomes(frame[frame[column] == group]) for frame in known]
            if any(array is None for array in arrays) or len({a.shape for a in arrays if a is not None}) > 1:
                continue
            score = score_over_seeds([array for array in arrays if array is not None])
            error = 100 * score.se_problems
            rows.append((str(group), name, 100 * score.mean, error, score.num_problems))
    return pd.DataFrame(rows, columns=["group", "name", "mean", "error", "problems"])


def _outcomes(frame: pd.DataFrame) -> "np.ndarray[Any, Any] | None":
    if frame.empty or frame["problem_id"].value_counts().nunique() > 1:
        return None
    ordered = frame.sort_values(["problem_id", "sample"])
    return ordered["correct"].to_numpy(dtype=np.int8).reshape(ordered["problem_id"].nunique(), -1)


def solved_by_one(a: Sampled, b: Sampled) -> pd.DataFrame:
    """Problems by how much more often one of two solves them. Columns: problem, solved by a, by b (%), difference."""
    shares = [_share(one) for one in (a, b)]
    both = pd.concat(shares, axis=1, join="inner")
    both.columns = pd.Index(["a", "b"])
    both["difference"] = both["a"] - both["b"]
    both = both[both["difference"] != 0]
    return (100 * both).sort_values("difference", key=abs, ascending=False, kind="stable").rename_axis("problem")


def _share(one: Sampled) -> "pd.Series[float]":
    runs = [pd.Series(run.correct_PK.mean(axis=1), index=list(run.problem_ids)) for run in one.outcomes]
    share: pd.Series[float] = pd.concat(runs, axis=1, join="inner").mean(axis=1)
    return share


def score_of(frame: pd.DataFrame) -> Score | None:
    """A sample table's score; None for a table that is not complete."""
    array = _outcomes(frame)
    return None if array is None else avg_at_k(array)
