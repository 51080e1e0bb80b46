"""The incremental view of a study against a scan of all of its trials."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from tuition.planner.storage import open_storage
from tuition.planner.study import finalists
from tuition.planner.trials import Trials, retry_history

ROUTES = ("a", "b", "c")
STEP = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["queue", "pass", "outside"]), st.integers(0, 2)),
    st.tuples(st.sampled_from(["complete", "repeat", "fail", "prune", "interrupt"]), st.integers(0, 5)),
    st.tuples(st.just("refresh"), st.just(0)),
)


def scanned(study: optuna.Study) -> dict[str, Any]:
    """The same answers, from all trials at once."""
    trials = study.get_trials()
    queued_again = {number for trial in trials for number in retry_history(trial)}
    told = {"on_the_way_of", "told_from_outside"}
    passed = {trial.number for trial in trials if told & trial.user_attrs.keys()}
    ended = [trial for trial in trials if trial.state.is_finished() and trial.number not in passed]
    first: dict[str, int] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE and "repeat_of" not in trial.user_attrs:
            first.setdefault(trial.user_attrs["route_key"], trial.number)
    return {
        "total": len(trials),
        "num_finished": sum(trial.number not in queued_again for trial in ended),
        "num_running": sum(trial.state is TrialState.RUNNING for trial in trials),
        "spent": sum(float(trial.user_attrs.get("gpu_seconds", 0.0)) for trial in trials),
        "evaluated": {key: first.get(key) for key in ROUTES},
        "leading": [trial.number for trial in finalists(study)],
        "running_routes": {t.user_attrs["route_key"] for t in trials if t.state is TrialState.RUNNING and t.user_attrs},
        "drawless": [
            sum(bool(retry_history(t)) or t.number in passed for t in trials if t.number < n)
            for n in range(len(trials) + 1)
        ],
    }


def viewed(view: Trials) -> dict[str, Any]:
    found = {key: view.evaluated(key) for key in ROUTES}
    return {
        **{name: getattr(view, name) for name in ("total", "num_finished", "num_running")},
        "spent": view.spent_gpu_seconds,
        "evaluated": {key: None if trial is None else trial.number for key, trial in found.items()},
        "leading": [trial.number for trial in view.leading],
        "running_routes": view.running_routes(),
        "drawless": [view.num_drawless_before(number) for number in range(view.total + 1)],
    }


class Player:
    """Plays what searches in several processes do to one study."""

    def __init__(self, *studies: optuna.Study) -> None:
        self.studies = studies
        self.running: list[optuna.Trial] = []

    def play(self, step: str, choice: int) -> None:
        study = self.studies[choice % len(self.studies)]
        if step == "ask":
            trial = study.ask()
            trial.set_user_attr("route_key", ROUTES[choice])
            self.running.append(trial)
        elif step == "queue":
            study.enqueue_trial({"x": choice})
        elif step in ("pass", "outside"):
            what: dict[str, Any] = {"on_the_way_of": 0} if step == "pass" else {"told_from_outside": "sha"}
            attributes = {"route_key": ROUTES[choice], **what}
            study.add_trial(optuna.trial.create_trial(value=float(choice), user_attrs=attributes))
        elif self.running:
            self.end(study, step, self.running.pop(choice % len(self.running)), choice)

    def end(self, study: optuna.Study, step: str, trial: optuna.Trial, choice: int) -> None:
        if step in ("complete", "repeat"):
            trial.set_user_attr("gpu_seconds", 0.5 * choice)
            if step == "repeat":
                trial.set_user_attr("repeat_of", 0)
            study.tell(trial.number, choice % 3)
            return
        study.tell(trial.number, state=TrialState.PRUNED if step == "prune" else TrialState.FAIL)
        if step == "interrupt":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                RetryHeartbeatStaleTrialCallback()(study, study.trials[trial.number])


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=30))
def test_the_view_says_what_a_scan_of_all_trials_says(steps: list[tuple[str, int]]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    view, player = Trials(study), Player(study)
    for step, choice in steps:
        if step == "refresh":
            assert viewed(view.refresh()) == scanned(study)
        else:
            player.play(step, choice)
    assert viewed(view.refresh()) == scanned(study)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(steps=st.lists(STEP, min_size=5, max_size=15))
def test_another_process_may_add_and_finish_trials(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"sqlite:///{tmp_path_factory.mktemp('study')}/study.db"
    made = optuna.create_study(storage=open_storage(url), study_name="s", direction="maximize")
    # Each has its own cache of the storage, as another process has.
    studies = [made, *(optuna.load_study(study_name="s", storage=open_storage(url)) for _ in range(2))]
    views, player = [Trials(study) for study in studies], Player(*studies)
    for step, choice in steps:
        player.play(step, choice) if step != "refresh" else views[0].refresh()
    expected = scanned(made)
    for view in views:
        assert viewed(view.refresh()) == expected


def test_a_finished_trial_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    finish: Callable[[Trials, FrozenTrial], None] = Trials._finish
    monkeypatch.setattr(Trials, "_finish", lambda view, trial: (read.append(trial.number), finish(view, trial))[1])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    view = Trials(study)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5, callbacks=[lambda *_: view.refresh()])
    assert read == [0, 1, 2, 3, 4]


def test_the_view_of_a_study_in_a_file_starts_with_what_is_there(tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/s.db"), direction="maximize")
    player = Player(study)
    for step, choice in [("ask", 0), ("complete", 4), ("ask", 1), ("interrupt", 0), ("ask", 2)]:
        player.play(step, choice)
    assert viewed(Trials(study).refresh()) == scanned(study)
