"""What a forger does to a leaderboard folder: entries changed under their own new ids, the whole chain made to fit.

`make_honest` makes one to forge.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.benchmarks.made_scores import FIELDS, PRESET, micro_entry
from tuition.benchmarks.artefacts import checked_table, correct_PK, file_sha256, write_samples
from tuition.benchmarks.boards.board_folder import (
    MANIFEST,
    add_entries,
    make_board,
    read_entry,
    read_manifest,
    write_manifest,
)
from tuition.benchmarks.boards.cross_checks import SAMPLING_SEEDS
from tuition.benchmarks.boards.entries import (
    LeaderboardEntry,
    MeasuredEntry,
    Preset,
    entry_id,
    entry_json,
    ids_sha256,
    measured_score,
    validate_entry,
)
from tuition.benchmarks.boards.manifest import Change, Declared, Manifest
from tuition.benchmarks.boards.outcomes import read_statement
from tuition.benchmarks.boards.protocol import DeclaredScenario, Protocol
from tuition.benchmarks.grading.policies import GRADER_VERSION

Document = dict[str, Any]
Forger = Callable[[Path], None]

SUITE = "micro-test@1/12"
SCENARIO = DeclaredScenario(**FIELDS["scenario"], labels=64, labels_per_block=8, labels_validation=64)
PROTOCOL = Protocol(
    suite=SUITE, preset=Preset(name="sampled", fields={n: v for n, v in PRESET.items() if n != "name"}), num_samples=4,
    sampling_seed=SAMPLING_SEEDS[0], grader=GRADER_VERSION, training_seeds=(1, 2, 3), scenario=SCENARIO,
)  # fmt: skip
COST = 1250.0  # so much that a process's start does not explain a price of a fraction
ROWS: dict[str, dict[str, Any]] = {
    "direct": {"accuracy": 0.3, "allocation": "student_rl=8", "labels_trained": 64},
    "half": {"accuracy": 0.5, "allocation": "teacher=large teacher_rl=4 opd=2 student_rl=4", "labels_trained": 64},
    "teacher-upstream": {"accuracy": 0.7, "allocation": "teacher=large teacher_rl=8 opd=2", "labels_trained": 64},
    "raw-bridge": {"accuracy": 0.2, "allocation": "teacher=large opd=2", "labels_trained": 0},
}


def make_honest(root: Path) -> Path:
    """A leaderboard of today, with a protocol, made by what makes real ones; `root` gets its scores."""
    make_board(root / "board", "Honest board", (PROTOCOL,))
    rows = [micro_entry(root, name, **{"gpu_seconds": COST, **row}) for name, row in ROWS.items()]
    add_entries(root / "board", rows[:3])
    add_entries(root / "board", rows[3:])
    return root / "board"


def named(board: Path, name: str) -> tuple[str, Document]:
    """An entry by its name: its id, and itself as JSON values."""
    for id in read_manifest(board).ids:
        entry = read_entry(board, id)
        if entry.name == name:
            return id, json.loads(entry_json(entry))
    raise AssertionError(f"{board} has no entry {name!r}")


def relist(board: Path, old: str, entry: LeaderboardEntry | Document) -> str:
    """Put a changed entry in the place of an old one: new id, changed changelog, a new chain. Returns the id."""
    entry = validate_entry(entry, "forged") if isinstance(entry, dict) else entry
    (board / "entries" / f"{old}.json").unlink()
    new = entry_id(entry)
    (board / "entries" / f"{new}.json").write_text(entry_json(entry))
    rewrite(board, lambda manifest: json.loads(json.dumps(manifest).replace(old, new)))
    return new


def rewrite(board: Path, change: Callable[[Document], Document | None]) -> None:
    """Change `leaderboard.json`, in its format, with a chain that fits."""
    document = json.loads((board / MANIFEST).read_text())
    document = change(document) or document
    changes = [Change.model_validate_json(json.dumps(one)) for one in document["changelog"]]
    if document["schema_version"] == 1:
        manifest = Manifest.model_validate_json(json.dumps(document))
    else:
        protocols = tuple(Protocol.model_validate_json(json.dumps(one)) for one in document["protocols"])
        manifest = Manifest.new(document["name"], Declared(title=document["title"]), changes[0], protocols)
        for one in changes[1:]:
            manifest = manifest.changed(one)
    write_manifest(board, manifest)


def change_samples(board: Path, document: Document, place: int, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change a sample file of an entry, under its new hash; what it says of itself stays."""
    path = board / "samples" / f"{document['samples'][place]['sha256']}.parquet"
    with path.open("rb") as file:
        said = read_statement(file)
    table = checked_table(change(pd.read_parquet(path)))
    made = path.with_name("made.parquet")
    if said is None:  # as files of before, which do not say what they are
        table.to_parquet(made, index=False)
    else:
        write_samples(table, made, json.dumps(said, sort_keys=True, separators=(",", ":")))
    sha256 = file_sha256(made)
    made.rename(path.with_name(f"{sha256}.parquet"))
    document["samples"][place]["sha256"] = sha256


def restate(board: Path, run: Document, **said: Any) -> None:
    """Have the sample file of an entry's run say otherwise what it is, under its new hash."""
    path = board / "samples" / f"{run['sha256']}.parquet"
    with path.open("rb") as file:
        before = read_statement(file)
    if before is None:
        return
    made = path.with_name("made.parquet")
    write_samples(checked_table(pd.read_parquet(path)), made, json.dumps({**before, **said}))
    run["sha256"] = file_sha256(made)
    made.rename(path.with_name(f"{run['sha256']}.parquet"))


def rescore(board: Path, document: Document) -> None:
    """State the scores, counts and problems that an entry's sample files give."""
    runs = [correct_PK(pd.read_parquet(board / "samples" / f"{s['sha256']}.parquet")) for s in document["samples"]]
    score, _ = measured_score([outcomes for _, outcomes in runs])
    document["score"] = score.model_dump()
    document["num_problems"], document["num_samples"] = map(int, runs[0][1].shape)
    document["problem_ids_sha256"] = ids_sha256(runs[0][0])


def first(board: Path) -> tuple[str, MeasuredEntry]:
    """The first entry, which is a measured one."""
    id = read_manifest(board).ids[0]
    entry = read_entry(board, id)
    assert isinstance(entry, MeasuredEntry)
    return id, entry


def all_correct(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(verdict="correct", correct=True)


def forged(board: Path, name: str, change: Callable[[Document], None]) -> None:
    """Change an entry's document, its scores made to fit its samples."""
    id, document = named(board, name)
    change(document)
    rescore(board, document)
    relist(board, id, document)


def of_samples(change: Callable[[pd.DataFrame], pd.DataFrame], row: str = "direct", /, **fields: Any) -> Forger:
    """A forger who changes every sample file of a row, and some fields of its entry."""

    def forge(board: Path) -> None:
        def changed(document: Document) -> None:
            for place in range(len(document["samples"])):
                change_samples(board, document, place, change)
            document.update(fields)

        forged(board, row, changed)

    return forge


def of_fields(row: str, /, **fields: Any) -> Forger:
    """A forger who changes fields of an entry."""
    return lambda board: forged(board, row, lambda document: document.update(fields))
