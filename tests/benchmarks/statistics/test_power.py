"""Power: against simulation by the real test, against textbook power, and solved for each size."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuition.benchmarks.statistics.intervals import Array, crossed_interval
from tuition.benchmarks.statistics.power import (
    Components,
    Experiment,
    PowerError,
    Size,
    detectable,
    estimate_components,
    power,
    smallest,
    standard_error,
    typical_components,
)
from tuition.benchmarks.statistics.seed_variance import moderate, of_difference
from tuition.benchmarks.statistics.variance import MeanSquares

PLAIN = Components(seed_sd=0.01, problem_sd=0.1, interaction_sd=0.1, sample_sd=0.5)


def draw(components: Components, size: Experiment, rng: np.random.Generator) -> Array:
    shape = (size.seeds, size.problems)
    noise = np.hypot(components.interaction_sd, components.sample_sd / size.samples**0.5)
    return np.asarray(
        rng.normal(0, components.seed_sd, (size.seeds, 1))
        + rng.normal(0, components.problem_sd, (1, size.problems))
        + rng.normal(0, noise, shape)
    )


@pytest.mark.parametrize("size", [Experiment(30, 16, 1), Experiment(60, 4, 3), Experiment(30, 8, 5)])
def test_power_is_the_share_of_intervals_that_leave_out_zero(size: Experiment) -> None:
    rng = np.random.default_rng(0)
    predicted = power(0.05, size, PLAIN)
    intervals = [crossed_interval(0.05 + draw(PLAIN, size, rng)) for _ in range(1500)]
    seen = np.mean([interval.low > 0 or interval.high < 0 for interval in intervals])
    assert predicted.power == pytest.approx(seen, abs=0.04)
    width = np.mean([interval.high - interval.low for interval in intervals]) / 2
    assert predicted.half_width == pytest.approx(width, rel=0.04)
    assert predicted.standard_error == pytest.approx(np.std([interval.mean for interval in intervals]), rel=0.06)


def test_one_seed_without_training_variance_is_the_paired_t_test() -> None:
    # 34 pairs see an effect of half a standard deviation with power 0.81 (Cohen 1988): noncentral t, 33 df, 2.9155.
    found = power(0.05, Experiment(34, 1, 1), Components(0, 0.1, 0, 0))
    assert found.power == pytest.approx(0.8078, abs=0.003)
    assert found.false_alarm == pytest.approx(0.05, abs=0.002)


def test_one_seed_raises_false_alarms_and_three_do_not() -> None:
    alarms = [power(0, Experiment(500, 16, seeds), PLAIN).false_alarm for seeds in (1, 3, 10)]
    assert alarms[0] > 0.15 and 0.03 <= alarms[1] <= 0.07 and 0.03 <= alarms[2] <= 0.07


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(
    st.tuples(*[st.floats(0.005, 0.2)] * 4),
    st.tuples(st.integers(5, 300), st.integers(1, 16), st.integers(3, 9)),
    st.floats(0.001, 0.3),
)
def test_power_grows_with_the_difference_and_falls_with_the_level(
    deviations: tuple[float, ...], sizes: tuple[int, int, int], difference: float
) -> None:
    components, size = Components(*deviations), Experiment(*sizes)
    found = power(difference, size, components)
    assert found.power == pytest.approx(power(-difference, size, components).power)
    assert found.false_alarm - 1e-9 <= found.power <= power(1.5 * difference, size, components).power + 1e-9
    assert power(difference, size, components, level=0.99).power <= found.power
    more = Experiment(size.problems + 1, size.samples + 1, size.seeds + 1)
    assert standard_error(more, components) < standard_error(size, components)


@pytest.mark.parametrize("size", ["problems", "samples", "seeds"])
def test_the_least_size_is_the_least(size: Size) -> None:
    components = Components(seed_sd=0.002, problem_sd=0.05, interaction_sd=0.02, sample_sd=0.6)
    found = smallest(size, 0.02, Experiment(500, 8, 3), components)
    sizes = vars(found.experiment)
    assert found.power >= 0.8
    assert power(0.02, Experiment(**{**sizes, size: sizes[size] - 1}), components).power < 0.8


def test_the_detectable_difference_has_the_power_asked_for() -> None:
    found = detectable(Experiment(30, 16, 3), PLAIN, wanted=0.9)
    assert found.power == pytest.approx(0.9, abs=1e-3)
    assert 0 < found.difference < 0.2


def test_what_cannot_be_reached_says_what_limits_it() -> None:
    with pytest.raises(PowerError, match="100,000 problems see 1 points with power"):
        smallest("problems", 0.01, Experiment(30, 16, 3), Components(0.03, 0.1, 0.1, 0.5))
    with pytest.raises(PowerError, match="see no difference"):
        detectable(Experiment(2, 1, 2), Components(1, 1, 1, 1))


def test_components_are_found_again() -> None:
    # A large experiment of 0/1 outcomes with known parts; only the sum of the four matters to an experiment's size.
    rng = np.random.default_rng(0)
    seeds, problems, samples = 40, 400, 8
    rate = 0.5 + rng.normal(0, 0.04, (2, seeds, 1)) + rng.normal(0, 0.07, (2, 1, problems))
    rate = np.clip(rate + rng.normal(0, 0.05, (2, seeds, problems)), 0, 1)
    a, b = (list(rng.binomial(1, rate[x, :, :, None], (seeds, problems, samples))) for x in (0, 1))
    found = estimate_components(a, b)
    assert found.seed_sd == pytest.approx(0.04 * 2**0.5, rel=0.25)
    assert found.problem_sd == pytest.approx(0.07 * 2**0.5, rel=0.1)
    assert found.interaction_sd == pytest.approx(0.05 * 2**0.5, rel=0.15)
    assert found.sample_sd == pytest.approx(0.5 * 2**0.5, rel=0.05)
    assert vars(estimate_components(b, a)) == pytest.approx(vars(found))


def test_wrong_input_is_named() -> None:
    one, two = np.zeros((3, 1)), np.zeros((3, 2))
    with pytest.raises(PowerError, match="1 training seed"):
        estimate_components([two], [two])
    with pytest.raises(PowerError, match="1 sample per problem"):
        estimate_components([one] * 2, [two] * 2)
    with pytest.raises(PowerError, match="seed_sd is 3"):
        Components(3, 0, 0, 0)
    with pytest.raises(PowerError, match="seeds is 0"):
        Experiment(30, 16, 0)
    with pytest.raises(PowerError, match="the difference is 2;"):
        power(2, Experiment(30, 16, 3), PLAIN)
    with pytest.raises(PowerError, match=r"power is 80"):
        detectable(Experiment(30, 16, 3), PLAIN, wanted=80)


def test_a_pair_of_a_table_is_found_as_often_as_in_drawn_tables() -> None:
    rng = np.random.default_rng(0)
    rows, seeds, problems, tables, gain = 6, 4, 500, 2000, 0.1
    components = Components(seed_sd=0.04, problem_sd=0.0, interaction_sd=0.0, sample_sd=0.2)
    cell = components.sample_sd / math.sqrt(2 * problems)
    means_TNS = rng.normal(0, math.hypot(components.seed_sd / math.sqrt(2), cell), (tables, rows, seeds))
    freedom = float(seeds - 1)
    variances = moderate(means_TNS.var(axis=2, ddof=1), np.full(rows, freedom))
    known = of_difference((variances[:, 0], freedom), (variances[:, 1], freedom), rows * freedom)
    residual = np.full(tables, components.sample_sd**2)
    squares = MeanSquares(residual, residual, residual, seeds, problems).with_seed_variance(known)
    difference = gain + means_TNS[:, 0].mean(axis=1) - means_TNS[:, 1].mean(axis=1)
    found = (squares.p_value(difference) < 0.05 / math.comb(rows, 2)).mean()
    assert power(gain, Experiment(problems, 1, seeds, rows), components).power == pytest.approx(found, abs=0.03)
    assert 0.2 < found < 0.9
    with pytest.raises(PowerError, match="a table of 6 rows with 2 seeds ranks none"):
        Experiment(problems, 1, 2, rows)


def test_typical_components_are_the_root_mean_square_over_pairs() -> None:
    rng = np.random.default_rng(1)
    rows = [[rng.binomial(1, rate, (40, 4)) for _ in range(3)] for rate in (0.3, 0.5, 0.7)]
    pairs = [estimate_components(rows[a], rows[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    found = typical_components(rows)
    assert found.sample_sd == pytest.approx(math.sqrt(np.mean([pair.sample_sd**2 for pair in pairs])))
    with pytest.raises(PowerError, match="1 rows have no pair"):
        typical_components(rows[:1])
