"""The estimate law: constants are found again, and what is scaled keeps the ratio of what the law says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.planner.cost_law import SPEEDS, Sample, Speed, Workload, factor_within, fitted, nearest, scaled

SPEED = Speed(2e-12, 3e-4, 5e-4, 0.5, 1.5, 1e6, "made up", "float32", "transformers")
POSITIVE = st.floats(1.0, 1e6)
WORKLOADS = st.builds(
    Workload, flops=st.floats(1e9, 1e15), training_passes=POSITIVE, decoding_passes=POSITIVE, parameters=POSITIVE
)
SAMPLES = [
    Sample(stage, stage, work, SPEED.seconds(work))
    for stage, work in {
        "a": Workload(1e12, 10, 20, 1e5),
        "b": Workload(1e10, 1000, 20, 1e5),
        "c": Workload(1e11, 10, 5000, 1e6),
        "d": Workload(5e12, 400, 300, 1e6),
        "e": Workload(1e9, 1, 1, 1e4),
    }.items()
]


def test_constants_are_found_from_what_they_make() -> None:
    assert fitted(SAMPLES) == pytest.approx((2e-12, 3e-4, 5e-4, 0.5), rel=1e-6)


def test_no_constant_is_negative() -> None:
    odd = [Sample("x", "x", sample.workload, 1.0 / (number + 1)) for number, sample in enumerate(SAMPLES)]
    assert min(fitted(odd)) >= 0


@given(measured=WORKLOADS, wanted=WORKLOADS, seconds=st.floats(0.01, 1e6), slower=st.floats(0.1, 10))
def test_a_slower_machine_makes_its_estimates_as_much_slower(
    measured: Workload, wanted: Workload, seconds: float, slower: float
) -> None:
    once, then = (scaled(took, measured, wanted, SPEED) for took in (seconds, slower * seconds))
    assert then == pytest.approx(slower * once)
    assert scaled(seconds, measured, measured, SPEED) == pytest.approx(seconds)


def test_the_nearest_sample_is_of_the_same_stage_if_there_is_one() -> None:
    wanted = SAMPLES[3].workload
    assert nearest(wanted, "a", SAMPLES, SPEED).stage == "a"
    assert nearest(wanted, "another", SAMPLES, SPEED).stage == "d"
    same_model = replace(SAMPLES[0], workload=replace(wanted, flops=wanted.flops * 20))
    other_model = replace(SAMPLES[0], workload=replace(wanted, parameters=wanted.parameters * 400))
    assert nearest(wanted, "a", [other_model, same_model], SPEED) is same_model


def test_the_error_counts_both_ways() -> None:
    assert factor_within([0.5]) == factor_within([2.0]) == pytest.approx(2.0)
    assert factor_within([1.0] * 98 + [10.0, 0.1]) == pytest.approx(1.0)
    assert factor_within([1.0, 4.0]) > 3


@pytest.mark.parametrize("name", SPEEDS)
def test_figures_that_ship_say_what_they_are_from_and_how_wrong_they_are(name: str) -> None:
    speed = SPEEDS[name]
    assert speed.where and speed.error_factor > 1 and speed.flop > 0
    small, huge = (Workload(1e12, 1, 1, parameters) for parameters in (speed.largest, 100 * speed.largest))
    assert f"within a factor of {speed.error_factor:.1f}" in speed.words(speed.beyond(small))
    assert "100.0 times as large as any that this was checked on" in speed.words(speed.beyond(huge))
    assert f"within a factor of {speed.error_factor:.1f}" in speed.words(speed.beyond(huge, huge)), "it was measured"
    assert not speed.holds_for({"dtype": "float16", "engine": speed.engine})
