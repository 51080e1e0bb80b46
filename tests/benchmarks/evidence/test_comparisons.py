"""Comparisons of entries: the project's own statistics, Holm over all of them, judge seeds only where said."""

import numpy as np
import pytest

from tuition.benchmarks.evidence.comparisons import Comparison, Entry, compare
from tuition.benchmarks.statistics.intervals import paired_difference, seed_interval
from tuition.benchmarks.statistics.multiplicity import holm

SEEDS = (1, 2, 3, 4)
JUDGES = (1, 3)


def entry(name: str, mean: float, seeds: tuple[int, ...] = SEEDS, allocation: str | None = None) -> Entry:
    rng = np.random.default_rng(sum(map(ord, name)))
    outcomes = {seed: (rng.random((40, 4)) < mean).astype(np.int8) for seed in seeds}
    return Entry(name, allocation or name, outcomes, 8, {seed: 10.0 * mean + seed for seed in seeds})


ENTRIES = [entry("good", 0.8), entry("poor", 0.3), entry("other", 0.5, (2, 3, 4)), entry("alias", 0.3, SEEDS, "poor")]
COMPARISONS = [
    Comparison("good", "poor", "good against poor"),
    Comparison("good", "other", "on the seeds that both have"),
    Comparison("good", "other", "judged", judged=True),
    Comparison("poor", "alias", "the same twice"),
    Comparison("good", "absent", "with what is not there"),
]


def test_comparisons_are_the_paired_differences_on_the_shared_seeds() -> None:
    answers = compare(ENTRIES, COMPARISONS, JUDGES)
    first, second, judged = answers.compared
    by_name = {e.name: e for e in ENTRIES}

    def outcomes(name: str, seeds: tuple[int, ...]) -> list[np.ndarray]:
        return [by_name[name].outcomes[seed] for seed in seeds]

    assert first.seeds == SEEDS and second.seeds == (2, 3, 4) and judged.seeds == (3,)
    assert first.difference == paired_difference(outcomes("good", SEEDS), outcomes("poor", SEEDS))
    assert first.on_these_problems == seed_interval(outcomes("good", SEEDS), outcomes("poor", SEEDS))
    assert second.difference == paired_difference(outcomes("good", second.seeds), outcomes("other", second.seeds))
    assert first.gpu_seconds == pytest.approx(5) and judged.gpu_seconds == pytest.approx(3)
    assert judged.on_these_problems is None and judged.difference.excludes_training_variance and answers.one_run


def test_holm_counts_every_comparison_that_was_made_and_the_others_are_told() -> None:
    answers = compare(ENTRIES, COMPARISONS, JUDGES)
    p_values = [compared.difference.p_value for compared in answers.compared]
    assert [compared.p_holm for compared in answers.compared] == holm(p_values)
    reasons = {comparison.question: reason for comparison, reason in answers.left_out}
    assert reasons["the same twice"] == "both are the same allocation, poor"
    assert reasons["with what is not there"] == "absent is not recorded"
    alone = compare(ENTRIES, [Comparison("good", "other", "judged", judged=True)], judge_seeds=(1,))
    assert alone.compared == () and alone.left_out[0][1] == "they share no usable seed"
