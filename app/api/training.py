"""The Python API's functions that plan and train: `load_scenario`, `plan`, `run`, `search`, `baselines`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuition.app.api.arguments import RESULTS, as_command, at_least, list_of_names, make_configuration
from tuition.app.processes.libraries import set_environment
from tuition.planner.allocation import Allocation

# Types alone: torch, pandas and Optuna wait until a function needs them.
if TYPE_CHECKING:
    from tuition.app.studies.baseline_runs import BaselinesPlan
    from tuition.app.studies.search_plan import SearchPlan
    from tuition.app.studies.single_run import SingleRun
    from tuition.app.studies.study_report import BaselinesReport, SearchReport
    from tuition.runners.scenarios.scenario import Scenario


def load_scenario(scenario: str | Path = "micro", *, trust_remote_code: bool = False) -> Scenario:
    """Load and check a scenario: a built-in one by name, or a YAML file.

    A model or a data set of the Hub is fetched when it is first needed.

    >>> import tuition
    >>> scenario = tuition.load_scenario("micro")
    >>> scenario.name, scenario.num_label_blocks >= 2
    ('micro', True)
    >>> scenario.space.holds(tuition.Allocation(student_rl=scenario.num_label_blocks))
    True

    Raises:
        ScenarioError: for a file or a name that is unknown, and for anything wrong in it.
    """
    with as_command(trust_remote_code=trust_remote_code):
        from tuition.runners.scenarios.scenario import Scenario

        return Scenario.load(str(scenario))


def plan(
    scenario: str | Path = "micro",
    *,
    trials: int | None = None,
    budget: str | None = None,
    gpu_hours: float | None = None,
    results: str | Path = RESULTS,
    seed: int = 0,
    test_seeds: int = 1,
    study: str | None = None,
    storage: str | None = None,
    sampler: str | None = None,
    first: str | None = None,
    warm_start: str | Path | None = None,
    as_deployed: bool = False,
    expect: str | None = None,
    worlds: int = 10,
    untrained: Mapping[str, float] | None = None,
    quiet: bool = True,
) -> SearchPlan:
    """Estimate what a search would need: blocks, seconds, memory, disk, labels. Nothing is trained, written, fetched.

    Without `trials`, as many as the budget pays for, or 12 without one. With `expect`, budgets such as "0.5R,1R", also
    what it is expected to find out, played in `worlds` worlds of the planner's prior; `untrained` are validation scores
    of base models (fractions by name), where they are known.

    >>> import tuition
    >>> planned = tuition.plan("micro", trials=8)
    >>> planned.search.requested >= planned.search.distinct >= planned.search.to_train
    True
    >>> planned.labels.labels_owned == planned.labels.labels_budget + planned.labels.labels_validation
    True

    Raises:
        ScenarioError: as `load_scenario`.
        StudyError, StudyNameError: for what `search` would refuse: a seed on which another study was tested, a budget
            or a database URL that cannot be read, a sampler, a name or a warm start that cannot be.
        ProblemError: for a search space or base models' scores of which no worlds can be drawn.
        ArgumentError: for a number out of range.
    """
    at_least(1, trials=trials)
    at_least(0, seed=seed, test_seeds=test_seeds)
    at_least(2, worlds=worlds)
    set_environment()
    from tuition.app.studies.search_plan import PlanRequest, plan_search

    return plan_search(
        PlanRequest(
            scenario=str(scenario),
            results=Path(results),
            trials=trials,
            seed=seed,
            num_test_seeds=test_seeds,
            study=study,
            storage=storage,
            sampler=sampler,
            first=first,
            warm_start=None if warm_start is None else str(warm_start),
            as_deployed=as_deployed,
            budget=budget,
            gpu_hours=gpu_hours,
            expect=expect,
            worlds=worlds,
            untrained=dict(untrained or {}),
            quiet=quiet,
        )
    )


def run(
    allocation: str | Allocation,
    scenario: str | Path = "micro",
    *,
    seed: int = 0,
    results: str | Path = RESULTS,
    test: bool = False,
    mix_versions: bool = False,
    track: str | None = None,
    trust_remote_code: bool = False,
    quiet: bool = True,
) -> SingleRun:
    """Train one allocation with one seed and score it on validation; with `test`, on the test suite as well.

    `allocation` may be text, or the name of a route as `tuition scenarios micro` lists them.

    >>> import tuition
    >>> done = tuition.run(tuition.Allocation(student_rl=1), "micro")
    >>> [(use.stage, use.index) for use in done.blocks]
    [('student_rl', 0)]
    >>> (score,) = done.scores.values()
    >>> 0 <= score.mean <= 1 and done.model.is_dir()
    True

    Raises:
        ScenarioError, AllocationError: for a scenario or an allocation that cannot be.
        StudyError: where the labels or the store do not allow the run.
        ArgumentError: for a seed out of range.
    """
    at_least(0, seed=seed)
    with as_command(results, track, trust_remote_code):
        from tuition.app.studies.single_run import run_single

        configuration = make_configuration(scenario, results, mix_versions, quiet=quiet)
        return run_single(configuration, str(allocation), seed, test)


def search(
    scenario: str | Path = "micro",
    *,
    trials: int | None = None,
    seconds: float | None = None,
    budget: str | None = None,
    gpu_hours: float | None = None,
    min_gain: float | None = None,
    results: str | Path = RESULTS,
    study: str | None = None,
    seed: int = 0,
    test_seeds: int = 1,
    as_deployed: bool = False,
    sampler: str | None = None,
    first: str | None = None,
    warm_start: str | Path | None = None,
    storage: str | None = None,
    mix_versions: bool = False,
    track: str | None = None,
    trust_remote_code: bool = False,
    max_store: str | None = None,
    workers: int = 1,
    quiet: bool = True,
) -> SearchReport:
    """Search allocations, then test the finalists and the baselines on seeds that the search never used.

    The same call resumes a search that was interrupted, and trains nothing when it is finished. With `as_deployed` the
    test trains ordinary runs, without blocks: what a model to deploy would be.

    `budget` ("1R", in costs of the dearest route) or `gpu_hours` (of reserved devices) is what training and validation
    may cost, the test apart: nothing is begun that does not fit. `min_gain`, in points per GPU-hour, ends a search
    whose sampler expects less. Without any limit, `trials` is 12. `sampler` is "structural" (our own planner, the
    default), "tpe", "random", "gp" or "qmc"; `first` is "named" to train direct GRPO and the paper's routes before
    anything is proposed, "direct" for direct GRPO alone, "none" to leave all to the sampler; by default only our own
    planner begins with its own. `warm_start`, for our own planner, is another search (its name, or its folder) or a
    recorded table (its file, or the name of one that ships): a new study begins with its validation scores, as a belief
    that data can refute.

    >>> import tuition
    >>> report = tuition.search("micro", trials=4)
    >>> report.study, len(report.proposals)
    ('micro-seed0', 4)
    >>> best = max((trial for trial in report.trials if trial.score), key=lambda trial: trial.score.mean)
    >>> tuition.Allocation.parse(best.allocation).label_blocks > 0
    True
    >>> rows, shared = report.ranked()
    >>> "direct" in [ranked.row.name for ranked in rows]
    True

    Raises:
        ScenarioError: as `load_scenario`.
        StudyError, StudyNameError: for a study of another scenario or seed, a sampler, a name or a warm start that
            cannot be, a budget that cannot be read or that unknown costs forbid.
        StoreError: for a `max_store` that is no size.
        ArgumentError: for a number out of range.
    """
    at_least(1, trials=trials, workers=workers)
    at_least(0, seed=seed, test_seeds=test_seeds)
    with as_command(results, track, trust_remote_code):
        from tuition.app.storage.store_upkeep import parse_size
        from tuition.app.studies.search_plan import TRIALS
        from tuition.app.studies.search_run import SearchRequest, run_search
        from tuition.planner.searching.trial_loop import StudyLimits

        unlimited = trials is None and seconds is None and budget is None and gpu_hours is None
        limits = StudyLimits(trials=TRIALS if unlimited else trials, seconds=seconds)
        limit_bytes = None if max_store is None else parse_size(max_store)
        configuration = make_configuration(scenario, results, mix_versions, workers, limit_bytes, quiet)
        request = SearchRequest(
            configuration,
            study,
            seed,
            limits,
            sampler,
            storage,
            test_seeds,
            as_deployed,
            budget,
            gpu_hours,
            min_gain,
            first,
            None if warm_start is None else str(warm_start),
        )
        return run_search(request).report


def baselines(
    scenario: str | Path = "micro",
    *,
    seeds: int = 1,
    results: str | Path = RESULTS,
    study: str | None = None,
    only: Sequence[str] = (),
    compute_of: str = "teacher-upstream",
    finalists_of: str | None = None,
    as_deployed: bool = False,
    mix_versions: bool = False,
    track: str | None = None,
    trust_remote_code: bool = False,
    workers: int = 1,
    quiet: bool = True,
) -> BaselinesReport:
    """Train the baselines on fresh seeds and compare each with direct GRPO on the test suite.

    >>> import tuition
    >>> report = tuition.baselines("micro", only=["raw-bridge"])
    >>> sorted(row["name"] for row in report.leaderboard["rows"])
    ['direct', 'raw-bridge']

    Raises:
        ScenarioError: as `load_scenario`.
        BaselineError: for a baseline, an entry or a search that is unknown.
        StudyError: for a name that a search has.
        ArgumentError: for a number out of range, or names that are no list.
    """
    at_least(1, seeds=seeds, workers=workers)
    chosen = list_of_names("only", only)
    with as_command(results, track, trust_remote_code):
        from tuition.app.studies.baseline_runs import BaselinesRequest, run_baselines

        configuration = make_configuration(scenario, results, mix_versions, workers, quiet=quiet)
        return run_baselines(
            BaselinesRequest(configuration, seeds, study, chosen, compute_of, finalists_of, as_deployed)
        )


def plan_baselines(
    scenario: str | Path = "micro",
    *,
    seeds: int = 1,
    results: str | Path = RESULTS,
    study: str | None = None,
    only: Sequence[str] = (),
    compute_of: str = "teacher-upstream",
    finalists_of: str | None = None,
    as_deployed: bool = False,
    trust_remote_code: bool = False,
) -> BaselinesPlan:
    """Estimate what `baselines` would need, without training.

    >>> import tuition
    >>> planned = tuition.plan_baselines("micro", only=["raw-bridge"])
    >>> [row.name for row in planned.rows]
    ['direct', 'raw-bridge']

    Raises:
        ScenarioError, BaselineError, ArgumentError: as `baselines`.
    """
    at_least(1, seeds=seeds)
    chosen = list_of_names("only", only)
    with as_command(results, trust_remote_code=trust_remote_code):
        from tuition.app.studies.baseline_runs import BaselinesRequest, plan_baselines

        configuration = make_configuration(scenario, results)
        return plan_baselines(
            BaselinesRequest(configuration, seeds, study, chosen, compute_of, finalists_of, as_deployed)
        )
