"""From stored scores to a leaderboard entry: every number is computed from the samples, none is copied.

What: `entry_of_scores` makes a measured entry of one score for each training run (`ScoredRun`).

Simplified: the library versions are those of the first run's record.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tuition.benchmarks.artefacts import RecordError
from tuition.benchmarks.boards.board_folder import MAX_SAMPLES_BYTES, open_regular
from tuition.benchmarks.boards.entries import (
    EntryError,
    RepeatableEntry,
    TrainedBlock,
    ids_sha256,
    measured_score,
    validate_entry,
)
from tuition.benchmarks.boards.outcomes import read_outcomes
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.benchmarks.statistics.intervals import Score


class ScoredRun(NamedTuple):
    """A training run: its seed (None where it is unknown), its score's key, its blocks, and where its weights are."""

    seed: int | None
    score: str
    blocks: tuple[TrainedBlock, ...] = ()
    weights_address: str | None = None


def entry_of_scores(
    scores: Path, runs: Sequence[ScoredRun], fields: Mapping[str, Any]
) -> tuple[RepeatableEntry, list[Path], Score]:
    """An entry of scores, one for each training run, its sample files, and its score.

    Args:
        scores: the folder of a ScoreStore.
        runs: the training runs.
        fields: what the samples do not tell: name, model or allocation, labels, cost, contamination, command, code
            version.

    Raises EntryError when a score is missing or damaged, and when the runs were not scored alike.
    """
    name = fields["name"]
    store = ScoreStore(scores)
    try:
        records = [store.read(run.score) for run in runs]
    except RecordError as error:
        raise EntryError(f"{name}: {error}") from None
    paths = [store.samples_file(record.key) for record in records]
    outcomes = []
    for run, path in zip(runs, paths, strict=True):
        with open_regular(path, MAX_SAMPLES_BYTES) as file:
            try:
                outcomes.append(read_outcomes(file, run.seed))
            except EntryError as error:
                raise EntryError(f"{name}: score {run.score[:12]}: {error}") from None
    shared = records[0].score_key
    if any(replace(record.score_key, weights_sha256=shared.weights_sha256) != shared for record in records):
        raise EntryError(f"{name}: its training runs were not scored alike (suite, decoding, samples or engine)")
    if len({outcome.problem_ids for outcome in outcomes}) > 1:
        raise EntryError(f"{name}: its training runs were scored on different problems")
    entry_score, score = measured_score([outcome.correct_PK for outcome in outcomes])
    document = {
        **fields,
        "kind": "measured",
        "suite": shared.suite,
        "preset": {
            "name": shared.decoding.get("name"),
            "fields": {n: v for n, v in shared.decoding.items() if n != "name"},
        },
        "score": entry_score.model_dump(),
        "num_problems": score.num_problems,
        "num_samples": score.num_samples,
        "problem_ids_sha256": ids_sha256(outcomes[0].problem_ids),
        "samples": [
            {
                "training_seed": run.seed,
                "sha256": record.samples_sha256,
                "weights_sha256": weights_named(record.score_key.weights_sha256),
                "weights_address": run.weights_address,
                "blocks": [block.model_dump() for block in run.blocks],
            }
            for run, record in zip(runs, records, strict=True)
        ],
        "sampling_seed": shared.sampling_seed,
        "engine": shared.engine,
        "grader": shared.grader,
        # Of Tuition itself, `code_version` says it, of the command that makes the entry: a score may be older.
        "versions": {name: version for name, version in records[0].versions.items() if name != "tuition"},
    }
    entry = validate_entry(document, name)
    assert isinstance(entry, RepeatableEntry), entry
    return entry, paths, score


def weights_named(stated: str) -> str | None:
    """The hash of the weights; None for a served model, whose key names the server and not its content."""
    return stated if re.fullmatch(r"[0-9a-f]{64}", stated) else None
