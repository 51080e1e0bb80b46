"""A small recipe for the planner's tests: made-up content hashes, 8 label blocks of 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from hypothesis import settings

from tuition.planner.allocation import Allocation
from tuition.planner.route import Label, Recipe, Route, compile_route
from tuition.planner.stages import STAGES

# A machine that is busy with a training must not fail a test for being slow.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


def build_recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "student": "student-sha",
        "teachers": {"large": "large-sha", "small": "small-sha"},
        "labels": tuple(Label(f"id-{i}", f"problem-{i}", f"content-{i}") for i in range(16)),
        "labels_per_block": 2,
        "prompts_sha256": "prompts-sha",
        "stages": {stage.name: {"revision": 1, "learning_rate": 1e-4} for stage in STAGES},
        "environment": {"device": "cpu", "dtype": "float32", "engine": "transformers"},
    }
    return Recipe(**{**fields, **changes})


@pytest.fixture
def quiet_optuna() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(verbosity)


@pytest.fixture
def compile_it(recipe: Recipe) -> Callable[[Allocation], Route]:
    return lambda allocation: compile_route(allocation, recipe, seed=0)


@pytest.fixture(scope="session")
def make_recipe() -> Callable[..., Recipe]:
    return build_recipe


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return build_recipe()
