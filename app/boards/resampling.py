"""`tuition leaderboard resample`: an entry's weights draw again, and what they draw is held against what is stated.

Weights are a scenario's base model, or a block of the store with the stated hash; else the allocation is trained again
(with --train), which gives the stated weights on the same kind of processor and other draws of training elsewhere. A
few problems are chosen when the command runs, so that nobody can prepare for them.
"""

import random
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuition.app.processes.progress import Reporter
from tuition.app.processes.terminal import terminal
from tuition.app.studies.evaluation import Entry
from tuition.benchmarks.artefacts import correct_PK
from tuition.benchmarks.boards.board_folder import compare_entry, read_entry, read_manifest
from tuition.benchmarks.boards.entries import PARTIAL, SHORT_ID, EntryError, MeasuredEntry, SampleFile
from tuition.benchmarks.boards.outcomes import Outcomes
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import policy_of
from tuition.benchmarks.measured_boards import find_board, shipped_boards
from tuition.benchmarks.one_line import printable
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.benchmarks.scoring.scorer import Scorer
from tuition.benchmarks.statistics.intervals import Array
from tuition.benchmarks.statistics.redrawn import redrawn_p_value
from tuition.benchmarks.suites.catalog import GENERATED
from tuition.planner.allocation import Allocation
from tuition.runners.route_runner import RouteRunner, score_task
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import built_in_scenarios

LEVEL = 0.001
"""An entry differs where chance gives such a difference in less than one of 1,000 honest entries. Our choice."""


@dataclass(frozen=True)
class ResampleRequest:
    """What the command line asks for. `board`: a folder or a shipped one's name; None: all that ship."""

    entry: str
    board: str | None = None
    problems: int = 20
    seed: int | None = None
    """Chooses the problems and the draws; None: by chance."""
    scenario: str | None = None
    train: bool = False
    results: Path = Path("results")
    quiet: bool = False


@dataclass(frozen=True)
class _Found:
    """An entry where it was found, with its outcomes."""

    id: str
    entry: MeasuredEntry
    outcomes: tuple[Outcomes, ...]


def resample(request: ResampleRequest) -> dict[str, Any]:
    """Draw again for every training run of an entry; what came of it, as JSON values.

    EntryError where the entry, its suite or its decoding are not those of a scenario at hand, or its files differ.
    """
    found = _find(request)
    entry = found.entry
    scenario = _scenario(request.scenario, entry)
    _check_alike(entry, scenario)
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    count = min(request.problems, entry.num_problems)
    ids = sorted(random.Random(f"{found.id} {seed}").sample(found.outcomes[0].problem_ids, count))
    with (
        Reporter(request.quiet) as reporter,
        closing(RouteRunner(scenario, request.results, reporter.hear)) as runner,
        Grader(policy=policy_of(entry.grader).name) as grader,
    ):
        redraw = _Redraw(found, runner, request, tuple(ids), seed, grader)
        runs = [redraw.run(place) for place in range(len(entry.samples))]
    drawn = [run for run in runs if run["p_value"] is not None]
    differs = any(run["p_value"] < LEVEL / len(drawn) for run in drawn)
    status = "differs" if differs else "undecided" if len(drawn) < len(runs) else "agrees"
    return {
        "id": found.id, "name": entry.name, "status": status, "seed": seed, "problems": ids,
        "num_samples": entry.num_samples, "level": LEVEL, "runs": runs,
    }  # fmt: skip


def _find(request: ResampleRequest) -> _Found:
    """The one entry whose name this is, or whose id begins so."""
    folders = [find_board(request.board)] if request.board is not None else list(shipped_boards().values())
    found = []
    for folder in folders:
        for id in read_manifest(folder).ids:
            entry = read_entry(folder, id)
            if isinstance(entry, MeasuredEntry) and (entry.name == request.entry or id.startswith(request.entry)):
                found.append((folder, id, entry))
    if len(found) != 1:
        where = request.board or "what ships"
        on = ", ".join(dict.fromkeys(folder.name for folder, *_ in found))
        wanted = f" ({on}): give an id, or --board" if found else ": give a name or an id"
        raise EntryError(f"{len(found)} measured entries of {where} are {request.entry!r:.80}{wanted}")
    folder, id, entry = found[0]
    mismatches, outcomes = compare_entry(folder, id, entry)
    if mismatches:
        raise EntryError(f"{entry.name}: {mismatches[0].sentence}; nothing was drawn")
    return _Found(id, entry, outcomes)


def _scenario(given: str | None, entry: MeasuredEntry) -> Scenario:
    """The scenario that is given, or the built-in one that the entry names. EntryError where there is none."""
    if given is not None:
        return Scenario.load(given)
    if entry.scenario is not None:
        name, what = entry.scenario.name, f"its scenario {entry.scenario.name!r:.80} is not built in"
    else:
        home = GENERATED.fullmatch(entry.suite.partition("@")[0])
        name, what = home[1] if home else "", f"no built-in scenario has its suite {entry.suite}"
    if name not in built_in_scenarios():
        raise EntryError(f"{entry.name}: {what}: give the scenario's file by --scenario FILE")
    return Scenario.load(name)


def _check_alike(entry: MeasuredEntry, scenario: Scenario) -> None:
    """EntryError where the scenario's test is on other problems than the entry, or drawn otherwise."""
    suite, key = scenario.suite_name("test"), scenario.preset("test").key_fields()
    fix = "give the entry's scenario by --scenario FILE"
    if entry.suite.partition(PARTIAL)[0] != suite:
        raise EntryError(
            f"{entry.name}: its suite is {entry.suite}, that of scenario {scenario.name} is {suite}: {fix}"
        )
    stated = {"name": entry.preset.name, **entry.preset.fields}
    if stated != key:
        raise EntryError(f"{entry.name}: it was drawn by {stated}, and scenario {scenario.name} draws by {key}: {fix}")


@dataclass(frozen=True)
class _Redraw:
    """An entry that is drawn again, on the problems `ids`."""

    found: _Found
    runner: RouteRunner
    request: ResampleRequest
    ids: tuple[str, ...]
    seed: int
    grader: Grader

    def run(self, place: int) -> dict[str, Any]:
        """One training run, as JSON values; `p_value` is None where its weights are not at hand."""
        outcomes = self.found.outcomes[place]
        stated_PK = outcomes.correct_PK[[outcomes.problem_ids.index(id) for id in self.ids]]
        reference, weights = self._reference(self.found.entry.samples[place])
        said = {"training_seed": outcomes.seed, "stated": float(stated_PK.mean()), "weights": weights}
        if reference is None:
            return {**said, "drawn": None, "p_value": None}
        drawn_PK = self._drawn(reference, self.seed + place)
        return {**said, "drawn": float(drawn_PK.mean()), "p_value": redrawn_p_value(stated_PK, drawn_PK)}

    def _drawn(self, reference: str, seed: int) -> Array:
        """Outcomes of a checkpoint, drawn now, in the order of `ids`."""
        runner, entry = self.runner, self.found.entry
        suite = runner.scenario.suite("test")
        asked = tuple(problem for problem in suite.problems if problem.id in self.ids)
        weights, base = runner.trainer.weights_sha256(reference), runner.trainer.base_name(reference)
        task = score_task(runner.scenario, "test", seed, ScoredModel(label=entry.name), weights, base)
        task = replace(task, suite=replace(suite, problems=asked), num_samples=entry.num_samples, grader=entry.grader)
        with tempfile.TemporaryDirectory(prefix="tuition-") as scratch:
            scorer = Scorer(ResultsFolder(Path(scratch)), self.grader)
            table = scorer.score(task, lambda: runner.trainer.opened(reference), lambda *_: None).table
        drawn_ids, drawn_PK = correct_PK(table)
        if drawn_ids != list(self.ids):
            raise EntryError(f"{entry.name}: its problems are not those of the test of scenario {runner.scenario.name}")
        return drawn_PK

    def _reference(self, run: SampleFile) -> tuple[str | None, str]:
        """The checkpoint of a training run as the runner names it, and where it is from; None where it is not there."""
        scenario, entry = self.runner.scenario, self.found.entry
        if run.weights_sha256 in {scenario.recipe.student, *scenario.recipe.teachers.values()}:
            return run.weights_sha256, f"a base model of {scenario.name}"
        for record in self.runner.store.records():
            if record.weights_sha256 == run.weights_sha256:
                return record.key, f"block {record.key[:SHORT_ID]} of the store"
        if entry.allocation is None or entry.scenario is None or run.training_seed is None:
            return None, "not at hand, and no allocation says how they are made"
        if entry.scenario.sha256 != scenario.sha256:
            return None, f"not at hand; scenario {scenario.name} is another by now, so they cannot be trained again"
        if not self.request.train:
            return None, "not at hand; --train trains the allocation again"
        return self._trained(run, run.training_seed)

    def _trained(self, run: SampleFile, seed: int) -> tuple[str, str]:
        """Train a run again in the results folder."""
        entry, study = self.found.entry, "resample"
        row = Entry(entry.name, Allocation.parse(str(entry.allocation)), shuffled=entry.shuffled)
        done = self.runner.run(row.route(self.runner.scenario.recipe, seed), study)
        same = "the stated weights" if done.weights_sha256 == run.weights_sha256 else "other weights than stated"
        return done.route.final, f"trained again: {same}"


def show_resampled(document: Mapping[str, Any]) -> None:
    """What was drawn again, run by run."""
    console = terminal()
    count = len(document["problems"])
    for run in document["runs"]:
        seed = "" if run["training_seed"] is None else f" (training seed {run['training_seed']})"
        drawn = "" if run["drawn"] is None else f", drawn {100 * run['drawn']:.1f} %, p = {run['p_value']:.3g}"
        line = f"{document['name']}{seed}: stated {100 * run['stated']:.1f} %{drawn}. Weights: {run['weights']}."
        console.print(printable(line), markup=False, soft_wrap=True)
    verdict = {
        "agrees": "What was drawn agrees with what is stated.",
        "differs": "What was drawn differs from what is stated.",
        "undecided": "Not all weights are at hand: undecided.",
    }[document["status"]]
    what = f"{count} problems, {document['num_samples']} samples each, --seed {document['seed']}"
    console.print(
        f"{what}; differs below p = {document['level']:g} over all runs. {verdict}", markup=False, soft_wrap=True
    )
