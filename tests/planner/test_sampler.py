"""Each trial has its own draw, however trials overlap."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pytest

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


@pytest.mark.parametrize("sampler", SAMPLERS)
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
