"""From stored scores to a leaderboard entry: every number is computed from the samples, none is copied.

What: `entry_of_scores` makes a measured entry of one score for each training run; `score_record` reads what was kept
beside a score.

Simplified: the library versions are those of the first run's record.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.boards import MAX_SAMPLES_BYTES, open_regular
from benchmarks.entries import (
    MAX_ENTRY_BYTES,
    EntryError,
    MeasuredEntry,
    ids_sha256,
    measured_score,
    parse_json,
    validate_entry,
)
from benchmarks.messages import one_line
from benchmarks.outcomes import read_outcomes
from benchmarks.records import RECORD_FILE, SAMPLES_FILE, RecordError, artefact_folder
from benchmarks.statistics import Score


def entry_of_scores(
    scores: Path, runs: Sequence[tuple[int | None, str]], fields: Mapping[str, Any]
) -> tuple[MeasuredEntry, list[Path], Score]:
    """An entry of scores, one for each training run (training seed, score key), its sample files, and its score.

    Args:
        scores: the folder of a ScoreStore.
        runs: training seed (None where it is unknown) and score key of each training run.
        fields: what the samples do not tell: name, model or allocation, labels, cost, command, code version.

    Raises EntryError when a score is missing or damaged, and when the runs were not scored alike.
    """
    name = fields["name"]
    records = [score_record(scores, key) for _, key in runs]
    paths = [artefact_folder(scores, key) / SAMPLES_FILE for _, key in runs]
    outcomes = []
    for (seed, key), path in zip(runs, paths, strict=True):
        with open_regular(path, MAX_SAMPLES_BYTES) as file:
            try:
                outcomes.append(read_outcomes(file, seed))
            except EntryError as error:
                raise EntryError(f"{name}: score {key[:12]}: {error}") from None
    try:
        keys = [record["score_key"] for record in records]
        alike = [{n: v for n, v in score_key.items() if n != "weights_sha256"} for score_key in keys]
        if any(other != alike[0] for other in alike):
            raise EntryError(f"{name}: its training runs were not scored alike (suite, decoding, samples or engine)")
        shared = alike[0]
        ids = {outcome.problem_ids for outcome in outcomes}
        if len(ids) > 1:
            raise EntryError(f"{name}: its training runs were scored on different problems")
        entry_score, score = measured_score([outcome.correct_PK for outcome in outcomes])
        document = {
            **fields,
            "kind": "measured",
            "suite": shared["suite"],
            "preset": {
                "name": shared["decoding"]["name"],
                "fields": {n: v for n, v in shared["decoding"].items() if n != "name"},
            },
            "score": entry_score.model_dump(),
            "num_problems": score.num_problems,
            "num_samples": score.num_samples,
            "problem_ids_sha256": ids_sha256(outcomes[0].problem_ids),
            "samples": [
                {
                    "training_seed": seed,
                    "sha256": record["samples_sha256"],
                    "weights_sha256": _weights(k["weights_sha256"]),
                }
                for (seed, _), record, k in zip(runs, records, keys, strict=True)
            ],
            "sampling_seed": shared["sampling_seed"],
            "engine": shared["engine"],
            "grader": shared["grader"],
            "versions": records[0].get("versions") or {},
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise EntryError(f"{name}: a score's record is damaged ({one_line(repr(error))[:100]})") from None
    entry = validate_entry(document, name)
    assert isinstance(entry, MeasuredEntry), entry
    return entry, paths, score


def _weights(stated: str) -> str | None:
    """The hash of the weights; None for a served model, whose key names the server and not its content."""
    return stated if re.fullmatch(r"[0-9a-f]{64}", stated) else None


def score_record(scores: Path, key: str) -> dict[str, Any]:
    """The `record.json` of a score; EntryError when it is missing or damaged."""
    try:
        path = artefact_folder(scores, key) / RECORD_FILE
    except RecordError as error:
        raise EntryError(str(error)) from None
    with open_regular(path, MAX_ENTRY_BYTES) as file:
        record = parse_json(file.read(), str(path))
    if not isinstance(record, dict):
        raise EntryError(f"{path} is no record of a score")
    return record
