r"""The Python API: what `import tuition` gives. A function does what the command of its name does.

Keyword arguments are named as the command's options and have its defaults. Nothing is printed, unless `quiet=False`
asks for progress on standard error. Results lie in the same results folder, so that what a command has trained a
program reuses, and the other way round.

Errors are those of the command, each one line with the fix. What is wrong with the input is a ValueError, named where
it is raised (ScenarioError, AllocationError, StudyError, ...); what fails is a RuntimeError or an OSError. Ctrl-C
finishes the current block and raises KeyboardInterrupt; the same call resumes.

With `workers` above 1 of a search or of baselines, a program must guard its main part by
`if __name__ == "__main__":`, as for every use of multiprocessing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

from tuition.app.processes.libraries import set_environment, silence_libraries
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.allocation import Allocation

# Types alone: torch, pandas and Optuna wait until a function needs them.
if TYPE_CHECKING:
    import pandas as pd

    from tuition.app.dashboard.data.study_frames import StudyFrames
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.scoring.bench_result import BenchResult
    from tuition.app.storage.exported_model import ExportedModel
    from tuition.app.studies.baseline_runs import BaselinesPlan
    from tuition.app.studies.search_plan import SearchPlan
    from tuition.app.studies.single_run import SingleRun
    from tuition.app.studies.study_report import BaselinesReport, SearchReport
    from tuition.benchmarks.grading.grader import Grade
    from tuition.runners.scenarios.scenario import Scenario

    Texts = list[str] | tuple[str, ...]

RESULTS = "results"
DTYPES = ("float32", "bfloat16")


class ArgumentError(ValueError):
    """An argument that a command's option would refuse; one line with the value and what is allowed."""


def _at_least(least: int, **arguments: object) -> None:
    """ArgumentError for what is neither None nor a whole number of at least `least`."""
    for name, value in arguments.items():
        if value is not None and (type(value) is not int or value < least):
            raise ArgumentError(f"{name}={value!r}; give a whole number of at least {least}")


def _one_of(allowed: tuple[str, ...], **arguments: object) -> None:
    for name, value in arguments.items():
        if value not in allowed:
            raise ArgumentError(f"{name}={value!r}; choose from {', '.join(allowed)}")


def _names(name: str, value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ArgumentError(f"{name}={value!r}; give a list of names")
    return tuple(value)


@contextmanager
def _as_command(
    results: str | Path = RESULTS, track: str | None = None, trust_remote_code: bool = False
) -> Iterator[None]:
    """Work as a command does: libraries are quiet, and what is confirmed or tracked is so for this call alone."""
    set_environment()
    from tuition.runners.scenarios.sources import TRUST_VARIABLE, confirm_trust
    from tuition.runners.training.tracking import VARIABLE, start_tracking

    before = {name: os.environ.get(name) for name in (TRUST_VARIABLE, VARIABLE)}
    try:
        with warnings.catch_warnings():
            silence_libraries()
            confirm_trust(trust_remote_code)
            start_tracking(track, ResultsFolder(Path(results)).tracking)
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
    with _as_command(trust_remote_code=trust_remote_code):
        from tuition.runners.scenarios.scenario import Scenario

        return Scenario.load(str(scenario))


def plan(
    scenario: str | Path = "micro",
    *,
    trials: int = 12,
    results: str | Path = RESULTS,
    seed: int = 0,
    test_seeds: int = 1,
) -> SearchPlan:
    """Estimate what a search would need: blocks, seconds, memory, disk, labels. Nothing is trained, written, fetched.

    >>> import tuition
    >>> planned = tuition.plan("micro", trials=8)
    >>> planned.search.requested >= planned.search.distinct >= planned.search.to_train
    True
    >>> planned.labels.labels_owned == planned.labels.labels_budget + planned.labels.labels_validation
    True

    Raises:
        ScenarioError: as `load_scenario`.
        ArgumentError: for a number out of range.
    """
    _at_least(1, trials=trials)
    _at_least(0, seed=seed, test_seeds=test_seeds)
    set_environment()
    from tuition.app.studies.search_plan import plan_search

    return plan_search(str(scenario), trials, Path(results), seed, test_seeds)


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
    _at_least(0, seed=seed)
    with _as_command(results, track, trust_remote_code):
        from tuition.app.studies.single_run import run_single

        configuration = _configuration(scenario, results, mix_versions, quiet=quiet)
        return run_single(configuration, str(allocation), seed, test)


def search(
    scenario: str | Path = "micro",
    *,
    trials: int | None = 12,
    seconds: float | None = None,
    gpu_seconds: float | None = None,
    results: str | Path = RESULTS,
    study: str | None = None,
    seed: int = 0,
    test_seeds: int = 1,
    sampler: str = "tpe",
    storage: str | None = None,
    mix_versions: bool = False,
    track: str | None = None,
    trust_remote_code: bool = False,
    max_store: str | None = None,
    workers: int = 1,
    quiet: bool = True,
) -> SearchReport:
    """Search allocations, then test the finalists and the baselines on seeds that the search never used.

    The same call resumes a search that was interrupted, and trains nothing when it is finished.

    >>> import tuition
    >>> report = tuition.search("micro", trials=4)
    >>> report.study, len(report.trials)
    ('micro-seed0', 4)
    >>> best = max((trial for trial in report.trials if trial.score), key=lambda trial: trial.score.mean)
    >>> tuition.Allocation.parse(best.allocation).label_blocks > 0
    True
    >>> rows, shared = report.ranked()
    >>> "direct" in [ranked.row.name for ranked in rows]
    True

    Raises:
        ScenarioError: as `load_scenario`.
        StudyError, StudyNameError: for a study of another scenario or seed, a sampler or a name that cannot be.
        StoreError: for a `max_store` that is no size.
        ArgumentError: for a number out of range.
    """
    _at_least(1, trials=trials, workers=workers)
    _at_least(0, seed=seed, test_seeds=test_seeds)
    with _as_command(results, track, trust_remote_code):
        from tuition.app.storage.store_upkeep import parse_size
        from tuition.app.studies.search_run import SearchRequest, run_search
        from tuition.planner.study import StudyLimits

        limits = StudyLimits(trials=trials, seconds=seconds, gpu_seconds=gpu_seconds)
        limit_bytes = None if max_store is None else parse_size(max_store)
        configuration = _configuration(scenario, results, mix_versions, workers, limit_bytes, quiet)
        return run_search(SearchRequest(configuration, study, seed, limits, sampler, storage, test_seeds)).report


def baselines(
    scenario: str | Path = "micro",
    *,
    seeds: int = 1,
    results: str | Path = RESULTS,
    study: str | None = None,
    only: Sequence[str] = (),
    compute_of: str = "teacher-upstream",
    finalists_of: str | None = None,
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
    _at_least(1, seeds=seeds, workers=workers)
    chosen = _names("only", only)
    with _as_command(results, track, trust_remote_code):
        from tuition.app.studies.baseline_runs import BaselinesRequest, run_baselines

        configuration = _configuration(scenario, results, mix_versions, workers, quiet=quiet)
        return run_baselines(BaselinesRequest(configuration, seeds, study, chosen, compute_of, finalists_of))


def plan_baselines(
    scenario: str | Path = "micro",
    *,
    seeds: int = 1,
    results: str | Path = RESULTS,
    study: str | None = None,
    only: Sequence[str] = (),
    compute_of: str = "teacher-upstream",
    finalists_of: str | None = None,
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
    _at_least(1, seeds=seeds)
    chosen = _names("only", only)
    with _as_command(results, trust_remote_code=trust_remote_code):
        from tuition.app.studies.baseline_runs import BaselinesRequest, plan_baselines

        configuration = _configuration(scenario, results)
        return plan_baselines(BaselinesRequest(configuration, seeds, study, chosen, compute_of, finalists_of))


def score(
    model: str | Path,
    suite: str | Sequence[str],
    *,
    samples: int | None = None,
    preset: str | None = None,
    engine: Literal["transformers", "vllm", "server"] = "transformers",
    url: str | None = None,
    concurrency: int = 16,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    results: str | Path = RESULTS,
    scenario: str | None = None,
    batch_size: int | None = None,
    max_new_tokens: int | None = None,
    chat: bool | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    quiet: bool = True,
) -> BenchResult:
    """Score a checkpoint on suites, as `tuition bench`: avg@k with its errors, pass@k and maj@k.

    `model` is a folder, a Hub id, a block's key, `base:student`, or the name that a server serves. Every score is kept
    with its samples, and is not drawn again.

    >>> import tuition
    >>> (result,) = tuition.score("base:student", "micro", limit=2, samples=2).scores
    >>> result.suite, result.score.num_problems, result.score.num_samples
    ('micro-test@1/384[:2]', 2, 2)
    >>> bool(result.samples["correct"].mean() == result.score.mean)
    True

    Raises:
        BenchError: for settings that do not go together.
        SuiteError, ModelError: for a suite or a model that is unknown or cannot be read.
        ArgumentError: for a number out of range, or an engine or a type that is unknown.
    """
    _at_least(1, samples=samples, limit=limit, batch_size=batch_size, max_new_tokens=max_new_tokens)
    _at_least(1, concurrency=concurrency)
    _at_least(0, seed=seed)
    _one_of(DTYPES, dtype=dtype)
    with _as_command(results):
        from tuition.app.scoring.bench_scores import run_bench
        from tuition.app.scoring.bench_tasks import BenchRequest, EngineName

        _one_of(get_args(EngineName), engine=engine)
        named = suite.split(",") if isinstance(suite, str) else suite
        request = BenchRequest(
            model=str(model),
            suites=tuple(name.strip() for name in named if name.strip()),
            samples=samples,
            preset=preset,
            engine=engine,
            url=url,
            concurrency=concurrency,
            data_dir=None if data_dir is None else Path(data_dir),
            limit=limit,
            seed=seed,
            results=Path(results),
            scenario=scenario,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            chat=chat,
            dtype=dtype,
            quiet=quiet,
        )
        return run_bench(request)


@overload
def grade(gold: str, completion: str, *, workers: int | None = None, timeout: float = 5.0) -> Grade: ...


@overload
def grade(gold: Texts, completion: Texts, *, workers: int | None = None, timeout: float = 5.0) -> list[Grade]: ...


def grade(
    gold: str | Texts,
    completion: str | Texts,
    *,
    workers: int | None = None,
    timeout: float = 5.0,
) -> Grade | list[Grade]:
    r"""Say whether a completion's final answer is the checked one; for lists, whether each is, in order.

    `timeout` is in seconds for each answer; `workers` is the number of processes, by default one for one answer and
    the cores (at most 8) for many.

    >>> import tuition
    >>> grade = tuition.grade("1/2", r"Half of it, so \boxed{0.5}.")
    >>> grade.correct, str(grade.verdict)
    (True, 'correct')
    >>> [str(each.verdict) for each in tuition.grade(["7", "7"], [r"\boxed{8}", "I cannot say."], workers=1)]
    ['wrong', 'no_answer']

    Raises:
        ValueError: for an empty gold answer, or lists that differ in length.
        ArgumentError: for what is no text, or one text beside a list.
    """
    _at_least(1, workers=workers)
    from tuition.app.scoring.graded_outputs import default_workers
    from tuition.benchmarks.grading.grader import Grader

    if isinstance(gold, str) and isinstance(completion, str):
        with Grader(timeout, workers or 1) as grader:
            return grader.grade(gold, completion)
    if isinstance(gold, str) or isinstance(completion, str):
        raise ArgumentError("gold and completion: give two strings, or two lists of strings")
    for name, texts in (("gold", gold), ("completion", completion)):
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
            raise ArgumentError(f"{name}={texts!r:.80}; give a string, or a list of strings")
    with Grader(timeout, workers or default_workers()) as grader:
        return grader.grade_many(gold, completion)


def export(
    what: str,
    to: str | Path,
    *,
    hub: str | None = None,
    study: str | None = None,
    seed: int | None = None,
    results: str | Path = RESULTS,
    scenario: str | Path = "micro",
) -> ExportedModel:
    """Write what a run left as a plain transformers folder with a model card.

    `what` is an allocation or a named route, a row of `study`, or the beginning of a block's key; `to` is a folder
    that does not exist or is empty; `hub` is a private repository to upload it to.

    >>> import tuition
    >>> done = tuition.run("student_rl=1", "micro")
    >>> exported = tuition.export("student_rl=1", "my-model")
    >>> exported.key == done.blocks[-1].key, (exported.folder / "config.json").exists()
    (True, True)

    Raises:
        StoreError: for a run or a block that is not in the store, and a folder that holds something.
    """
    with _as_command(results):
        from dataclasses import replace

        from tuition.app.storage.exported_model import export_block, find_run, upload

        key = find_run(Path(results), what, study, str(scenario), seed)
        exported = export_block(Path(results), key, Path(to), str(scenario))
        return exported if hub is None else replace(exported, hub=upload(exported.folder, hub))


def read_study(study: str, *, results: str | Path = RESULTS) -> StudyFrames:
    """A study of the results folder as pandas frames, whether it still runs or not. It is only read.

    Scores and differences are fractions (0.02 is 2 points), standard errors are named by what they are over, costs are
    GPU-seconds (processor time on a CPU), nan is what is not known.

    `trials`: one row a trial.
        number, state ("complete", "running", "waiting", "fail", "pruned"), started, finished: times.
        score, se_problems, se_samples: on validation.
        labels_trained: distinct labels of the route.
        gpu_seconds_full: of the route from scratch; gpu_seconds_marginal: what the trial spent.
        blocks_requested, blocks_executed: of its route, and those that it trained.
        repeat_of: number of the trial whose outcome it took.
        allocation, weights_sha256, error, worker, route_key: texts.
        teacher, teacher_rl, teacher_sft, warmup, opd, transfer_sft, student_rl, replay: the allocation's blocks.
        label_blocks_teacher, label_blocks_student: blocks of labels that each buys.
    `complete`: those of the trials that have a score of their own, best first.
    `tested`: one row an entry of the test, best first; empty before it.
        name, allocation, kind ("finalist", "baseline"), rank_first, rank_last: the interval of ranks.
        mean, se_problems, se_samples, se_seeds: on the test suite.
        difference, difference_low, difference_high: to direct GRPO, paired; nan for direct GRPO itself.
        selected_validation: the validation score by which a finalist was selected.
        labels_trained, gpu_seconds: of one run, from scratch. training_seeds: a tuple. shuffled: without blocks.
    `pairs`: one row for every two entries of the test, a - b.
        a, b: names. difference, difference_low, difference_high: paired, not corrected for multiple comparisons.
        p_value, p_value_holm (corrected over all pairs), p_value_sign_flip; num_problems, num_seeds.

    >>> import tuition
    >>> report = tuition.search("micro", trials=4)
    >>> study = tuition.read_study(report.study)
    >>> len(study.trials), list(study.trials["state"].unique())
    (4, ['complete'])
    >>> bool(study.tested.set_index("name").loc["direct", "labels_trained"] > 0)
    True
    >>> len(study.pairs) == len(study.tested) * (len(study.tested) - 1) // 2
    True

    Raises:
        StudyNameError: for what could not be a study's name.
        ReportError: where there is no such study, or a file of it cannot be read.
    """
    from tuition.app.dashboard.data.study_frames import read_study, study_names
    from tuition.app.studies.study_leaderboard import ReportError

    folder = ResultsFolder(Path(results)).named_study(study)
    if not (folder.database.exists() or folder.report.exists()):
        known = ", ".join(study_names(Path(results))) or "none"
        raise ReportError(f"no study {study!r} in {results} (studies: {known})")
    frames = read_study(Path(results), study)
    if frames.unreadable:
        raise ReportError(f"{frames.unreadable[0].path} of {results} {frames.unreadable[0].reason}")
    return frames


def read_table(table: str | Path) -> pd.DataFrame:
    """A recorded table as a frame, one row for each allocation and seed: a file, or a shipped table by its name.

    Scores are fractions, costs GPU-seconds (processor time on a CPU).
        allocation, name: as text, and the baseline that it is, if one. teacher: its name, or None.
        seed, role: of training; "draw" for planners to search on, "judge" to judge them by.
        validation, test: mean scores.
        labels_trained: distinct labels of the route.
        gpu_seconds_full: of training from scratch; validation_gpu_seconds, test_gpu_seconds: of sampling the scores.
        weights_sha256: of the final checkpoint.

    >>> import tuition
    >>> table = tuition.read_table("micro@1")
    >>> best = table.groupby("allocation")["validation"].mean().idxmax()
    >>> tuition.Allocation.parse(best).label_blocks > 0
    True

    Raises:
        RecordedError: for a table that is not there, damaged or contradicts itself.
    """
    from tuition.app.recordings.table_summary import table_frame
    from tuition.benchmarks.tables.recorded_table import read_table
    from tuition.benchmarks.tables.shipped import find_table

    return table_frame(read_table(find_table(str(table))))


def read_leaderboard(leaderboard: str | Path, *, mix_presets: bool = False) -> pd.DataFrame:
    """A leaderboard folder, or one that ships by its name, as a frame: one row an entry, measured ones first.

    The columns of `tuition leaderboard export --format csv`; scores and differences are fractions.
        kind ("measured", "reported"), id, name, suite, preset, preset_fields, model, allocation, shuffled, scenario.
        rank_first, rank_last, tied: the interval of ranks among the measured entries of one suite and preset.
        mean, se_problems, se_samples, se_seeds: the score. reported_error, reported_error_meaning: a source's own.
        difference, difference_low, difference_high, difference_to: paired, to the entry named last.
        num_problems, num_samples, training_seeds (a tuple), labels_trained, labels_validation, labels_owned: counts.
        gpu_seconds: of one run from scratch, on the accelerator named.
        command, code_version, citation, url, table, notes: where it comes from, and what must be read with it.

    >>> import tuition
    >>> board = tuition.read_leaderboard("micro@1")
    >>> "direct" in set(board["name"]), set(board["kind"])
    (True, {'measured'})

    Raises:
        EntryError: for what is neither a leaderboard folder nor a shipped one, or is damaged.
    """
    import pandas as pd

    from tuition.benchmarks.boards.board_folder import load_board
    from tuition.benchmarks.boards.exports.plain import COLUMNS, rows
    from tuition.benchmarks.boards.standings import standings
    from tuition.benchmarks.measured_boards import find_board

    board = load_board(find_board(str(leaderboard)))
    return pd.DataFrame(rows(standings(board, mix_presets)), columns=list(COLUMNS))


def _configuration(
    scenario: str | Path,
    results: str | Path,
    mix_versions: bool = False,
    workers: int = 1,
    max_store_bytes: int | None = None,
    quiet: bool = True,
) -> RunConfiguration:
    from tuition.app.processes.run_configuration import RunConfiguration

    return RunConfiguration(str(scenario), Path(results), mix_versions, workers, max_store_bytes, quiet)
