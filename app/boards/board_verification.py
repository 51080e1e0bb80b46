"""`tuition leaderboard verify`: leaderboards recomputed from their samples, those that ship or a folder's.

Verdicts are graded again for every suite that this package generates (but with --no-regrade); with --regrade for all
other entries as well, against the rows of the suite (a data folder, or the Hub) or against files of answers.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuition.app.processes.terminal import terminal
from tuition.benchmarks.boards.entries import PARTIAL, SHORT_ID, EntryError, MeasuredEntry, ids_sha256
from tuition.benchmarks.boards.outcomes import Answers
from tuition.benchmarks.boards.verification import Regrading, verify_board
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.measured_boards import find_board, shipped_boards
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.suites.catalog import SUITES, generated, load_by_name
from tuition.benchmarks.suites.loading import LoadedSuite, read_lock


@dataclass(frozen=True)
class VerifyRequest:
    """What the command line asks for.

    `what`: a folder or a shipped leaderboard's name; None for all that ship. `regrade`: all verdicts, none, or for None
    those of generated suites.
    """

    what: str | None
    regrade: bool | None
    problems: tuple[Path, ...]
    data_dir: Path | None
    results: Path


def verify(request: VerifyRequest) -> dict[str, Any]:
    """Recompute leaderboards; what was found, as JSON values. EntryError where there is nothing to verify."""
    shipped = shipped_boards()
    boards = shipped if request.what is None else {request.what: find_board(request.what)}
    if not boards:
        raise EntryError("no leaderboard ships with this version: give a leaderboard folder")
    sources = AnswerSources(request)
    with Grader() as grader:
        found = [_verify(name, folder, Regrading(sources.answers, grader)) for name, folder in boards.items()]
    for document in found:
        # A folder may hold reported entries alone; one that ships is there for what was measured.
        if document["measured"] == 0 and document["leaderboard"] in shipped and not document["mismatches"]:
            raise EntryError(f"the shipped leaderboard {document['leaderboard']} has no measured entry")
    return {"leaderboards": found}


def _verify(name: str, folder: Path, regrading: Regrading) -> dict[str, Any]:
    found = verify_board(folder, regrading)
    return {
        "leaderboard": name,
        "folder": str(folder),
        "version": found.version,
        "measured": found.measured,
        "reported": found.reported,
        "mismatches": [asdict(mismatch) for mismatch in found.mismatches],
        "notes": found.notes,
        "regraded": [asdict(regraded) for regraded in found.regraded],
        "suites_not_regraded": found.suites_not_regraded,
    }


class AnswerSources:
    """Where the answers of an entry's problems come from."""

    def __init__(self, request: VerifyRequest) -> None:
        self._request = request
        self._suites: dict[str, LoadedSuite] = {}
        self._given: dict[str, str] = {}
        for path in request.problems:
            self._given |= read_golds(path)

    def answers(self, entry: MeasuredEntry) -> Answers | None:
        """The answers; None where nobody asked for this entry. SuiteError or EntryError where there are none."""
        if self._request.regrade is False:
            return None
        whole, partial, limit = entry.suite.partition(PARTIAL)
        suite = self._suite(whole)
        if suite is None:
            if not self._request.regrade:
                return None
            if not self._given:
                raise EntryError(
                    f"{entry.name}: this version cannot generate or load {whole}: give its answers with --problems FILE"
                )
            return Answers(self._given, None)
        # The first problems only, where the entry's suite says so.
        problems = suite.problems[: int(limit.removesuffix("]"))] if partial else suite.problems
        ids = ids_sha256([problem.id for problem in problems])
        return Answers({problem.id: problem.answer for problem in problems}, ids)

    def _suite(self, name: str) -> LoadedSuite | None:
        """A suite that is generated, or that --regrade makes us load; None for any other."""
        if name not in self._suites:
            suite = generated(name)
            request = self._request
            loadable = request.regrade and (request.data_dir is not None or not request.problems)
            if suite is None and loadable and name in {known.versioned for known in SUITES.values()}:
                suite = load_by_name(name, request.data_dir, read_lock(request.results))
            if suite is None:
                return None
            self._suites[name] = suite
        return self._suites[name]


def read_golds(path: Path) -> dict[str, str]:
    """Answers by problem id, from a JSONL file with `id` and `answer`; EntryError with the line that has neither."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EntryError(f"{path} cannot be read ({one_line(error)}): give a JSONL file in UTF-8") from None
    golds = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            golds[str(row["id"])] = str(row["answer"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = one_line(repr(error))[:80]
            raise EntryError(f"{path}, line {number}: needs `id` and `answer` ({reason})") from None
    return golds


def show_verified(document: dict[str, Any]) -> None:
    """What was recomputed, and what differs."""
    for found in document["leaderboards"]:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    lines = []
    for m in found["mismatches"]:
        name = f" ({m['name']})" if m["name"] else ""
        lines.append(f"{m['id'][:SHORT_ID]}{name} {m['field']}: stated {m['stated']}, recomputed {m['recomputed']}")
    lines += [f"note: {note}" for note in found["notes"]]
    graded: Sequence[dict[str, Any]] = found["regraded"]
    for file in graded:
        if file["changes"]:
            seed = "" if file["training_seed"] is None else f" (seed {file['training_seed']})"
            line = f"{file['id'][:SHORT_ID]}{seed}: {len(file['changes'])} of {file['num_samples']} verdicts differ"
            lines.append(f"note: {line}, {file['grader_then']} then, {file['grader_now']} now")
    samples = sum(file["num_samples"] for file in graded)
    reported = f"; {found['reported']} reported entries have no samples" if found["reported"] else ""
    lines.append(
        f"{found['leaderboard']}, version {found['version']}: recomputed {found['measured']} measured entries, "
        f"graded {samples:,} of their samples again{reported}. {len(found['mismatches']) or 'No'} mismatches."
    )
    if found["suites_not_regraded"]:
        lines.append(f"Not graded again: {', '.join(found['suites_not_regraded'])} (use --regrade).")
    console = terminal()
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
