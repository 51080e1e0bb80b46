"""Optuna's own plots and importances, on the copy of a study that is made for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Recipe, Route, compile_route
from tuition.planner.sampler import SeededSampler
from tuition.planner.scores.outcome import Outcome
from tuition.planner.scores.readable import readable_copy
from tuition.planner.space import SearchSpace
from tuition.planner.study import StudyLimits, open_study, search

SPACE = SearchSpace(teachers=("large",), num_label_blocks=6, max_warmup=1, max_opd=1)


@pytest.fixture
def study(recipe: Recipe) -> optuna.Study:
    """With repeats and infeasible proposals; every teacher is better than none, and nothing else matters."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    study = optuna.create_study(direction="maximize", sampler=SeededSampler("random", 0))

    def evaluate(_: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        return Outcome(float(allocation.teacher is not None), {"gpu_seconds": 1.0})

    compile_it: Callable[[Allocation], Route] = lambda allocation: compile_route(allocation, recipe, seed=0)  # noqa: E731
    search(study, SPACE, compile_it, evaluate, StudyLimits(trials=60))
    return study


def test_repeats_and_unused_parameters_are_left_out(study: optuna.Study) -> None:
    copied = readable_copy(study)
    complete = [trial for trial in copied.trials if trial.state is TrialState.COMPLETE]
    routes = [trial.user_attrs["route_key"] for trial in complete]
    assert len(routes) == len(set(routes)) < sum(trial.state is TrialState.COMPLETE for trial in study.trials)
    for trial in complete:
        unused = {"upstream", "warmup", "opd"} & trial.params.keys()
        assert bool(unused) == (trial.params["teacher"] != "none")
    assert copied.best_value == study.best_value


def test_optuna_finds_the_parameter_that_matters_and_names_the_score(study: optuna.Study) -> None:
    copied = readable_copy(study)
    importances = optuna.importance.get_param_importances(copied)
    assert max(importances, key=lambda name: importances[name]) == "teacher" and importances["teacher"] > 0.9
    frame = copied.trials_dataframe()
    assert "value_validation avg@k" in frame.columns


def test_a_copy_can_be_a_database_and_a_study_names_its_metric(tmp_path: Path, study: optuna.Study) -> None:
    url = f"sqlite:///{tmp_path}/copy.db"
    readable_copy(study, url)
    assert len(optuna.load_study(study_name=study.study_name, storage=url).trials) == len(readable_copy(study).trials)
    opened = open_study("s", f"sqlite:///{tmp_path}/study.db", "scenario", 0)
    assert opened.metric_names == ["validation avg@k"]
