"""Verification of a leaderboard folder: everything is recomputed from the sample files, and what differs is named.

What: `verify_board` compares every listed entry with its samples, and grades the completions again where it is given
answers. Simplified: files that no listed entry needs are noted and not read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tuition.benchmarks.boards.board_folder import (
    MAX_SAMPLES_BYTES,
    compare_entry,
    open_regular,
    read_entry,
    read_manifest,
    subfolder,
)
from tuition.benchmarks.boards.entries import EntryError, MeasuredEntry
from tuition.benchmarks.boards.outcomes import Answers, AnswersError, Mismatch, Regraded, regrade
from tuition.benchmarks.grading.grader import Grader


@dataclass(frozen=True)
class Verified:
    """What `verify_board` found. `notes` name what is no fault: files that no listed entry needs.

    `suites_not_regraded` are those of entries whose samples recompute and whose verdicts were left alone.
    """

    version: str
    measured: int
    reported: int
    mismatches: list[Mismatch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    regraded: list[Regraded] = field(default_factory=list)
    suites_not_regraded: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Regrading:
    """How verdicts are graded again: `answers` of an entry's problems, or None to leave its verdicts alone."""

    answers: Callable[[MeasuredEntry], Answers | None]
    grader: Grader


def verify_board(folder: Path, regrading: Regrading | None = None) -> Verified:
    """Recompute every listed entry, and grade the completions again where `regrading` has answers.

    EntryError when `leaderboard.json` itself cannot be read, AnswersError as `regrade`.
    """
    manifest = read_manifest(folder)
    mismatches: list[Mismatch] = []
    regraded: list[Regraded] = []
    needed: set[str] = set()
    left_alone: set[str] = set()
    counts = {"measured": 0, "reported": 0}
    for id in manifest.ids:
        try:
            entry = read_entry(folder, id)
            counts[entry.kind] += 1
            found, _ = compare_entry(folder, id, entry)
        except EntryError as error:
            mismatches.append(Mismatch(id, "entry", "an entry with this id", str(error)))
            continue
        if isinstance(entry, MeasuredEntry):
            graded, changed = _regrade(folder, id, entry, {mismatch.field for mismatch in found}, regrading)
            regraded += graded
            found += changed
            needed |= {f"{file.sha256}.parquet" for file in entry.samples}
            if not graded and not found:
                left_alone.add(entry.suite)
        mismatches += [replace(mismatch, name=entry.name) for mismatch in found]
    ever = {id for change in manifest.changelog for id in change.added}
    files = {"entries": {f"{id}.json" for id in ever}, "samples": needed}
    notes = [
        f"{name}/{path.name}: no entry of version {manifest.version} needs it"
        for name, wanted in files.items()
        for path in sorted((folder / name).glob("*"))
        if path.name not in wanted
    ]
    return Verified(
        manifest.version, **counts, mismatches=mismatches, notes=notes, regraded=regraded,
        suites_not_regraded=sorted(left_alone),
    )  # fmt: skip


def _regrade(
    folder: Path, id: str, entry: MeasuredEntry, differing: set[str], regrading: Regrading | None
) -> tuple[list[Regraded], list[Mismatch]]:
    """The sample files of an entry graded again; those are left out that could not even be read (in `differing`)."""
    answers = regrading.answers(entry) if regrading else None
    if regrading is None or answers is None:
        return [], []
    if answers.problem_ids_sha256 not in (None, entry.problem_ids_sha256):
        found = answers.problem_ids_sha256
        return [], [Mismatch(id, f"problem_ids_sha256 (suite {entry.suite})", entry.problem_ids_sha256, found)]
    regraded, mismatches = [], []
    for place, stated in enumerate(entry.samples):
        if f"samples[{place}]" in differing:
            continue
        path = subfolder(folder, "samples") / f"{stated.sha256}.parquet"
        try:
            with open_regular(path, MAX_SAMPLES_BYTES) as file:
                graded, changed = regrade(id, entry, place, file, answers, regrading.grader)
        except AnswersError:
            raise
        except EntryError as error:
            mismatches.append(Mismatch(id, f"samples[{place}]", stated.sha256, str(error)))
            continue
        regraded.append(graded)
        mismatches += changed
    return regraded, mismatches
