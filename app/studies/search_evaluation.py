"""The evaluation of a search's trial: a route trained, its end scored on validation, and what it passes if asked."""

from collections.abc import Sequence
from pathlib import Path

from tuition.benchmarks.artefacts import correct_PK, finite
from tuition.benchmarks.statistics.intervals import avg_at_k
from tuition.planner.allocation import Checkpoint
from tuition.planner.cost import CheckpointState
from tuition.planner.route import Route, compile_checkpoint
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay
from tuition.planner.stages import STUDENT
from tuition.runners.route_runner import RouteRun, RouteRunner


def evaluate_on_validation(
    runner: RouteRunner, route: Route, on_the_way: Sequence[Checkpoint], study: str, log_path: Path
) -> Outcome:
    """Run a route, score it and what is asked for on its way on the validation suite, and say what that cost."""
    run = runner.run(route, study)
    passed = {}
    for checkpoint in on_the_way:
        if (found := _score_on_the_way(runner, run, checkpoint, study)) is not None:
            passed[checkpoint] = found
    scored = runner.score(route.final, "validation", study)
    score = avg_at_k(correct_PK(scored.table)[1])
    scoring = scored.gpu_seconds + sum(one.gpu_seconds for one in passed.values())
    return Outcome(
        score.mean,
        {
            "se_problems": finite(score.se_problems),
            "se_samples": finite(score.se_samples),
            "truncated_share": round(scored.truncated_share, 4),
            "labels_trained": run.labels.labels_trained,
            "gpu_seconds": round(run.gpu_seconds_marginal + scoring, 3),
            "gpu_seconds_full": round(run.gpu_seconds_full, 3),
            "gpu_seconds_marginal": round(run.gpu_seconds_marginal, 3),
            "blocks_requested": len(run.blocks),
            "blocks_executed": sum(use.executed for use in run.blocks),
            "weights_sha256": run.weights_sha256,
            "log": str(log_path),
        },
        passed,
    )


def _score_on_the_way(runner: RouteRunner, run: RouteRun, checkpoint: Checkpoint, study: str) -> ScoreOnTheWay | None:
    """The score of a checkpoint that a run has passed; None where it is evicted: a score is not worth a training."""
    route = compile_checkpoint(checkpoint, runner.scenario.recipe, run.route.seed)
    if runner.store.state(route.final) is CheckpointState.absent:
        return None
    runner.book(route, study)  # it is told as a trial, whose labels must add up as any other's
    scored = runner.score(route.final, "validation", study)
    score = avg_at_k(correct_PK(scored.table)[1])
    passed = {block.key for block in route.blocks}
    return ScoreOnTheWay(
        score.mean,
        finite(score.se_problems),
        finite(score.se_samples),
        round(scored.gpu_seconds, 3),
        runner.trainer.weights_sha256(route.final),
        {
            "truncated_share": round(scored.truncated_share, 4),
            "labels_trained": runner.label_counts(route, study).labels_trained,
            "gpu_seconds_full": round(sum(use.gpu_seconds for use in run.blocks if use.key in passed), 3),
        },
    )


def score_untrained(runner: RouteRunner, model: str, study: str) -> ScoreOnTheWay:
    """The validation score of a base model, "student" or a teacher's name."""
    recipe = runner.scenario.recipe
    content = {STUDENT: recipe.student, **recipe.teachers}[model]
    scored = runner.score(content, "validation", study)
    score = avg_at_k(correct_PK(scored.table)[1])
    errors = finite(score.se_problems), finite(score.se_samples)
    return ScoreOnTheWay(score.mean, *errors, round(scored.gpu_seconds, 3), content)
