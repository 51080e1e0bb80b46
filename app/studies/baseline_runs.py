"""`tuition baselines`: what people do today with the same labels, and with the same compute, on fresh seeds.

Every baseline that the scenario can run, or those that are named; with --finalists-of, the finalists of a search that
was tested and their replay controls as well. `direct-compute` comes last, because its length depends on the measured
cost of the route that it is compared with. Results lie in `<results>/studies/<study>/`, as those of a search.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tuition.app.costs.block_costs import ScoreCosts, block_costs
from tuition.app.processes.channel import logged
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.storage.store_upkeep import find_store
from tuition.app.studies.direct_compute import extended, foreseen_replay, match_compute
from tuition.app.studies.evaluation import (
    Entry,
    base_entries,
    evaluate,
    merge_entries,
    seeds_for_test,
    train_in_workers,
)
from tuition.app.studies.search_plan import block_states
from tuition.app.studies.search_run import scenario_baselines
from tuition.app.studies.seed_guards import refuse_searched_seeds
from tuition.app.studies.study_report import (
    BaselinesReport,
    SearchReport,
    looks_before,
    read_report,
    with_look,
    write_report,
)
from tuition.benchmarks.artefacts import FileError, write_json
from tuition.benchmarks.baselines import DIRECT, DIRECT_COMPUTE, MATCHED, SHUFFLED, BaselineError, choose_baselines
from tuition.benchmarks.boards.ranked_rows import plot, to_json
from tuition.benchmarks.results_folder import StudyFolder, checked_study_name
from tuition.planner.allocation import Allocation, AllocationError
from tuition.planner.cost import Total, missing_blocks
from tuition.planner.route import compile_route
from tuition.planner.stages import STAGE, Role
from tuition.planner.storage import StudyError
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario

AS_DEPLOYED = (
    "Trained as one trains a model to deploy: each stage on labels is one ordinary run that shuffles all of its "
    "labels, without blocks."
)


@dataclass(frozen=True)
class BaselinesRequest:
    """What the command line asks for."""

    run: RunConfiguration
    num_seeds: int
    study: str | None
    only: tuple[str, ...]
    compute_of: str
    finalists_of: str | None
    as_deployed: bool = False


@dataclass(frozen=True)
class _Chosen:
    """What is to be tested on which seeds; `compared`: the entry that direct-compute, if wanted, is matched to."""

    entries: tuple[Entry, ...]
    compared: Entry | None
    seeds: tuple[int, ...]


def run_baselines(request: BaselinesRequest) -> BaselinesReport:
    """Train the baselines on fresh seeds and compare them; leaderboard and report are kept in the results folder."""
    scenario = request.run.load_scenario()
    chosen = _choose(request, scenario)
    warnings = check_models(scenario, [entry.allocation for entry in chosen.entries])
    name = _study_name(request, scenario)
    folder = request.run.folder.study(name)
    if folder.database.exists():
        raise StudyError(
            f"{name!r} is a search in {request.run.results}: choose another --study name for the baselines"
        )
    _hold_to_report(folder, scenario, chosen)
    scenario.keep(folder.scenario, request.run.scenario)
    entries, seeds, match = list(chosen.entries), chosen.seeds, None
    log = folder.log("baselines")
    with Reporter(request.run.quiet) as reporter, logged(log, reporter):
        for warning in warnings:
            reporter.say(f"warning: {warning}")
        if request.run.workers > 1:
            train_in_workers(request.run, entries, seeds, name, log, reporter)
        with Interrupts(reporter.say) as interrupts, request.run.open_runner(scenario, reporter) as runner:
            reporter.check = interrupts.check
            if chosen.compared is not None:
                match = match_compute(runner, request.run, folder, chosen.compared, seeds, log, reporter)
                matched = match.entry()
                entries.insert(1, matched.as_deployed() if request.as_deployed else matched)
            ranked, meta, test = evaluate(runner, name, entries, seeds, reporter)
    looks = with_look(looks_before(folder.report), test)
    document = {
        **to_json(ranked, replace(meta, looks=len(looks))),
        **test.model_dump(mode="json", include={"intervals", "pairwise"}),
        "matched": _matched(scenario, entries),
        "direct_compute": match.model_dump(mode="json") if match else None,
        "notes": [*([AS_DEPLOYED] if request.as_deployed else []), *([match.sentence()] if match else [])],
    }
    write_json(document, folder.leaderboard)
    made = {"study": name, "scenario": scenario.name, "scenario_sha256": scenario.sha256, "command": test.command}
    report = BaselinesReport(**made, leaderboard=document, test=test, tests=looks)
    write_report(report, folder.report)
    plot(ranked, folder.figure)
    return report


def _hold_to_report(folder: StudyFolder, scenario: Scenario, chosen: _Chosen) -> None:
    """StudyError where the folder's report would be replaced by rows that do not compare with its own, or by fewer."""
    try:
        before = read_report(folder.report)
    except (FileNotFoundError, FileError):
        return
    made_with = before.scenario_sha256  # None where an earlier version did not write it down
    if made_with is not None and made_with != scenario.sha256:
        raise StudyError(
            f"{folder.path.name!r} has baselines of another scenario, or of an earlier revision of its stages "
            f"({made_with[:12]}, now {scenario.sha256[:12]}): choose another --study name"
        )
    if not isinstance(before, BaselinesReport):
        return
    rows = [entry.name for entry in chosen.entries]
    if chosen.compared is not None:
        rows.append(f"{DIRECT_COMPUTE} (compute of {chosen.compared.name})")
    kept = _names(rows)
    lost = [name for name in _names(before.test.runs) if name not in kept]
    if lost:
        raise StudyError(
            f"the report of {folder.path.name!r} also has {', '.join(lost)}, which this call would lose: name them as "
            "well (stored blocks are not trained again), or choose another --study name"
        )
    seeds = {run.seed for runs in before.test.runs.values() for run in runs if run.seed is not None}
    if not seeds <= set(chosen.seeds):
        raise StudyError(
            f"the report of {folder.path.name!r} is of training seeds {', '.join(map(str, sorted(seeds)))}, of which "
            f"this call would lose some: raise --seeds ({len(chosen.seeds)} now), or choose another --study name"
        )


def _names(rows: Iterable[str]) -> dict[str, None]:
    """The names of rows, in order: a finalist that is a baseline has both."""
    return {name: None for row in rows for name in row.split(" = ")}


def _study_name(request: BaselinesRequest, scenario: Scenario) -> str:
    default = f"{request.finalists_of or scenario.name}-baselines" + ("-as-deployed" if request.as_deployed else "")
    return checked_study_name(request.study) if request.study else default


def _choose(request: BaselinesRequest, scenario: Scenario) -> _Chosen:
    """Entries of the request. Direct GRPO and the route that direct-compute is compared with are always among them."""
    names = choose_baselines(request.only)
    finalists, study_seed = _finalists(request, scenario)
    chains = scenario_baselines(scenario)
    comparable = {**chains, **{finalist.name: finalist.allocation for finalist in finalists}}
    if request.compute_of not in comparable.keys() - {DIRECT}:
        known = ", ".join(name for name in comparable if name != DIRECT)
        raise BaselineError(f"--compute-of {request.compute_of!r}: choose from {known}")
    wanted = {*names, *([request.compute_of] if DIRECT_COMPUTE in names else [])}
    entries = merge_entries({name: row for name, row in chains.items() if name in wanted}, finalists)
    # Direct GRPO first: what it costs is what all others are held against.
    entries.sort(key=lambda entry: entry.name != DIRECT)
    compared = next((e for e in entries if e.allocation == comparable[request.compute_of]), None)
    if request.as_deployed:  # the baselines that are ordinary runs anyway would only repeat rows
        entries = [entry.as_deployed() for entry in entries]
    else:
        entries += [Entry(name, chains[like], shuffled=True) for name, like in SHUFFLED.items() if name in names]
    entries += [entry for entry in base_entries(scenario.default_teacher) if entry.name in names]
    seeds, folder = seeds_for_test(study_seed, request.num_seeds), request.run.folder
    fix = "use another --results folder"
    refuse_searched_seeds(seeds, scenario.name, folder.study(_study_name(request, scenario)), folder, fix)
    return _Chosen(tuple(entries), compared if DIRECT_COMPUTE in names else None, seeds)


def _finalists(request: BaselinesRequest, scenario: Scenario) -> tuple[list[Entry], int]:
    """The finalists of the search that the request names, and its seed; none and 0 when it names none.

    BaselineError when that search is not there, was of another scenario or was not tested.
    """
    if request.finalists_of is None:
        return [], 0
    path = request.run.folder.named_study(request.finalists_of).report
    try:
        report = read_report(path)
        if not isinstance(report, SearchReport):
            raise FileError(f"it is a report of {report.kind}")
        ranked, _ = report.ranked() or ([], None)
        numbers = {t.allocation: t.number for t in reversed(report.trials) if t.score is not None}
        finalists = [
            Entry(
                f"search #{numbers[ranked_row.row.allocation]}",
                Allocation.parse(ranked_row.row.allocation),
                finalist=True,
                selected_validation=ranked_row.row.selected_validation,
            )
            for ranked_row in ranked
            if ranked_row.row.kind == "finalist"
        ]
    except FileNotFoundError:
        raise BaselineError(
            f"--finalists-of {request.finalists_of!r}: no search of that name in {request.run.results}"
        ) from None
    except (FileError, AllocationError, KeyError) as error:
        # A newer version's report must not be written over.
        fix = "" if "newer version" in str(error) else ": rerun the search, which trains nothing"
        raise BaselineError(f"{path} is not a report of a search ({error}){fix}") from None
    if report.scenario_sha256 != scenario.sha256:
        raise BaselineError(
            f"--finalists-of {request.finalists_of!r}: its scenario differs from the current {request.run.scenario!r}"
        )
    if not finalists:
        raise BaselineError(
            f"--finalists-of {request.finalists_of!r}: it was not tested; rerun the search with --test-seeds 1"
        )
    return finalists, report.seed


def _matched(scenario: Scenario, entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """What each entry is matched by, and its updates: optimizer steps of the teacher and of the student."""
    matched = {}
    for entry in entries:
        route = compile_route(entry.allocation, scenario.recipe, 0, ordinary=entry.shuffled)
        steps: dict[Role, int] = {"teacher": 0, "student": 0}
        for block in route.blocks:
            steps[STAGE[block.stage].model] += scenario.file.stages.of_block(block).steps
        matched[entry.name] = {
            # The first word of a name is the baseline's, whatever it is compared with or a finalist of.
            "by": MATCHED.get(entry.name.split()[0], f"{len(route.labels_trained)} labels"),
            "updates_teacher": steps["teacher"],
            "updates_student": steps["student"],
        }
    return matched


@dataclass(frozen=True)
class PlannedBaseline:
    """A priced row. Its blocks to train are those that neither the store nor an earlier row has."""

    name: str
    allocation: str
    gpu_seconds_full: float | None
    """From scratch, for one seed; None where a part is unknown."""
    blocks_to_train: int
    gpu_seconds_to_train: float | None
    basis: Mapping[str, Any]
    """Where the full cost comes from: seconds by source, and what is unknown."""


@dataclass(frozen=True)
class BaselinesPlan:
    """Priced baselines."""

    scenario: str
    study: str
    seeds: tuple[int, ...]
    rows: tuple[PlannedBaseline, ...]
    gpu_seconds_scoring: float | None
    gpu_seconds: float | None
    """Of training and scoring, on one worker; processor time on a CPU. None where a part is unknown."""
    gpu_seconds_known: float
    """Of the parts that are known."""
    basis: Mapping[str, Any]
    """Where the seconds come from: seconds by source, and what is unknown."""

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)


def plan_baselines(request: BaselinesRequest) -> BaselinesPlan:
    """Price the baselines before they run: predicted GPU-seconds in full, and of what the store does not hold."""
    scenario = request.run.load_scenario()
    chosen = _choose(request, scenario)
    check_models(scenario, [entry.allocation for entry in chosen.entries])
    state = block_states(find_store(request.run.results))
    measured = MeasuredBlocks(scenario, request.run.folder)
    costs, scores = block_costs(scenario, measured), ScoreCosts(scenario, measured)
    blocks = scenario.recipe.num_label_blocks
    entries = list(chosen.entries)
    if chosen.compared is not None:
        replay = foreseen_replay(scenario, costs, chosen.compared.allocation)
        foreseen = Entry(f"{DIRECT_COMPUTE} (compute of {chosen.compared.name})", extended(blocks, replay))
        entries.insert(1, foreseen.as_deployed() if request.as_deployed else foreseen)
    counted: set[str] = set()
    rows: list[PlannedBaseline] = []
    training = Total()
    for entry in entries:
        routes = [entry.route(scenario.recipe, seed) for seed in entry.seeds(chosen.seeds)]
        missing = {b.key: b for route in routes for b in missing_blocks(route, state) if b.key not in counted}
        counted |= missing.keys()
        full, to_train = costs.total(routes[0].blocks), costs.total(missing.values())
        training += to_train
        rows.append(
            PlannedBaseline(
                name=entry.name,
                allocation=entry.described,
                gpu_seconds_full=full.rounded,
                blocks_to_train=len(missing),
                gpu_seconds_to_train=to_train.rounded,
                basis=full.basis(),
            )
        )
    scoring = sum((scores.total("test", len(e.seeds(chosen.seeds)), e.model) for e in entries), Total())
    if chosen.compared is not None:
        scoring += scores.total("validation", (entries[1].allocation.replay + 1) * len(chosen.seeds))
    everything = training + scoring
    return BaselinesPlan(
        scenario=scenario.name,
        study=_study_name(request, scenario),
        seeds=chosen.seeds,
        rows=tuple(rows),
        gpu_seconds_scoring=scoring.rounded,
        gpu_seconds=everything.rounded,
        gpu_seconds_known=round(everything.at_least, 1),
        basis=everything.basis(),
    )
