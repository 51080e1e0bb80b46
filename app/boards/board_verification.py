"""`tuition leaderboard verify`: leaderboards computed again from their samples, those that ship or a folder's.

Every completion is graded again. Answers come from the suites that this package generates, from the rows of a suite (a
data folder, or the Hub with --regrade) or from files; keys of blocks from scenarios that are built in, or that are
given. What is not at hand is undecided, and never passed over.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from tuition.app.boards.additions import overlaps_found
from tuition.app.boards.new_board import counts_of
from tuition.app.processes.terminal import terminal
from tuition.app.studies.evaluation import Entry
from tuition.app.studies.search_run import scenario_baselines
from tuition.benchmarks.boards.board_folder import read_manifest
from tuition.benchmarks.boards.cross_checks import KnownScenario
from tuition.benchmarks.boards.entries import (
    NOT_RESAMPLED,
    PARTIAL,
    SHORT_ID,
    EntryError,
    MeasuredEntry,
    RepeatableEntry,
    ScenarioRef,
)
from tuition.benchmarks.boards.outcomes import Mismatch
from tuition.benchmarks.boards.verification.regrading import Answers
from tuition.benchmarks.boards.verification.submission import new_ids, submission_mismatches
from tuition.benchmarks.boards.verification.whole_board import Checks, Status, Verified, verify_board
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import policy_of
from tuition.benchmarks.measured_boards import find_board, shipped_boards, ships_so
from tuition.benchmarks.one_line import one_line, printable
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.catalog import SUITES, generated, load_by_name
from tuition.benchmarks.suites.loading import LoadedSuite, SuiteError, read_lock
from tuition.planner.allocation import Allocation, AllocationError
from tuition.runners.scenarios.scenario import Scenario, hash_texts
from tuition.runners.scenarios.scenario_file import built_in_scenarios
from tuition.runners.scenarios.sources import ScenarioError

EXIT_CODES = {Status.refused: 1, Status.undecided: 3, Status.incomplete: 3, Status.holds: 0}
SHOWN = 50  # lines of one kind


@dataclass(frozen=True)
class VerifyRequest:
    """What the command line asks for.

    `what`: a folder or a shipped leaderboard's name; None for all that ship. `regrade`: fetch what is not at hand from
    the Hub, or grade nothing; None: grade what is at hand. `head`: the hash that the changelog must have in its chain.
    """

    what: str | None
    regrade: bool | None = None
    problems: tuple[Path, ...] = ()
    data_dir: Path | None = None
    results: Path = Path("results")
    scenarios: tuple[str, ...] = ()
    head: str | None = None


def verify(request: VerifyRequest) -> dict[str, Any]:
    """Verify leaderboards; what was found, as JSON values. EntryError where there is nothing to verify."""
    shipped = shipped_boards()
    boards = shipped if request.what is None else {request.what: find_board(request.what)}
    if not boards:
        raise EntryError("no leaderboard ships with this version: give a leaderboard folder")
    with Graders() as graders:
        checks = None if request.regrade is False else all_checks(request, graders)
        found = [_verify(name, folder, checks, request.head) for name, folder in boards.items()]
    for document in found:
        # A folder may hold reported entries alone; one that ships is there for what was measured.
        if document["measured"] == 0 and document["leaderboard"] in shipped and not document["mismatches"]:
            raise EntryError(f"the shipped leaderboard {document['leaderboard']} has no measured entry")
    return {"leaderboards": found}


class Graders(ExitStack):
    """A grader for each policy, closed at the end of a `with`."""

    def __init__(self) -> None:
        super().__init__()
        self._graders: dict[str, Grader] = {}

    def of(self, version: str) -> Grader:
        """The grader of a policy by its version; PolicyError for one that this installation cannot grade by."""
        name = policy_of(version).name
        if name not in self._graders:
            self._graders[name] = self.enter_context(Grader(policy=name))
        return self._graders[name]


def all_checks(request: VerifyRequest, graders: Graders) -> Checks:
    """What verification needs from outside of the folder."""
    scenarios = Scenarios(request.scenarios)
    return Checks(AnswerSources(request).answers, graders.of, scenarios.known)


def check_submission(request: VerifyRequest, base: Path) -> dict[str, Any]:
    """A leaderboard folder that somebody changed, held against the one that it was changed from, as JSON values.

    Of entries that were there before, nothing is graded again: their files are the same, byte for byte.
    """
    folder = Path(str(request.what))
    manifest, before = read_manifest(folder), read_manifest(base)
    refused = list(submission_mismatches(folder, base))
    with Graders() as graders:
        found = verify_board(folder, all_checks(request, graders), frozenset(new_ids(before, manifest)))
    found.mismatches.extend(refused)
    document = {"leaderboard": manifest.name, "folder": str(folder), **verified_document(found), "as_it_ships": False}
    return {"leaderboards": [document], "base_head": before.head, "new": list(new_ids(before, manifest))}


def exit_code(document: Mapping[str, Any]) -> int:
    """0: all that files can show is right; 1: something is wrong; 3: something could not be told."""
    codes = [
        0 if found["as_it_ships"] and found["status"] == Status.incomplete else EXIT_CODES[Status(found["status"])]
        for found in document["leaderboards"]
    ]
    return 1 if 1 in codes else max(codes)


def _verify(name: str, folder: Path, checks: Checks | None, head: str | None) -> dict[str, Any]:
    found, manifest = verify_board(folder, checks), read_manifest(folder)
    if head is not None and head not in {change.sha256 for change in manifest.chained.changelog}:
        lost, known = f"a chain without the hash {head[:SHORT_ID]}…", "the hash that is known: entries came or went"
        found.mismatches.append(Mismatch(manifest.head, "changelog", lost, known))
    return {"leaderboard": name, "folder": str(folder), **verified_document(found), "as_it_ships": ships_so(manifest)}


def verified_document(found: Verified) -> dict[str, Any]:
    """What was found, as JSON values."""
    return {"status": str(found.status), **asdict(found)}


class Scenarios:
    """What scenarios that are built in or given by file say of their entries."""

    def __init__(self, given: tuple[str, ...]) -> None:
        self._given = given

    @cache  # noqa: B019 (lives as long as the command)
    def _load(self, name: str) -> Scenario | None:
        try:
            return Scenario.load(name)
        except ScenarioError:
            return None

    def scenario(self, stated: ScenarioRef | None) -> Scenario | None:
        """The scenario that is stated, by content; None where it is not at hand."""
        if stated is None:
            return None
        named = (stated.name,) if stated.name in built_in_scenarios() else ()
        found = (self._load(name) for name in (*self._given, *named))
        return next((one for one in found if one is not None and one.sha256 == stated.sha256), None)

    @cache  # noqa: B019 (as above)
    def known(self, stated: ScenarioRef) -> KnownScenario | None:
        """What the scenario that is stated says of its entries."""
        scenario = self.scenario(stated)
        if scenario is None:
            return None
        return KnownScenario(
            counts=counts_of(scenario),
            student=scenario.recipe.student,
            baselines=scenario_baselines(scenario) if scenario.num_label_blocks > 1 else {},
            contamination=overlaps_found(scenario),
            keys=partial(_keys, scenario),
        )


def _keys(scenario: Scenario, entry: RepeatableEntry, seed: int) -> tuple[str, ...]:
    """The keys of an entry's blocks for one training seed; none for an allocation that the scenario refuses."""
    row = Entry(entry.name, Allocation.parse(str(entry.allocation)), shuffled=entry.shuffled)
    try:
        return tuple(block.key for block in row.route(scenario.recipe, seed).blocks)
    except AllocationError:
        return ()


@dataclass
class AnswerSources:
    """Where the answers of an entry's problems come from."""

    request: VerifyRequest
    _suites: dict[str, LoadedSuite | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files = [read_problems(path) for path in self.request.problems]

    def answers(self, entry: MeasuredEntry) -> Answers | str:
        """The answers, or why they are not at hand."""
        whole, part, limit = entry.suite.partition(PARTIAL)
        if (own := self._given(whole)) is not None:
            return own
        suite = self._suite(whole)
        if isinstance(suite, str):
            return suite
        # The first problems only, where the entry's suite says so.
        problems = suite.problems[: int(limit.removesuffix("]"))] if part else suite.problems
        return Answers({problem.id: problem.answer for problem in problems}, problems, suite.verified)

    def _given(self, whole: str) -> Answers | None:
        """A suite of one's own from the files; None where there are none, or it is in the catalogue."""
        if not self._files or generated(whole) or whole in _CATALOGUE:
            return None
        for problems in self._files:
            texts = [text for problem in problems for text in (problem.problem, problem.answer)]
            if whole.endswith(f"@{hash_texts(*texts)[:10]}"):
                return Answers({problem.id: problem.answer for problem in problems}, tuple(problems))
        return Answers({problem.id: problem.answer for problems in self._files for problem in problems})

    def _suite(self, name: str) -> LoadedSuite | str:
        if name not in self._suites:
            self._suites[name] = self._found(name)
        return self._suites[name]

    def _found(self, name: str) -> LoadedSuite | str:
        if (suite := generated(name)) is not None:
            return suite
        if name not in _CATALOGUE:
            return "not in the catalogue: give its answers with --problems FILE"
        if self.request.data_dir is None and not self.request.regrade:
            return "its rows are not at hand: give --data-dir FOLDER, or --regrade to fetch them from the Hub"
        try:
            return load_by_name(name, self.request.data_dir, read_lock(self.request.results))
        except SuiteError as error:
            return str(error)


_CATALOGUE = frozenset(suite.versioned for suite in SUITES.values())


def read_problems(path: Path) -> list[Problem]:
    """Problems with answers, from a JSONL file with `id`, `answer` and, where it has them, `problem`.

    EntryError with the line that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EntryError(f"{path} cannot be read ({one_line(error)}): give a JSONL file in UTF-8") from None
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            problems.append(Problem(str(row["id"]), str(row.get("problem", "")), str(row["answer"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = one_line(repr(error))[:80]
            raise EntryError(f"{path}, line {number}: needs `id` and `answer` ({reason})") from None
    return problems


def show_verified(document: Mapping[str, Any]) -> None:
    """What was computed again, and what differs."""
    console = terminal()
    for found in document["leaderboards"]:
        for line in [*finding_lines(found), *_summary(found)]:
            console.print(printable(line), markup=False, soft_wrap=True)


def finding_lines(found: Mapping[str, Any]) -> list[str]:
    """A line for each mismatch, each undecided verdict, each lack and each note; long lists are cut."""

    def about(one: Mapping[str, Any]) -> str:
        return f"{one['id'][:SHORT_ID]} ({one['name']})" if one["name"] else str(one["id"][:SHORT_ID])

    wrong = [
        f"{about(one)} {one['field']}: stated {one['stated']}, recomputed {one['recomputed']}"
        for one in found["mismatches"]
    ]
    undecided = [f"undecided: {about(one)} {one['field']}: {one['reason']}" for one in found["undecided"]]
    lines = [*_cut(wrong, "mismatches"), *_cut(undecided, "undecided")]
    lines += [f"lacking: {lack}" for lack in found["lacks"]]
    lines += _cut([f"not checked: {what}" for what in found["unchecked"]], "not checked")
    return lines + _cut([f"note: {note}" for note in found["notes"]], "notes")


def _cut(lines: list[str], what: str) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"… and {more} more {what} (--json lists all)"] if more > 0 else lines


def _summary(found: Mapping[str, Any]) -> list[str]:
    samples = sum(file["num_samples"] for file in found["regraded"])
    reported = f"; {found['reported']} reported entries have no samples" if found["reported"] else ""
    verdict = {
        Status.refused: f"{len(found['mismatches'])} mismatches: refused.",
        Status.undecided: f"No mismatches, but {len(found['undecided'])} undecided.",
        Status.incomplete: "No mismatches; what is lacking could not be checked.",
        Status.holds: "All that files can show holds.",
    }[Status(found["status"])]
    if found["as_it_ships"] and not found["mismatches"]:
        verdict += " Its entries are those that ship."
    return [
        f"{found['leaderboard']}, version {found['version']}: recomputed {found['measured']} measured entries, "
        f"graded {samples:,} of their samples again{reported}. {verdict}",
        f"Completions are as submitted, {NOT_RESAMPLED}: `tuition leaderboard resample ENTRY` draws again.",
        f"Head of the changelog: {found['head']}",
    ]
