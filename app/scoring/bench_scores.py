"""`tuition bench`: score any checkpoint on suites. One score per suite, kept in the results folder's scores.

The same command takes up what a stopped one has left, and draws nothing that is there.
"""

from contextlib import ExitStack, closing, nullcontext
from functools import cache
from typing import Any

from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import CountView, Reporter
from tuition.app.scoring.bench_result import BenchResult, SuiteResult
from tuition.app.scoring.bench_tasks import BenchRequest, open_engine, plan_bench
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import policy_of
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.engines.requests import Engine
from tuition.benchmarks.scoring.scorer import OpenEngine, Progress, Scorer
from tuition.benchmarks.suites.loading import LoadedSuite


def run_bench(request: BenchRequest) -> BenchResult:
    """Score all suites. Everything that can be wrong is looked at before the first sample."""
    files, planned = plan_bench(request)
    results = []
    with (
        Reporter(request.quiet) as reporter,
        Interrupts(reporter.say) as interrupts,
        ExitStack() as stack,
    ):

        @cache
        def scorer_by(version: str) -> Scorer:
            grader = stack.enter_context(Grader(policy=policy_of(version).name))
            return Scorer(ResultsFolder(request.results), grader, wait_seconds=0, check=interrupts.check)

        scorers = [scorer_by(plan.task.grader) for plan in planned]
        scores = [
            scorer.find(plan.task.key) or scorer.find(plan.former_key())
            for scorer, plan in zip(scorers, planned, strict=True)
        ]

        @cache
        def engine_on(device: str) -> Engine[Any]:
            return stack.enter_context(closing(open_engine(request, files, device)))

        for plan, score in zip(planned, scores, strict=True):
            if score is None:
                engine_on(plan.device).check(plan.task.prompts, plan.task.preset)
        for scorer, plan, score in zip(scorers, planned, scores, strict=True):
            if score is None:
                engine = engine_on(plan.device)
                score = scorer.score(plan.task, _left_open(engine), _progress(reporter, plan.task.suite))
            results.append(SuiteResult.of(score, plan.task.suite, scorer.store.path(score.record.key), scorer.grader))
    return BenchResult(planned[0].task.model, files.weights_sha256 if files else None, tuple(results))


def _left_open(engine: Engine[Any]) -> OpenEngine:
    """An engine that is open already and stays so for the next suite."""
    return lambda: nullcontext(engine)


def _progress(reporter: Reporter, suite: LoadedSuite) -> Progress:
    """Shows the samples of one suite."""
    view: CountView | None = None

    def hear(done: int, total: int, before: int) -> None:
        nonlocal view
        if view is None:
            reporter.say(f"{suite.name}: {total} samples" + (f", {before} done so far" if before else ""))
            view = reporter.count(suite.name, "samples", total, before)
        view.update(done)
        if done == total:
            reporter.say(f"{suite.name}: {done}/{total} samples, grading")

    return hear
