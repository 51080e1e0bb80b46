"""Verification of a leaderboard folder: everything that files can show is computed again, and what differs is named.

What: `verify_board` compares every listed entry with its samples, its protocol, its allocation and the other entries,
and grades all completions again. What it finds is a mismatch (wrong), undecided (could not be told), or lacking (an
older format, or no protocol, does not say it).

Simplified: files cannot show that completions were drawn from the stated weights: `tuition leaderboard resample` does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from tuition.benchmarks.boards.accounts import unchecked_prices
from tuition.benchmarks.boards.board_folder import (
    MAX_SAMPLES_BYTES,
    compare_entry,
    open_regular,
    read_entry,
    read_manifest,
    says_what_it_is,
    subfolder,
)
from tuition.benchmarks.boards.cross_checks import (
    KnownScenario,
    cross_mismatches,
    entry_mismatches,
    shared_checkpoints,
)
from tuition.benchmarks.boards.entries import (
    SHORT_ID,
    EntryError,
    MeasuredEntry,
    RepeatableEntry,
    ScenarioRef,
    ids_sha256,
)
from tuition.benchmarks.boards.manifest import Manifest
from tuition.benchmarks.boards.outcomes import Mismatch
from tuition.benchmarks.boards.verification.changelog_checks import changelog_mismatches
from tuition.benchmarks.boards.verification.regrading import (
    Answers,
    AnswersError,
    Regraded,
    Undecided,
    completions_repeated,
    regrade,
)
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import PolicyError
from tuition.benchmarks.measured_boards import changed_from_shipped
from tuition.planner.allocation import BASE

NOT_CHECKED = (
    "that completions came from the stated weights, which `tuition leaderboard resample` shows",
    "that these were trained on no more labels and no longer than stated, or elsewhere first",
    "command, code version, libraries that neither engine nor grader name, `model`, `weights_address`",
    "`accelerator`, but that its torch can use it; weights of blocks before the last that no other entry has",
    "the day on which an entry was made, and what a change of the changelog says in words",
    "the order of the rows in a sample file, on which nothing depends",
)
"""What no file can show, of any leaderboard."""


class Status(StrEnum):
    """What a verification came to."""

    refused = "refused"
    """Something is wrong."""
    undecided = "undecided"
    """Nothing is wrong, but something could not be told."""
    incomplete = "incomplete"
    """Nothing is wrong in what it says, but it does not say everything."""
    holds = "holds"
    """All that files can show is right."""


@dataclass(frozen=True)
class Verified:
    """What `verify_board` found. `notes` name what is no fault: files that no listed entry needs.

    `lacks` are what entries or the leaderboard do not say, `unchecked` what nothing at hand could show. `head` is the
    last hash of the changelog's chain.
    """

    version: str
    head: str
    measured: int
    reported: int
    mismatches: list[Mismatch] = field(default_factory=list)
    undecided: list[Undecided] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    regraded: list[Regraded] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """The worst of what was found."""
        if self.mismatches:
            return Status.refused
        return Status.undecided if self.undecided else Status.incomplete if self.lacks else Status.holds


@dataclass(frozen=True)
class Checks:
    """What only the caller has.

    Attributes:
        answers: of an entry's problems; a text says why they are not at hand.
        grader: the grader of a policy by its version, as entries name it; PolicyError for one that is not at hand.
        scenario: what a scenario says of its entries; None where it is not at hand.
    """

    answers: Callable[[MeasuredEntry], Answers | str]
    grader: Callable[[str], Grader]
    scenario: Callable[[ScenarioRef], KnownScenario | None]


def verify_board(folder: Path, checks: Checks | None = None, only: frozenset[str] | None = None) -> Verified:
    """Verify every listed entry, or of all that needs reading its samples, `only` these ids.

    Without `checks`, verdicts and keys are left alone, which is undecided. EntryError when `leaderboard.json` itself
    cannot be read, AnswersError as `regrade`.
    """
    manifest = read_manifest(folder)
    board = _Board(folder, manifest, checks)
    for id in manifest.ids:
        board.read(id)
    for id, entry in board.measured:
        if only is None or id in only:
            board.check(id, entry)
    board.declared()
    board.cross()
    return board.found


class _Board:
    """A leaderboard while it is verified."""

    def __init__(self, folder: Path, manifest: Manifest, checks: Checks | None) -> None:
        self.folder, self.manifest, self.checks = folder, manifest, checks
        self.measured: list[tuple[str, MeasuredEntry]] = []
        self.found = Verified(manifest.version, manifest.head, 0, 0)
        self._names: dict[str, str] = {}
        self._lacking: dict[str, int] = {}

    def read(self, id: str) -> None:
        """Read an entry; one that cannot be read is a mismatch."""
        try:
            entry = read_entry(self.folder, id)
        except EntryError as error:
            self.found.mismatches.append(Mismatch(id, "entry", "an entry with this id", str(error)))
            return
        self.found = replace(self.found, **{entry.kind: getattr(self.found, entry.kind) + 1})
        if isinstance(entry, MeasuredEntry):
            self.measured.append((id, entry))
            self._names[id] = entry.name

    def check(self, id: str, entry: MeasuredEntry) -> None:
        """Everything that an entry says by itself."""
        try:
            found, _ = compare_entry(self.folder, id, entry)
        except EntryError as error:
            found = [Mismatch(id, "samples", "files of this leaderboard", str(error))]
        protocol = self.manifest.protocol(entry.suite)
        found += entry_mismatches(id, entry, protocol, self._known(entry.scenario))
        if protocol is None and self.manifest.protocols:
            found.append(
                Mismatch(id, "suite (the leaderboard's protocols)", entry.suite, self.manifest.protocol_suites)
            )
        elif protocol is None:
            self._lack("no protocol: training seeds, decoding, samples and label counts were not declared beforehand")
        if entry.allocation == BASE:
            found += self._base(id, entry)
        elif isinstance(entry, RepeatableEntry):
            found += self._keys(id, entry)
        if not isinstance(entry, RepeatableEntry):
            self._lack(
                f"format {entry.schema_version}: costs cannot be taken apart, blocks and contamination are not stated"
            )
        if not found and not all(says_what_it_is(self.folder, file.sha256) for file in entry.samples):
            self._lack("sample files do not say which score they are")
        found += self._regraded(id, entry, {mismatch.field for mismatch in found})
        self.found.mismatches.extend(replace(mismatch, name=entry.name) for mismatch in found)

    def declared(self) -> None:
        """The changelog by its rules and what ships, and label counts of protocols by their scenarios."""
        self.found.mismatches.extend(changelog_mismatches(self.manifest))
        self.found.mismatches.extend(changed_from_shipped(self.folder, self.manifest))
        if self.manifest.last_declared != self.manifest.declared:
            self.found.lacks.append(
                f"format {self.manifest.schema_version}: title, address, suites and presets are not in the chain"
            )
        for protocol in self.manifest.protocols:
            stated, known = protocol.scenario, self._known(protocol.scenario)
            if stated is None or known is None:
                continue
            for name in ("labels", "labels_per_block", "labels_validation"):
                told, right = getattr(stated, name), getattr(known.counts, name)
                if told != right:
                    place = f"{name} (the protocol of {protocol.suite})"
                    self.found.mismatches.append(Mismatch(self.manifest.head, place, told, right))

    def _known(self, scenario: ScenarioRef | None) -> KnownScenario | None:
        return None if scenario is None or self.checks is None else self.checks.scenario(scenario)

    def _student(self, entry: MeasuredEntry) -> str | None:
        known = self._known(entry.scenario)
        return None if known is None else known.student

    def _lack(self, what: str) -> None:
        self._lacking[what] = self._lacking.get(what, 0) + 1

    def _base(self, id: str, entry: MeasuredEntry) -> Iterator[Mismatch]:
        """What a base model must be: one checkpoint without a training seed, with the weights of its scenario."""
        if len(entry.samples) > 1 or entry.seeds:
            stated = f"{len(entry.samples)} runs of training seeds {list(entry.seeds)}"
            yield Mismatch(id, "samples", stated, "one checkpoint without a training seed: base was not trained")
        if self.checks is None:
            return
        student = self._student(entry)
        if student is None:
            self._lack("the scenario is not at hand: weights of its student were not compared")
            return
        for place, run in enumerate(entry.samples):
            if student != run.weights_sha256:
                right = f"{student}, the scenario's student"
                yield Mismatch(id, f"samples[{place}].weights_sha256", run.weights_sha256, right)

    def _keys(self, id: str, entry: RepeatableEntry) -> Iterator[Mismatch]:
        """The keys of the blocks, computed again from scenario, allocation and seed."""
        if entry.allocation is None or self.checks is None:
            return
        for place, run in enumerate(entry.samples):
            known, seed = self._known(entry.scenario), run.training_seed
            if known is None or seed is None:
                scenario = "" if entry.scenario is None else f" ({entry.scenario.name})"
                self._lack(f"the scenario is not at hand{scenario}: keys of blocks were not computed again")
                return
            for number, (block, key) in enumerate(zip(run.blocks, known.keys(entry, seed), strict=False)):
                if block.key != key:
                    yield Mismatch(id, f"samples[{place}].blocks[{number}].key", block.key, key)
                    break

    def _regraded(self, id: str, entry: MeasuredEntry, differing: set[str]) -> list[Mismatch]:
        """All sample files graded again, but for those that could not be read (in `differing`)."""
        if self.checks is None:
            self._open(id, "verdicts", "not graded again")
            return []
        try:
            grader = self.checks.grader(entry.grader)
        except PolicyError as error:
            return [Mismatch(id, "grader", entry.grader, str(error))]
        answers = self.checks.answers(entry)
        if isinstance(answers, str):
            self._open(id, f"suite {entry.suite}", answers)
            return []
        if answers.problems is None:
            self._open(id, f"suite {entry.suite}", "which problems it has is not at hand, only answers")
        elif (wanted := ids_sha256([problem.id for problem in answers.problems])) != entry.problem_ids_sha256:
            return [Mismatch(id, f"problem_ids_sha256 (suite {entry.suite})", entry.problem_ids_sha256, wanted)]
        mismatches = []
        if entry.suite_verified and not answers.verified:
            mismatches.append(Mismatch(id, "suite_verified", True, "there is no known copy of the suite"))
        for place, stated in enumerate(entry.samples):
            if f"samples[{place}]" in differing or "samples" in differing:
                continue
            path = subfolder(self.folder, "samples") / f"{stated.sha256}.parquet"
            try:
                with open_regular(path, MAX_SAMPLES_BYTES) as file:
                    graded, wrong, undecided = regrade(id, entry, place, file, answers, grader)
            except AnswersError:
                raise
            except EntryError as error:
                mismatches.append(Mismatch(id, f"samples[{place}]", stated.sha256, str(error)))
                continue
            self.found.regraded.append(graded)
            self.found.undecided.extend(replace(one, name=entry.name) for one in undecided)
            mismatches += wrong
        return mismatches

    def _open(self, id: str, what: str, reason: str) -> None:
        self.found.undecided.append(Undecided(id, what, reason, self._names[id]))

    def cross(self) -> None:
        """What entries have in common, and files that no entry needs."""
        found = list(cross_mismatches(self.measured, self._student))
        for one, other in completions_repeated(self.found.regraded):
            place = f"completions (training seed {other.training_seed})"
            same = f"those of entry {one.id[:SHORT_ID]} ({self._names[one.id]}), training seed {one.training_seed}"
            found.append(Mismatch(other.id, place, "draws of its own", same))
        for id, place, reason in shared_checkpoints(self.measured, self._student):
            self._open(id, place, reason)
        known = {(mismatch.id, mismatch.field) for mismatch in self.found.mismatches}
        self.found.mismatches.extend(
            replace(mismatch, name=self._names.get(mismatch.id))
            for mismatch in found
            if (mismatch.id, mismatch.field) not in known
        )
        self.found.lacks.extend(
            f"{count} {'entry' if count == 1 else 'entries'}: {what}" for what, count in self._lacking.items()
        )
        self.found.notes.extend(self._unneeded())
        for id, reason in unchecked_prices(self.measured).items():
            self.found.unchecked.append(f"price of {id[:SHORT_ID]} ({self._names[id]}): {reason}")
        self.found.unchecked.extend(NOT_CHECKED)

    def _unneeded(self) -> Iterator[str]:
        ever = {f"{id}.json" for change in self.manifest.changelog for id in change.added}
        needed = {f"{file.sha256}.parquet" for _, entry in self.measured for file in entry.samples}
        for name, wanted in {"entries": ever, "samples": needed}.items():
            for path in sorted((self.folder / name).glob("*")):
                if path.name not in wanted:
                    yield f"{name}/{path.name}: no entry of version {self.manifest.version} needs it"
