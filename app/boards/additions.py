"""`tuition leaderboard`: entries from tested studies and from scores, and what a leaderboard folder shows.

A study's entries are made from its `report.json` (rows, score keys, command) and the score folders that it names; a
score of `tuition bench` from its own `record.json`. The numbers are recomputed from the samples, never copied. What a
run's blocks cost is from their records, or from the ledger where a block is gone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuition.app.studies.study_report import EvaluatedRun, read_report
from tuition.benchmarks.artefacts import FileError, RecordError
from tuition.benchmarks.boards.board_folder import Added, add_entries, open_regular, read_manifest
from tuition.benchmarks.boards.entries import (
    MAX_ENTRY_BYTES,
    EntryError,
    LeaderboardEntry,
    MeasuredEntry,
    TrainedBlock,
    parse_entry,
)
from tuition.benchmarks.boards.measured_entry import ScoredRun, entry_of_scores
from tuition.benchmarks.boards.outcomes import TOLERANCE
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.reported import reported_entries
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.benchmarks.secret_texts import without_secrets
from tuition.runners.labels import Ledger
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.store.block_store import BlockStore

Addition = tuple[LeaderboardEntry, list[Path]]


@dataclass(frozen=True)
class Sources:
    """Where entries are taken from."""

    studies: Sequence[str] = ()
    """Names of tested studies; all of their rows are added, or those named by `rows`."""
    rows: Sequence[str] = ()
    scores: Sequence[str] = ()
    """Keys (or their beginnings) of scores that `tuition bench` wrote."""
    reported: Sequence[str] = ()
    """Names of sources that ship with Tuition."""
    files: Sequence[Path] = ()
    """Files of reported entries, one JSON document each."""
    weights: str | None = None
    """Where the weights of the measured rows can be had; `{row}` and `{seed}` in it stand for those of each run."""
    contamination: str | None = None
    """What is known of test problems in what the models were trained on, beside what the scenario's check found."""


def add(folder: Path, results: Path, sources: Sources, title: str | None = None) -> dict[str, Any]:
    """Add entries to a leaderboard folder; a JSON-able account.

    The folder is made if it is not there, with the title; studies and scores are of the results folder.
    """
    additions: list[Addition] = []
    for study in sources.studies:
        additions += study_additions(results, study, sources)
    missing = set(sources.rows) - {entry.name for entry, _ in additions}
    if missing:
        raise EntryError(
            f"row {min(missing)!r:.80} is in none of the given studies; `tuition leaderboard show STUDY` lists the rows"
        )
    additions += [score_addition(results, score, sources) for score in sources.scores]
    additions += [(entry, []) for source in sources.reported for entry in reported_entries(source)]
    additions += [(_reported_file(path), []) for path in sources.files]
    if not additions:
        raise EntryError("nothing to add: give --study, --score, --reported or --entry")
    done: Added = add_entries(folder, additions, title)
    return {
        "leaderboard": read_manifest(folder).name,
        "folder": str(folder),
        "version": done.version,
        "added": list(done.new),
        "known": list(done.known),
        "replaced": list(done.replaced),
    }


def study_additions(results: Path, study: str, sources: Sources) -> list[Addition]:
    """Entries of a tested study's rows with their sample files. EntryError when something is missing or differs."""
    path = ResultsFolder(results).named_study(study).report
    try:
        report = read_report(path)
        test, tested = report.test, report.ranked()
        if test is None or tested is None:
            raise FileError("it was not tested")
        ranked, meta = tested
        described = [
            (ranked_row.row, test.runs[ranked_row.row.name])
            for ranked_row in ranked
            if (not sources.rows or ranked_row.row.name in sources.rows) and ranked_row.row.kind != "teacher"
        ]
    except FileNotFoundError:
        raise EntryError(
            f"no report of study {study!r:.80} in {results}: run `tuition search` or `tuition baselines` first"
        ) from None
    except (FileError, KeyError) as error:
        raise EntryError(
            f"{path} lacks the scores of its test ({one_line(error)[:100]}): rerun its command, which trains "
            "nothing and rewrites the report"
        ) from None
    shared = {
        "command": without_secrets(report.command or test.command),
        "code_version": test.code_version,
        "scenario": test.scenario.model_dump(),
        "accelerator": test.accelerator,
        "labels_validation": meta.labels_validation,
        "labels_owned": meta.labels_owned,
        "contamination": _contamination(ResultsFolder(results).named_study(study), sources.contamination),
    }
    additions: list[Addition] = []
    costs = BlockAccounts(ResultsFolder(results))
    for row, runs in described:
        # A base model is had with its scenario.
        base = f"{test.scenario.name} base:student" if row.kind == "untrained" else None
        scored = [
            ScoredRun(run.seed, run.score, costs.of(row.name, run), base or _address(sources, row.name, run.seed))
            for run in runs
        ]
        fields = {
            **shared,
            "name": row.name,
            "allocation": row.allocation,
            "shuffled": row.shuffled,
            "labels_trained": row.labels_trained,
            "gpu_seconds": round(row.gpu_seconds, 3),
        }
        entry, paths, score = entry_of_scores(ResultsFolder(results).scores, scored, fields)
        if abs(score.mean - row.score.mean) > TOLERANCE:
            raise EntryError(
                f"{row.name}: the report of {study} says {row.score.mean} but its samples give {score.mean}: "
                "rerun the study's command"
            )
        additions.append((entry, paths))
    return additions


def _address(sources: Sources, row: str, seed: int | None) -> str | None:
    """Where the weights of a run are, or None. Not `str.format`: braces of any other kind are a link's own."""
    if sources.weights is None:
        return None
    return sources.weights.replace("{row}", row).replace("{seed}", str(seed))


def _contamination(study: StudyFolder, more: str | None) -> str:
    """What the check of a study's scenario has found, which `verify` computes again, and what else is known."""
    try:
        found = overlaps_found(Scenario.load(str(study.scenario)))
    except (ScenarioError, OSError) as error:
        found = f"Not checked: the scenario cannot be loaded ({one_line(error, 200)})."
    return found if more is None else f"{found} {more}"


def overlaps_found(scenario: Scenario) -> str:
    """What the check of a scenario has found of test problems in what its runs are trained on."""
    found = "; ".join(str(overlap) for overlap in scenario.overlaps if overlap.suite == "test")
    return f"Test problems in what was trained on: {found}. What the base models had seen before was not checked."


class BlockAccounts:
    """What the blocks of a results folder cost, and which weights they have."""

    def __init__(self, results: ResultsFolder) -> None:
        self._store = BlockStore(results.store) if results.store.is_dir() else None
        self._ledger = Ledger(results.ledger) if results.ledger.exists() else None
        self._blocks: dict[str, TrainedBlock] = {}

    def of(self, row: str, run: EvaluatedRun) -> tuple[TrainedBlock, ...]:
        """The blocks of a run, first to last. EntryError for one of which nobody knows the cost."""
        for key in run.blocks:
            if key not in self._blocks:
                self._blocks[key] = self._block(row, key)
        return tuple(self._blocks[key] for key in run.blocks)

    def _block(self, row: str, key: str) -> TrainedBlock:
        record = None if self._store is None else self._store.record(key)
        if record is not None:
            price = record.price
            return TrainedBlock(
                key=key, weights_sha256=record.weights_sha256, gpu_seconds=price.gpu_seconds, rollouts=price.rollouts,
                rollouts_gpu_seconds=price.rollouts_gpu_seconds,
            )  # fmt: skip
        seconds = None if self._ledger is None else self._ledger.price(key)
        if seconds is None:
            raise EntryError(
                f"{row}: block {key[:12]} is neither in the store nor in the ledger, so its cost is unknown: rerun the "
                "study's command"
            )
        return TrainedBlock(key=key, weights_sha256=None, gpu_seconds=seconds)


def score_addition(results: Path, prefix: str, sources: Sources = Sources()) -> Addition:
    """The entry of one checkpoint that `tuition bench` scored; what its training cost is not known and stays null."""
    if not re.fullmatch(r"[0-9a-f]{4,64}", prefix):
        raise EntryError(f"score {prefix!r:.80}: give a score's key or its first hex digits, 4 or more")
    store = ScoreStore(ResultsFolder(results).scores)
    found = store.score_keys(prefix)
    if len(found) != 1:
        raise EntryError(
            f"score {prefix!r}: {len(found)} scores in {results} start with it; give more digits of one key"
        )
    try:
        record = store.read(found[0])
    except RecordError as error:
        raise EntryError(f"score {prefix!r}: {error}") from None
    code_version = record.code_version or record.versions.get("tuition")
    if record.model is None or record.command is None or code_version is None or record.suite_verified is None:
        raise EntryError(
            f"score {prefix!r}: its record lacks the model or the command, as those of earlier searches do: add scores "
            "of a study with --study, or score again by `tuition bench` with another --seed"
        )
    # A local folder is named by its last part: its parents mean nothing to others.
    model = Path(record.model.label).name if record.model.label[:1] in "/.~" else record.model.label
    fields = {
        "name": model,
        "model": model,
        "command": without_secrets(record.command),
        "code_version": code_version,
        "contamination": sources.contamination or "Not checked: nothing is known of what the model was trained on.",
        "suite_verified": record.suite_verified,
    }
    address = _address(sources, model, None) or (f"revision {record.model.revision}" if record.model.revision else None)
    if record.model.label.partition(" ")[2].startswith("base:"):  # it is had with its scenario
        address = record.model.label
    entry, paths, _ = entry_of_scores(store.folder, [ScoredRun(None, found[0], (), address)], fields)
    return entry, paths


def _reported_file(path: Path) -> LeaderboardEntry:
    with open_regular(path, MAX_ENTRY_BYTES) as file:
        entry = parse_entry(file.read(), str(path))
    if isinstance(entry, MeasuredEntry):
        raise EntryError(f"{path} is a measured entry, which needs its samples: add it by --study or --score")
    return entry
