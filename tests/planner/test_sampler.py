"""Each trial has its own draw, however trials overlap; and Optuna's own suite for samplers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase

from tuition.planner.sampler import SAMPLERS, SeededSampler


def first_draws(sampler: str, order: Sequence[tuple[str, int]]) -> dict[int, tuple[float, float]]:
    """Ask and draw in an order: ("ask", trial), ("x", trial), ("y", trial)."""
    study = optuna.create_study(sampler=SeededSampler(sampler, 7))
    trials: dict[int, optuna.Trial] = {}
    for step, number in order:
        if step == "ask":
            trials[number] = study.ask()
            assert trials[number].number == number
        else:
            trials[number].suggest_float(step, 0, 1)
    return {number: (trial.params["x"], trial.params["y"]) for number, trial in trials.items()}


# The sequence of qmc begins when it knows the parameters, which it reads off the trials that are running.
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "qmc"])
def test_trials_that_overlap_draw_what_they_draw_in_turn(sampler: str) -> None:
    in_turn = [(step, number) for number in range(3) for step in ("ask", "x", "y")]
    crossed = [("ask", 0), ("ask", 1), ("x", 1), ("x", 0), ("ask", 2), ("y", 1), ("x", 2), ("y", 2), ("y", 0)]
    assert first_draws(sampler, crossed) == first_draws(sampler, in_turn)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_study_begins_anew(sampler: str) -> None:
    shared, draws = SeededSampler(sampler, 7), []
    for _ in range(2):
        study = optuna.create_study(sampler=shared)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        draws.append([trial.params for trial in study.trials])
    assert draws[0] == draws[1]


def test_qmc_takes_the_points_of_one_sequence() -> None:
    study = optuna.create_study(sampler=SeededSampler("qmc", 7))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=17)
    drawn = sorted(int(16 * trial.params["x"]) for trial in study.trials[1:])
    assert len(set(drawn)) >= 15, "nearly every sixteenth once: point 0 went to the trial before the sequence"


@pytest.mark.slow
class TestOptunasBasicSuite(BasicSamplerTestCase):
    """As Optuna tests its own samplers; of a Gaussian process it would take minutes."""

    @pytest.fixture(params=[name for name in SAMPLERS if name != "gp"])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: SeededSampler(request.param, 0)


@pytest.mark.slow
class TestOptunasRelativeSuite(RelativeSamplerTestCase):
    """Of samplers that draw parameters together from the second trial on."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: SeededSampler("qmc", 0)
