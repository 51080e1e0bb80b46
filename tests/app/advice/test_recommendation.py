"""`tuition recommend` on studies of any sampler: the decision, what it rests on, and what to spend on next."""

import json
from pathlib import Path

import optuna
import pytest

from tests.app.advice.made_study import NAME, made_study, opened
from tests.app.conftest import Command
from tests.planner.planning.test_advice import observed
from tests.planner.planning.test_planner import planner
from tuition.app.advice.advice_tables import show_recommendation
from tuition.app.advice.decision import SURE, decide
from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.recommendation import Recommendation, recommend
from tuition.planner.allocation import Allocation


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_study(tmp_path_factory.mktemp("made"), trials=8)


@pytest.fixture(scope="module")
def study(results: Path) -> OpenedStudy:
    return opened(results)


@pytest.fixture(scope="module")
def found(study: OpenedStudy) -> Recommendation:
    return recommend(study, gpu_hours=1.0, margin=2.0)


def test_the_decision_follows_the_rule(found: Recommendation) -> None:
    decision = found.decision
    assert decision.allocation is not None and decision.probability_good_enough is not None
    assert (decision.verdict == "deploy") == (decision.probability_good_enough >= SURE)
    words = "eploy" if decision.verdict == "deploy" else "No decision possible: "
    assert words in decision.sentence and decision.allocation in decision.sentence
    assert decision.low is not None and decision.mean is not None and decision.high is not None
    assert decision.low < decision.mean < decision.high
    assert decision.expected_regret_points is not None and decision.expected_regret_points >= 0


def test_a_wide_margin_decides_and_a_narrow_one_does_not(study: OpenedStudy) -> None:
    everything, nothing = (decide(study.view, study.observed, margin=margin) for margin in (100.0, 0.0))
    assert everything.verdict == "deploy" and everything.rival is None and "eploy " in everything.sentence
    assert nothing.verdict == "undecided" and nothing.rival is not None
    assert nothing.rival in nothing.sentence and "`tuition next`" in nothing.sentence
    assert nothing.probability_good_enough == pytest.approx(nothing.probability_best)


def test_what_is_still_being_trained_is_not_called_trained() -> None:
    scores = [one for one in observed() if str(one.checkpoint) != "student_rl=4"]
    named = planner().view(scores).best().allocation
    assert named not in {one.checkpoint for one in scores}
    running = decide(planner().view(scores, [named]), scores, margin=100)
    assert running.allocation == str(named) and not running.trained
    assert running.sentence.startswith("Train and deploy")


def test_alternatives_are_cheaper_or_shorter_and_within_the_margin(found: Recommendation) -> None:
    chosen = Allocation.parse(found.decision.allocation or "")
    for one in found.alternatives:
        allocation = Allocation.parse(one.allocation)
        mean, low, high = one.behind_points
        assert low <= 0 <= high and mean <= 2.0
        assert one.labels == 4 * allocation.label_blocks
        assert ("fewest labels" in one.why) <= (allocation.label_blocks < chosen.label_blocks)
        assert ("cheapest" in one.why) <= (one.gpu_seconds_full < (found.gpu_seconds_full or 0))


def test_the_plan_fits_its_money_and_says_nothing_twice(study: OpenedStudy, found: Recommendation) -> None:
    assert len(found.plan) > 0 and found.planned_gpu_seconds <= 3600
    assert len({step.allocation for step in found.plan}) == len(found.plan)
    assert all(step.gain_points > 0 and step.scores >= 1 for step in found.plan)
    dear = max(step.gpu_seconds for step in found.plan)
    less = recommend(study, gpu_hours=dear / 2 / 3600)
    assert less.planned_gpu_seconds <= dear / 2 + 0.5


def test_too_few_scores_are_told_and_still_planned_on(tmp_path: Path) -> None:
    found = recommend(opened(made_study(tmp_path, trials=2)), gpu_hours=1.0)
    assert found.decision.verdict == "too few scores" and found.decision.allocation is None
    assert "2 scores, and 4 are needed" in found.decision.sentence
    assert found.plan


def test_the_command_says_the_sentence_first_and_writes_nothing(
    results: Path, found: Recommendation, tmp_path: Path, tuition: Command
) -> None:
    """From a copy of the database: what it says depends on the scores alone."""
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    url = f"sqlite:///{tmp_path / 'moved.db'}"
    optuna.copy_study(from_study_name=NAME, from_storage=f"sqlite:///{results}/studies/{NAME}/study.db", to_storage=url)
    command = ("recommend", NAME, "--results", str(results), "--gpu-hours", "1", "--margin", "2", "--storage", url)
    said = tuition(*command, "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == found.model_dump(mode="json")
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


def test_on_the_terminal_the_sentence_comes_first(found: Recommendation, capsys: pytest.CaptureFixture[str]) -> None:
    show_recommendation(found)
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == found.decision.sentence
    assert "would be spent on" in shown and "Expected regret of deciding now" in shown


def test_what_cannot_be_opened_is_refused_in_one_line(results: Path, tuition: Command) -> None:
    for arguments, message in (
        (("absent",), "no search 'absent'"),
        ((NAME, "--scenario", "micro"), "is of another scenario"),
        ((NAME, "--storage", "sqlite:///other.db"), "the database has no study"),
    ):
        refused = tuition("recommend", *arguments, "--results", str(results))
        assert refused.returncode == 2 and message in refused.stderr and len(refused.stderr.splitlines()) == 1
