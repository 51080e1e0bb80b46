"""Which of a stage's tries is better than the scenario's own settings, as far as the tries can tell.

The try with the highest mean is compared with the current settings by their paired difference over problems and
training seeds, in which the seed variances of all the stage's tries moderate each other. It was chosen as the highest
of several, so its p-value is Holm's over all comparisons with the current settings. With one seed nothing is claimed.
"""

from collections.abc import Sequence

import numpy as np

from tuition.app.studies.study_report import TriedSettings, TunedStage
from tuition.benchmarks.statistics.intervals import Difference, FloatArray, paired_difference, standard_error
from tuition.benchmarks.statistics.multiplicity import holm
from tuition.benchmarks.statistics.seed_variance import SeedVariances

LEVEL = 0.95


def tried(
    steps: int,
    learning_rate: float,
    correct: Sequence[tuple[int, ...] | None],
    samples: int,
    gpu_seconds_full: Sequence[float],
) -> TriedSettings:
    """What came of one try, from its correct samples by seed; None for a seed that failed."""
    means = [] if None in correct else [float(np.mean(one)) / samples for one in correct if one is not None]
    return TriedSettings(
        steps=steps,
        learning_rate=learning_rate,
        correct=tuple(correct),
        mean=float(np.mean(means)) if means else None,
        se_seeds=standard_error(np.array(means)) if len(means) > 1 else None,
        gpu_seconds_full=round(float(np.mean(gpu_seconds_full)), 1) if gpu_seconds_full else None,
    )


def judged(stage: str, route: str, tries: Sequence[TriedSettings], current: int, samples: int) -> TunedStage:
    """The stage's tries with their verdict."""
    complete = [index for index, one in enumerate(tries) if one.mean is not None]
    made = TunedStage(
        stage=stage,
        route=route,
        tries=tuple(tries),
        current=current,
        best=None,
        verdict="undecided",
        difference=None,
        p_value_holm=None,
    )
    if current not in complete or len(complete) < 2:
        return made
    # Of equal means the current settings, then the cheaper ones, are the best.
    best = max(complete, key=lambda index: (tries[index].mean or 0.0, index == current, -tries[index].steps))
    made = made.model_copy(update={"best": best, "edges": _edges(tries, best)})
    if len(tries[current].correct) < 2:
        return made
    if best == current:
        return made.model_copy(update={"verdict": "keep"})
    differences = _differences({index: _outcomes(tries[index], samples) for index in complete}, current)
    adjusted = dict(zip(differences, holm([one.p_value for one in differences.values()]), strict=True))
    return made.model_copy(
        update={
            "difference": differences[best],
            "p_value_holm": adjusted[best],
            "verdict": "change" if adjusted[best] < 1 - LEVEL else "keep",
        }
    )


def _outcomes(one: TriedSettings, samples: int) -> list[FloatArray]:
    """By seed: (problems, 1), the share of correct samples."""
    return [np.array(counts, float)[:, None] / samples for counts in one.correct if counts is not None]


def _differences(outcomes: dict[int, list[FloatArray]], current: int) -> dict[int, Difference]:
    """Each try less the current settings."""
    table = SeedVariances.of({str(index): [float(run.mean()) for run in runs] for index, runs in outcomes.items()})
    return {
        index: paired_difference(runs, outcomes[current], LEVEL, table.between(str(index), str(current)))
        for index, runs in outcomes.items()
        if index != current
    }


def _edges(tries: Sequence[TriedSettings], best: int) -> tuple[str, ...]:
    """At which ends of the grid a try lies. Of two numbers of steps each is an end, so three are needed to say it."""
    edges = []
    for name, fewest in (("learning_rate", 2), ("steps", 3)):
        values = sorted({getattr(one, name) for one in tries})
        value = getattr(tries[best], name)
        if len(values) >= fewest and value in (values[0], values[-1]):
            edges.append(f"{'lowest' if value == values[0] else 'highest'} {name}")
    return tuple(edges)


def changes(stages: Sequence[TunedStage]) -> dict[str, TriedSettings]:
    """The better settings of each stage that has some."""
    return {one.stage: one.tries[one.best] for one in stages if one.verdict == "change" and one.best is not None}


def verdict_text(stage: TunedStage, num_seeds: int) -> str:
    """The verdict in words, with the difference that it stands on."""
    return " ".join([_conclusion(stage, num_seeds), *([_edge_text(stage)] if stage.edges else [])])


def _conclusion(stage: TunedStage, num_seeds: int) -> str:
    if stage.best is None:
        return "undecided: the current settings or all others failed."
    best = stage.tries[stage.best]
    named = f"steps={best.steps} learning_rate={best.learning_rate:g}"
    if num_seeds < 2:
        highest = "the current settings have" if stage.best == stage.current else f"{named} has"
        return f"undecided: {highest} the highest score of one training run each, which excludes training variance."
    if stage.difference is None or stage.p_value_holm is None:
        return "keep: the current settings have the highest mean."
    mean, low, high = (100 * bound for bound in (stage.difference.mean, stage.difference.low, stage.difference.high))
    evidence = f"{mean:+.1f} points [{low:+.1f}, {high:+.1f}], p = {stage.p_value_holm:.2g} after Holm's correction"
    if stage.verdict == "change":
        return f"change to {named}: {evidence}."
    return f"keep: the highest mean, {named}, cannot be distinguished from the current settings ({evidence})."


def _edge_text(stage: TunedStage) -> str:
    """Which option to widen."""
    options = [f"--{'rates' if edge.endswith('learning_rate') else 'steps'}" for edge in stage.edges]
    where, how = ", ".join(stage.edges), " and ".join(options)
    return f"The highest mean lies at the edge of the grid ({where}): widen it with {how}."
