"""The fit of the estimate law, on the GPU's figures and at tiny size on made-up ones."""

import pytest

from tests.experiments.costs.fit import check, gpu_samples, report, speed_of
from tests.planner.test_cost_law import SAMPLES
from tuition.planner.cost_law import SPEEDS, factor_within


def test_the_gpus_constants_are_those_that_ship() -> None:
    speed, ships = speed_of(gpu_samples()), SPEEDS["NVIDIA H200"]
    fitted = (speed.training_pass, speed.decoding_pass, speed.block, speed.largest)
    assert (ships.training_pass, ships.decoding_pass, ships.block, ships.largest) == pytest.approx(fitted, rel=0.01)
    ratios = [ratio for checked in check(gpu_samples()) for ratio in checked.ratios]
    assert factor_within(ratios) == pytest.approx(ships.error_factor, abs=0.05)


def test_every_sample_is_estimated_without_its_own_models() -> None:
    checked = check(SAMPLES)
    assert [one.sample for one in checked] == SAMPLES
    text = report("made up", SAMPLES)
    assert text.startswith("made up: Speed(") and text.count("| a | a |") == 1 and "9 of 10 estimates" in text
