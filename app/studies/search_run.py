"""`tuition search`: study, blocks, scores, then the test protocol, and one report of all of it.

What a study keeps for itself lies in its `StudyFolder`: database, scenario, report, leaderboard, logs. Blocks and
scores are shared by all studies of a results folder.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState

from tuition.app.advice.warm_start import find_warm_start, settle_warm_start, warm_start_report
from tuition.app.costs.route_prices import RoutePrices
from tuition.app.costs.search_budget import budget_gpu_seconds, check_budget, unknown_costs
from tuition.app.processes.channel import Channel, logged
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.liveness import alive, is_alive
from tuition.app.processes.machine_failures import as_machine_errors
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.processes.workers import Remote, run_workers
from tuition.app.storage.store_upkeep import StoreLimit
from tuition.app.studies.evaluation import (
    Entry,
    base_entries,
    evaluate,
    merge_entries,
    seeds_for_test,
    train_in_workers,
)
from tuition.app.studies.search_evaluation import evaluate_on_validation, score_untrained
from tuition.app.studies.search_report import kept_test, make_report
from tuition.app.studies.search_sampler import (
    SAMPLER,
    answer_of,
    check_sampler,
    decision_of,
    finalist_entries,
    make_sampler,
    needs_prices,
    queued_first,
    settle_sampler,
)
from tuition.app.studies.seed_guards import note_search, refuse_searched_seeds, refuse_test_seed
from tuition.app.studies.study_report import SearchReport, with_look, write_report
from tuition.benchmarks.artefacts import write_json
from tuition.benchmarks.baselines import EVALUATED_FIRST, TESTED_BY_SEARCH, baseline_allocations
from tuition.benchmarks.boards.ranked_rows import plot, to_json
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder, checked_study_name
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route, compile_route
from tuition.planner.scores.outcome import Outcome
from tuition.planner.scores.protocols import MIN_GAIN, SaysWhenToStop
from tuition.planner.searching.trial_loop import SearchOptions, StudyLimits
from tuition.planner.storage import StudyError
from tuition.planner.study import enqueue, open_study, search
from tuition.planner.trials import REFUSED, Trials
from tuition.runners.events import PhaseBegan, RunDone
from tuition.runners.labels import account_of_test
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.store.eviction import gpu_seconds_at_stake

STOPPED = "stopped"  # attribute of a study: why its last search stopped, None for its trials or seconds


@dataclass(frozen=True)
class SearchRequest:
    """What the command line asks for."""

    run: RunConfiguration
    study: str | None
    seed: int
    limits: StudyLimits
    sampler: str | None
    """None: the one that the study has, or our own planner for a new one."""
    storage: str | None
    num_test_seeds: int
    as_deployed: bool = False
    """The test trains ordinary runs, without blocks."""
    budget: str | None = None
    """Of the search without its test, in R: "1R"."""
    gpu_hours: float | None = None
    """The same in reserved device-hours."""
    min_gain: float | None = None
    """Points per GPU-hour that a proposal must promise; the sampler must be able to say so."""
    first: str | None = None
    """What is trained before anything is proposed: "named", "direct" or "none"; None leaves it to the sampler."""
    warm_start: str | None = None
    """Whose scores a new study begins with: another search, or a recorded table."""

    @property
    def has_budget(self) -> bool:
        """Whether nothing may be begun that does not fit."""
        return self.budget is not None or self.gpu_hours is not None

    def prices(self, scenario: Scenario) -> RoutePrices | None:
        """What routes cost, where a budget needs to know."""
        return RoutePrices(scenario, self.run.folder) if self.has_budget else None


@dataclass(frozen=True)
class SearchResult:
    """The report, and the folder of the study."""

    report: SearchReport
    folder: StudyFolder


def run_search(request: SearchRequest) -> SearchResult:
    """Search, then test. Everything that was done before is reused; a second call trains nothing."""
    started = time.monotonic()
    scenario = request.run.load_scenario()
    warnings = check_models(scenario)
    name = study_name(scenario.name, request.seed, request.study)
    folder = request.run.folder.study(name)
    kept = kept_test(folder.report)
    refuse_seeds(request.seed, request.num_test_seeds, scenario.name, folder, request.run.folder)
    check_budget(request.budget, request.gpu_hours)
    check_sampler(request.sampler, request.first)
    asked = None
    if request.warm_start is not None:
        asked = find_warm_start(request.warm_start, request.run.folder, request.sampler, request.storage)
    prices = request.prices(scenario)
    if prices and (unknown := unknown_costs(prices, request.run.scenario, request.run.results)) is not None:
        raise StudyError(unknown)
    study = _open_with_sampler(request, scenario, folder, prices)
    seeds = seeds_for_test(request.seed, request.num_test_seeds)
    with FileLock(folder.opening_lock):
        warm = settle_warm_start(study, study.user_attrs[SAMPLER], asked, seeds)
    note_search(folder, scenario.name, request.seed)
    study.set_user_attr("trials_wanted", request.limits.trials)  # for those who watch
    scenario.keep(folder.scenario, request.run.scenario)
    with Reporter(request.run.quiet) as reporter:
        _announce(scenario, warnings, reporter)
        if warm is not None:
            reporter.say(f"warm start: the search begins with {warm.words}")
        _search(study, scenario, _with_budget(request, study, prices, reporter), prices, reporter)
        if (stopped := study.user_attrs.get(STOPPED)) is not None:
            reporter.say(f"search stopped: {stopped}")
        entries = _entries(study, scenario)
        if request.as_deployed:
            entries = [entry.as_deployed() for entry in entries]
        log = folder.log("test")
        if seeds and request.run.workers > 1:
            with logged(log, reporter):
                train_in_workers(request.run, entries, seeds, name, log, reporter)
        with Interrupts(reporter.say) as interrupts, request.run.open_runner(scenario, reporter) as runner:
            reporter.check = interrupts.check
            seconds = time.monotonic() - started
            report = make_report(study, scenario, runner, request.seed, reporter.trained_keys, seconds)
            advised = {"answer": answer_of(study), "decision": decision_of(study, scenario, request.run.folder)}
            report = report.model_copy(update={**kept, "stopped": stopped, **warm_start_report(warm), **advised})
            # Written before the test as well: a baseline that fails must not cost the search its report, nor the test
            # that it had.
            write_report(report, folder.report)
            if seeds:
                with logged(log, reporter):
                    ranked, meta, test = evaluate(runner, name, entries, seeds, reporter)
                looks = with_look(kept.get("tests", ()), test)
                leaderboard = to_json(ranked, replace(meta, looks=len(looks)))
                spent = round(runner.ledger.spent(account_of_test(name)), 1)
                tested = {"leaderboard": leaderboard, "test": test, "tests": looks, "test_gpu_seconds": spent}
                report = report.model_copy(update={**tested, "tested_trials": len(report.proposals)})
                write_json(leaderboard, folder.leaderboard)
                plot(ranked, folder.figure)
        report = report.model_copy(update={"seconds": round(time.monotonic() - started, 1)})
        write_report(report, folder.report)
    return SearchResult(report, folder)


def study_name(scenario: str, seed: int, study: str | None) -> str:
    """The name of a search: the one that is given, or scenario and seed."""
    return checked_study_name(study) if study else f"{scenario}-seed{seed}"


def refuse_seeds(seed: int, num_test_seeds: int, scenario: str, folder: StudyFolder, results: ResultsFolder) -> None:
    """StudyError for a search or a test on a training seed that the other was on, as a search and its plan ask it."""
    refuse_test_seed(seed, scenario, folder, results)
    refuse_searched_seeds(seeds_for_test(seed, num_test_seeds), scenario, folder, results, "choose another --seed")


def _open_with_sampler(
    request: SearchRequest, scenario: Scenario, folder: StudyFolder, prices: RoutePrices | None
) -> optuna.Study:
    """The study with its sampler, which may need to know what routes cost even where no budget does."""
    study = _open(request, scenario, folder)
    name = settle_sampler(study, request.sampler)
    if prices is None and needs_prices(name):
        prices = RoutePrices(scenario, request.run.folder)
    study.sampler = make_sampler(name, scenario, request.seed, prices)
    return study


def _open(request: SearchRequest, scenario: Scenario, folder: StudyFolder) -> optuna.Study:
    """Open the study; what can be wrong is found before a folder is made."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    enqueued(scenario)  # space and baselines are checked by making them
    url = request.storage or f"sqlite:///{folder.database}"
    if request.storage is None:
        folder.path.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.opening_lock):  # two commands that start at once would both create the tables
            return open_study(folder.name, url, scenario.sha256, request.seed, fields=scenario.fields)
    study = open_study(folder.name, url, scenario.sha256, request.seed, fields=scenario.fields)
    folder.path.mkdir(parents=True, exist_ok=True)
    return study


def _with_budget(
    request: SearchRequest, study: optuna.Study, prices: RoutePrices | None, reporter: Reporter
) -> SearchRequest:
    """The request with its budget in GPU-seconds."""
    if request.min_gain is not None:
        if not isinstance(study.sampler, SaysWhenToStop):
            raise StudyError(f"--min-gain: --sampler {study.user_attrs[SAMPLER]} does not say what a proposal promises")
        study.set_user_attr(MIN_GAIN, request.min_gain)
    if prices is None:
        return request
    gpu_seconds, words = budget_gpu_seconds(study, prices, request.budget, request.gpu_hours)
    reporter.say(words)
    return replace(request, limits=replace(request.limits, gpu_seconds=gpu_seconds))


def _announce(scenario: Scenario, warnings: Sequence[str], reporter: Reporter) -> None:
    reporter.say(
        f"scenario {scenario.name}: {len(scenario.labels)} labels in {scenario.recipe.num_label_blocks} blocks, "
        f"teachers {', '.join(scenario.file.teachers)}; the search uses these labels "
        f"and {len(scenario.validation)} for validation"
    )
    for overlap in scenario.overlaps:
        if overlap.ngram:
            reporter.say(f"contamination: {overlap}")
    for warning in warnings:
        reporter.say(f"warning: {warning}")


def scenario_baselines(scenario: Scenario) -> dict[str, Allocation]:
    """The baselines that are plain chains of blocks, with the scenario's default teacher and bridge."""
    return file_baselines(scenario.file, scenario.num_label_blocks)


def file_baselines(file: ScenarioFile, num_label_blocks: int) -> dict[str, Allocation]:
    """The same for a scenario of which only the file was read."""
    search = file.search
    return baseline_allocations(
        file.default_teacher, num_label_blocks, search.bridge_warmup, search.bridge_opd, search.prompts
    )


def search_baselines(scenario: Scenario) -> dict[str, Allocation]:
    """The few of them that a search tests at its end, the base models apart."""
    every = scenario_baselines(scenario)
    return {name: every[name] for name in TESTED_BY_SEARCH if name in every}


def _search(
    study: optuna.Study, scenario: Scenario, request: SearchRequest, prices: RoutePrices | None, reporter: Reporter
) -> None:
    """The search, in this process or in workers; several commands may work on one study at once."""
    folder = request.run.folder.study(study.study_name)
    title = f"search {study.study_name}"
    reporter.hear(PhaseBegan(title=title, done=Trials(study).refresh().num_finished, total=request.limits.trials))
    with FileLock(folder.opening_lock):  # here and once: workers and commands that start together would all queue them
        first = enqueued(scenario, queued_first(study.user_attrs[SAMPLER], request.first))
        enqueue(study, scenario.space, _compile(scenario, request), first)
    if request.run.workers > 1:
        run_workers(request.run.workers, search_worker, (request, study.study_name), reporter)
        return
    with Interrupts(reporter.say) as interrupts, request.run.open_runner(scenario, reporter) as runner:
        reporter.check = interrupts.check
        _work_on(study, scenario, runner, request, reporter, prices)


def _compile(scenario: Scenario, request: SearchRequest) -> Callable[[Allocation], Route]:
    return lambda allocation: compile_route(allocation, scenario.recipe, request.seed)


def search_worker(request: SearchRequest, name: str, remote: Remote) -> None:
    """One worker's part of a search: trials of the shared study until its limit is reached."""
    scenario = request.run.load_scenario()
    folder = request.run.folder.study(name)
    prices = request.prices(scenario)
    study = _open_with_sampler(request, scenario, folder, prices)
    with request.run.open_runner(scenario, remote) as runner:
        _work_on(study, scenario, runner, request, remote, prices)


def _work_on(
    study: optuna.Study,
    scenario: Scenario,
    runner: RouteRunner,
    request: SearchRequest,
    channel: Channel,
    prices: RoutePrices | None,
) -> None:
    folder, trials = request.run.folder.study(study.study_name), Trials(study)
    done_before = trials.refresh().num_finished
    total, most = request.limits.trials, request.run.max_store_bytes
    limit = None if most is None else StoreLimit(request.run.results, most)

    def evaluate_route(number: int, _: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        log_path = folder.trial_log(number)
        with as_machine_errors(), logged(log_path, channel):
            try:
                return evaluate_on_validation(runner, route, on_the_way, study.study_name, log_path)
            except Exception as error:
                logging.getLogger(__name__).exception("trial %d failed", number)
                error.log_path = log_path  # type: ignore[attr-defined]
                raise

    def on_trial(_: optuna.Study, trial: FrozenTrial) -> None:
        name = f"#{trial.number} {trial.user_attrs.get('allocation', '')}"
        done = trials.refresh().num_finished
        channel.hear(RunDone(name=name, result=_result(trial), done=done, total=total, done_before=done_before))
        if prices is not None:
            prices.refresh()
        if limit is not None:
            _limit_store(limit, trials.leading, scenario, request, channel)
        channel.check()

    locks = folder.workers
    with alive(locks) as worker:
        limits = replace(request.limits, spent=lambda: runner.ledger.spent(study.study_name))
        if prices is not None:
            limits = replace(limits, price=partial(prices.still_costs, runner))
        options = SearchOptions(
            on_trial,
            worker,
            score_untrained=as_machine_errors()(lambda model: score_untrained(runner, model, study.study_name)),
            lock=FileLock(folder.opening_lock),
            is_alive=partial(is_alive, locks),
            say=channel.say,
        )
        stopped = search(study, scenario.space, _compile(scenario, request), evaluate_route, limits, options)
        study.set_user_attr(STOPPED, stopped)


def _limit_store(
    limit: StoreLimit, best: list[FrozenTrial], scenario: Scenario, request: SearchRequest, channel: Channel
) -> None:
    """Evict what is cheapest to make again, and say what went; the routes that lead the study stay."""
    compile_it = _compile(scenario, request)
    leading = [compile_it(Allocation.parse(trial.user_attrs["allocation"])) for trial in best]
    plan = limit.hold({block.key for route in leading for block in route.blocks})
    if plan is None:
        return
    freed = plan.store_bytes - plan.bytes_after
    over = "" if plan.bytes_after <= limit.limit_bytes else "; the rest is in use or behind a finalist"
    channel.say(
        f"store: {plan.store_bytes / 1e6:.1f} MB exceeded --max-store {limit.limit_bytes / 1e6:.1f} MB; evicted "
        f"{freed / 1e6:.1f} MB worth {gpu_seconds_at_stake(plan.evictions):.0f} GPU-s{over}"
    )


def enqueued(scenario: Scenario, names: Sequence[str] = EVALUATED_FIRST) -> list[Allocation]:
    """Baselines by name, those that the scenario's space holds."""
    # The raw bridge and the replay control are no proposals; the test has them. The opposite split is one, left to the
    # sampler: its labels would be trained twice, for the search and for the test.
    every = scenario_baselines(scenario)
    return [every[name] for name in names if scenario.space.holds(every[name])]


def _entries(study: optuna.Study, scenario: Scenario) -> list[Entry]:
    """What is to be tested: the finalists of the search, their replay controls, the baselines and the base models."""
    chosen = finalist_entries(study)
    return [*merge_entries(search_baselines(scenario), chosen), *base_entries(scenario.default_teacher)]


def _result(trial: FrozenTrial) -> str:
    if REFUSED in trial.user_attrs:
        return f"refused: {trial.user_attrs[REFUSED]}"
    if trial.state is not TrialState.COMPLETE:
        return str(trial.user_attrs.get("error", "infeasible" if trial.state is TrialState.PRUNED else "failed"))
    repeat = f", repeats #{trial.user_attrs['repeat_of']}" if "repeat_of" in trial.user_attrs else ""
    return f"validation {trial.value:.1%} ± {trial.user_attrs['se_problems']:.1%} over problems{repeat}"
