"""The measurement of a trial's bookkeeping, at tiny size."""

import optuna
import pytest

from tests.experiments.speed.bookkeeping import milliseconds
from tuition.planner.sampler import SAMPLERS
from tuition.runners.scenarios.scenario import Scenario


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_trial_is_split_into_ours_and_optunas(sampler: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ours, optunas = milliseconds(Scenario.load("micro"), sampler, trials=12, measured=4)
    assert ours > 0 and optunas > 0
