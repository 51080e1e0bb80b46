"""Comparisons of entries: the project's own statistics, Holm over all of them, judge seeds only where said."""

from pathlib import Path

import numpy as np
import pytest

from tuition.benchmarks.boards.ranked_rows import ONE_RUN
from tuition.benchmarks.statistics.intervals import paired_difference, seed_interval
from tuition.benchmarks.statistics.multiplicity import holm
from tuition.benchmarks.tables.evidence import Comparison, Entry, compare, markdown, plot, to_json

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
    evidence = compare("made", "t@1", ENTRIES, COMPARISONS, JUDGES)
    first, second, judged = evidence.compared
    by_name = {e.name: e for e in ENTRIES}

    def outcomes(name: str, seeds: tuple[int, ...]) -> list[np.ndarray]:
        return [by_name[name].outcomes[seed] for seed in seeds]

    assert first.seeds == SEEDS and second.seeds == (2, 3, 4) and judged.seeds == (3,)
    assert first.difference == paired_difference(outcomes("good", SEEDS), outcomes("poor", SEEDS))
    assert first.on_these_problems == seed_interval(outcomes("good", SEEDS), outcomes("poor", SEEDS))
    assert second.difference == paired_difference(outcomes("good", second.seeds), outcomes("other", second.seeds))
    assert first.gpu_seconds == pytest.approx(5) and judged.gpu_seconds == pytest.approx(3)
    assert judged.on_these_problems is None and judged.difference.excludes_training_variance


def test_holm_counts_every_comparison_that_was_made_and_the_others_are_told() -> None:
    evidence = compare("made", "t@1", ENTRIES, COMPARISONS, JUDGES)
    p_values = [compared.difference.p_value for compared in evidence.compared]
    assert [compared.p_holm for compared in evidence.compared] == holm(p_values)
    reasons = {comparison.question: reason for comparison, reason in evidence.left_out}
    assert reasons["the same twice"] == "both are the same allocation, poor"
    assert reasons["with what is not there"] == "absent is not recorded"
    alone = compare("made", "t@1", ENTRIES, [Comparison("good", "other", "judged", judged=True)], judge_seeds=(1,))
    assert alone.compared == () and alone.left_out[0][1] == "they share no usable seed"


def test_the_table_names_every_error_and_every_single_run() -> None:
    evidence = compare("made", "t@1", ENTRIES, COMPARISONS, JUDGES, ["a note"])
    text = markdown(evidence)
    assert "s.e. over problems / samples / seeds" in text and "from two seeds on, other training seeds" in text
    assert f"good - other: {ONE_RUN}" in text and "corrected over the 3 comparisons" in text
    assert "- a note" in text and "left out: the same twice" in text
    cells = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert cells == [8] * (2 + 4) + [8] * (2 + 3)
    document = to_json(evidence)
    assert document["heading"] == ONE_RUN and document["comparisons"][2]["on_these_problems"] is None
    whole = compare("made", "t@1", ENTRIES, COMPARISONS[:2], JUDGES)
    assert to_json(whole)["heading"] is None and ONE_RUN not in markdown(whole)


def test_the_figure_is_written_whole_also_without_a_comparison(tmp_path: Path) -> None:
    for comparisons in (COMPARISONS, []):
        plot(compare("made", "t@1", ENTRIES, comparisons, JUDGES), tmp_path / "figure.png")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
