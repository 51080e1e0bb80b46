"""`tuition leaderboard`: entries from tested studies and from scores, and what a leaderboard folder shows.

A study's entries are made from its `report.json` (rows, score keys, command) and the score folders that it names; a
score of `tuition bench` from its own `record.json`. The numbers are computed anew from the samples, never copied.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.boards import (
    MAX_SAMPLES_BYTES,
    Added,
    add_entries,
    open_regular,
    read_manifest,
)
from benchmarks.entries import (
    MAX_ENTRY_BYTES,
    EntryError,
    LeaderboardEntry,
    MeasuredEntry,
    ids_sha256,
    measured_score,
    one_line,
    parse_entry,
    parse_json,
    validate_entry,
)
from benchmarks.leaderboard import from_json
from benchmarks.outcomes import TOLERANCE, read_outcomes
from benchmarks.records import RECORD_FILE, SAMPLES_FILE, RecordError, artefact_folder
from benchmarks.reported import reported_entries
from benchmarks.statistics import Score

Addition = tuple[LeaderboardEntry, list[Path]]
MAX_REPORT_BYTES = 256 << 20


def add(
    folder: Path,
    results: Path,
    studies: Sequence[str] = (),
    rows: Sequence[str] = (),
    scores: Sequence[str] = (),
    reported: Sequence[str] = (),
    files: Sequence[Path] = (),
    title: str | None = None,
) -> dict[str, Any]:
    """Add entries to a leaderboard folder; a JSON-able account.

    Args:
        folder: the leaderboard, made if it is not there.
        results: the results folder of studies and scores.
        studies: names of tested studies; all of their rows are added, or those named by `rows`.
        scores: keys (or their beginnings) of scores that `tuition bench` wrote.
        reported: names of sources that ship with Tuition.
        files: files of reported entries, one JSON document each.
        title: of a new leaderboard.
    """
    additions: list[Addition] = []
    for study in studies:
        additions += study_additions(results, study, rows)
    missing = set(rows) - {entry.name for entry, _ in additions}
    if missing:
        raise EntryError(f"row {min(missing)!r:.80} is in none of the studies given; `show` names their rows")
    additions += [score_addition(results, score) for score in scores]
    additions += [(entry, []) for source in reported for entry in reported_entries(source)]
    additions += [(_reported_file(path), []) for path in files]
    if not additions:
        raise EntryError("nothing to add: give --study, --score, --reported or --entry")
    done: Added = add_entries(folder, additions, title)
    return {
        "leaderboard": read_manifest(folder).name,
        "folder": str(folder),
        "version": done.version,
        "added": list(done.new),
        "known": list(done.known),
    }


def study_additions(results: Path, study: str, rows: Sequence[str] = ()) -> list[Addition]:
    """Entries of a tested study's rows with their sample files. EntryError when something is missing or differs."""
    path = results / "studies" / study / "report.json"
    if not path.exists():
        raise EntryError(f"no report of study {study!r:.80} in {results}: run its search or its baselines first")
    with open_regular(path, MAX_REPORT_BYTES) as file:
        report = parse_json(file.read(), str(path), MAX_REPORT_BYTES)
    try:
        ranked, meta = from_json(report["leaderboard"])
        test = report["test"]
        shared = {
            "command": report.get("command") or test["command"],
            "code_version": test["code_version"],
            "labels_validation": meta.labels_validation,
            "labels_owned": meta.labels_owned,
        }
        described = [
            (row, [(int(run["seed"]), str(run["score"])) for run in test["runs"][row.name]])
            for row in (ranked_row.row for ranked_row in ranked)
            if not rows or row.name in rows
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EntryError(
            f"{path} does not name the scores of its test ({one_line(repr(error))[:100]}): give its command again, it "
            "trains nothing and writes the report anew"
        ) from None
    additions: list[Addition] = []
    for row, runs in described:
        fields = {
            **shared,
            "name": row.name,
            "allocation": row.allocation,
            "labels_trained": row.labels_trained,
            "gpu_seconds": row.gpu_seconds,
        }
        entry, paths, score = _measured(results, runs, fields)
        if abs(score.mean - row.score.mean) > TOLERANCE:
            raise EntryError(
                f"{row.name}: the report of {study} says {row.score.mean}, its samples {score.mean}: give the study's "
                "command again"
            )
        additions.append((entry, paths))
    return additions


def score_addition(results: Path, prefix: str) -> Addition:
    """The entry of one checkpoint that `tuition bench` scored; what its training cost is not known and stays null."""
    if not re.fullmatch(r"[0-9a-f]{4,64}", prefix):
        raise EntryError(f"score {prefix!r:.80}: give a score's key or its first hex digits, 4 or more")
    found = sorted(path.name for path in (results / "scores").glob(f"{prefix[:2]}/{prefix}*"))
    if len(found) != 1:
        raise EntryError(f"score {prefix!r}: {len(found)} scores in {results} begin so; give the key of one")
    record = _record(results, found[0])
    missing = [name for name in ("model", "command", "code_version") if not isinstance(record.get(name), str)]
    if missing:
        raise EntryError(
            f"score {prefix!r}: its record does not say {', '.join(missing)}; scores of a study are added by --study, "
            "others by `tuition bench`"
        )
    fields = {name: record[name] for name in ("model", "command", "code_version")}
    fields |= {"name": record["model"], "suite_verified": record.get("suite_verified", True)}
    entry, paths, _ = _measured(results, [(None, found[0])], fields)
    return entry, paths


def _measured(
    results: Path, runs: Sequence[tuple[int | None, str]], fields: Mapping[str, Any]
) -> tuple[MeasuredEntry, list[Path], Score]:
    """An entry of scores, one for each training run (seed, score key), its files, and its score."""
    name = fields["name"]
    records = [_record(results, key) for _, key in runs]
    paths = [artefact_folder(results / "scores", key) / SAMPLES_FILE for _, key in runs]
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
                {"training_seed": seed, "sha256": record["samples_sha256"], "weights_sha256": k["weights_sha256"]}
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


def _record(results: Path, key: str) -> dict[str, Any]:
    try:
        path = artefact_folder(results / "scores", key) / RECORD_FILE
    except RecordError as error:
        raise EntryError(str(error)) from None
    with open_regular(path, MAX_ENTRY_BYTES) as file:
        record = parse_json(file.read(), str(path))
    if not isinstance(record, dict):
        raise EntryError(f"{path} is no record of a score")
    return record


def _reported_file(path: Path) -> LeaderboardEntry:
    with open_regular(path, MAX_ENTRY_BYTES) as file:
        entry = parse_entry(file.read(), str(path))
    if isinstance(entry, MeasuredEntry):
        raise EntryError(f"{path} is a measured entry: those are made from their samples, by --study or --score")
    return entry


def read_golds(path: Path) -> dict[str, str]:
    """Answers by problem id, from a JSONL file with `id` and `answer`; EntryError with the line that has neither."""
    golds = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            golds[str(row["id"])] = str(row["answer"])
        except (ValueError, KeyError, TypeError) as error:
            raise EntryError(f"{path}, line {number}: needs `id` and `answer` ({one_line(repr(error))[:80]})") from None
    return golds
