"""Small versions of the simulations behind docs/statistics.md."""

import math
from itertools import combinations

import numpy as np
import pytest

from tests.experiments.simulations.checkpoint_coverage import coverage
from tests.experiments.simulations.coverage import REGIMES, SUITES, Regime, normal_coverage, simulate
from tests.experiments.simulations.error_bars import (
    PRINTED,
    implied_problem_sd,
    largest_problem_error,
    same_difficulty_error,
)
from tests.experiments.simulations.false_tables import KINDS, STEP, draw, holm, p_values
from tests.experiments.simulations.false_tables import simulate as table_simulation
from tests.experiments.simulations.few_problems import REGIMES as SPARSE_REGIMES
from tests.experiments.simulations.few_problems import Regime as SparseRegime
from tests.experiments.simulations.few_problems import simulate as few_simulation
from tests.experiments.simulations.score_coverage import known_scores
from tests.experiments.simulations.score_coverage import simulate as score_simulation
from tuition.benchmarks.statistics import multiplicity
from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.benchmarks.statistics.seed_variance import MODERATED, OWN, SeedVariances

pytestmark = pytest.mark.slow  # together


@pytest.mark.parametrize("num_seeds", [3, 5, 10])
@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: regime.name)
def test_intervals_of_three_seeds_and_more_cover(regime: Regime, num_seeds: int) -> None:
    result = simulate(regime, num_seeds, 30, SUITES[30], repetitions=800, seed=1)
    # 94.6 to 96.8 %, and two and a half standard errors of 800 repetitions.
    assert 0.926 <= result.share <= 0.983
    assert result.width_ratio < {3: 2.1, 5: 1.5, 10: 1.3}[num_seeds]


def test_one_seed_does_not_cover_where_training_varies() -> None:
    by_name = {regime.name: regime for regime in REGIMES}
    assert simulate(by_name["large seed variance"], 1, 256, 8, repetitions=300, seed=1).share < 0.5
    assert simulate(by_name["no seed variance"], 1, 256, 8, repetitions=300, seed=1).share > 0.9


def test_a_checkpoint_against_three_runs_is_covered() -> None:
    (regime,) = [regime for regime in REGIMES if regime.name == "large seed variance"]
    assert coverage(regime, 30, 16, np.random.default_rng(0)) > 0.91


def test_the_normal_model_covers_from_three_seeds_on() -> None:
    (least, *_), (greatest, *_) = normal_coverage(3, 256, 0.0)
    assert 0.948 <= least < greatest < 0.967


@pytest.mark.parametrize("level", [0.99, 0.999])
def test_small_p_values_are_no_more_frequent_than_they_say(level: float) -> None:
    (least, *_), _ = normal_coverage(3, 256, 0.0, level)
    assert 1 - least <= 1.05 * (1 - level)


def test_the_two_errors_meet_where_all_problems_are_equally_hard() -> None:
    # 0/1 outcomes, all of rate m: the variance over problems of means of K is m (1 - m) / K.
    assert same_difficulty_error(0.198, 30, 16) == pytest.approx(math.sqrt(0.198 * 0.802 / 480))
    assert implied_problem_sd(0.198, 0.999 * same_difficulty_error(0.198, 30, 16), 30, 16) < 0.02
    assert math.isnan(implied_problem_sd(0.198, 0.02, 30, 16))
    assert largest_problem_error(0.5, 2) == 0.5


def test_no_one_reading_of_the_printed_errors_fits_both_suites() -> None:
    aime = [cell for row in PRINTED.values() for cell in row[1:]]
    below = sum(error < 100 * same_difficulty_error(mean / 100, 30, 16) for mean, error in aime)
    math500 = [row[0] for row in PRINTED.values()]
    above = sum(error > 100 * same_difficulty_error(mean / 100, 500, 16) for mean, error in math500)
    assert (below, len(aime), above, len(math500)) == (36, 40, 20, 20)


@pytest.mark.parametrize("num_seeds", [1, 3])
@pytest.mark.parametrize("score", [0.005, 0.05, 0.5])
def test_intervals_of_scores_cover_near_0_as_well(score: float, num_seeds: int) -> None:
    held = score_simulation(score, 0.5, num_seeds, 30, repetitions=400)
    # 93 %, and two and a half standard errors of 400 repetitions.
    assert held.ours >= 0.9
    if (score, num_seeds) == (0.05, 1):
        assert held.plain < 0.9 < held.ours


def test_known_scores_of_three_seeds_cover_unless_they_are_skewed() -> None:
    assert known_scores(0.5, 3, 20_000) == pytest.approx(0.95, abs=0.01)
    assert known_scores(0.05, 3, 20_000) < 0.87


@pytest.mark.parametrize("regime", SPARSE_REGIMES[3:-1], ids=lambda regime: regime.name)
def test_intervals_cover_where_gains_sit_in_few_problems(regime: SparseRegime) -> None:
    # 93.5 % and more, and two and a half standard errors of 300 repetitions.
    assert few_simulation(regime, 3, 30, 16, repetitions=300).share >= 0.9


def test_t_intervals_alone_do_not() -> None:
    (regime,) = [regime for regime in SPARSE_REGIMES if regime.name == "floor 0.2 %, 3 % newly solved"]
    assert few_simulation(regime, 3, 30, 16, repetitions=200).plain < 0.75


def test_the_simulated_tables_are_compared_as_real_ones() -> None:
    values_RNSP = draw("lognormal", STEP * np.arange(4.0), 2, 3, 20, np.random.default_rng(0))
    names = [str(row) for row in range(4)]
    for values_NSP, own, moderated in zip(
        values_RNSP, p_values(values_RNSP, OWN), p_values(values_RNSP, MODERATED), strict=True
    ):
        table = SeedVariances.of(
            {name: values_SP.mean(axis=1) for name, values_SP in zip(names, values_NSP, strict=True)}
        )
        for place, (a, b) in enumerate(combinations(range(4), 2)):
            runs = [[run[:, None] for run in values_NSP[row]] for row in (a, b)]
            assert paired_difference(*runs).p_value == pytest.approx(own[place])
            between = table.between(names[a], names[b])
            assert paired_difference(*runs, seed_variance=between).p_value == pytest.approx(moderated[place])
        assert holm(own[None])[0] == pytest.approx(multiplicity.holm(own.tolist()))


@pytest.mark.parametrize("kind", KINDS)
def test_moderated_variances_find_more_and_claim_no_more(kind: str) -> None:
    equal = table_simulation(kind, 6, 3, 0.0, repetitions=150, problems=60)
    # 5 %, and two and a half standard errors of 150 tables.
    assert equal[MODERATED].false <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 150)
    if kind in ("equal", "half quiet"):
        ladder = table_simulation(kind, 6, 5, STEP, repetitions=30, problems=60)
        assert ladder[MODERATED].found > ladder[OWN].found
