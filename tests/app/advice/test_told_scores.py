"""`tuition tell` and `tuition next`: scores from elsewhere, refused where they are not of the suite, shown as such."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from tests.app.advice.made_study import NAME, made_study, opened
from tests.app.conftest import Command
from tuition.app.advice.next_routes import next_routes
from tuition.app.advice.told_scores import Told, ToldError, read_outcomes, tell
from tuition.app.dashboard.data.study_frames import read_study
from tuition.app.storage.exported_model import block_of_row
from tuition.planner.allocation import Allocation
from tuition.planner.cost import SECONDS_PER_HOUR
from tuition.planner.space import SpaceError
from tuition.planner.storage import StudyError
from tuition.planner.study import finalists
from tuition.planner.trials import Trials
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import StoreError

SPLIT = "teacher=medium teacher_rl=3 opd=1 student_rl=1"
Row = dict[str, Any]


def rows(scenario: Scenario, right: int = 1) -> list[Row]:
    """Of each problem the first so many samples right."""
    samples = scenario.preset("validation").num_samples
    return [
        {"problem_id": problem.id, "correct": [place < right for place in range(samples)], "more": 1}
        for problem in scenario.validation
    ]


def write(path: Path, found: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_study(tmp_path_factory.mktemp("told"), trials=4)


@pytest.fixture(scope="module")
def scenario(results: Path) -> Scenario:
    return opened(results).scenario


@pytest.fixture(scope="module")
def told(results: Path, scenario: Scenario) -> Told:
    return tell(opened(results), SPLIT, write(results / "o.jsonl", rows(scenario)), labels=None)


def test_a_told_score_is_a_trial_without_a_checkpoint(results: Path, scenario: Scenario, told: Told) -> None:
    samples = scenario.preset("validation").num_samples
    assert told.mean == pytest.approx(1 / samples) and told.labels_outside == 16 and told.se_problems == 0
    study = opened(results)
    [seen] = [one for one in study.observed if one.outside]
    assert str(seen.checkpoint) == SPLIT and seen.value == told.mean and seen.gpu_seconds == 0
    node = study.view.grid.index(Allocation.parse(SPLIT))
    assert study.view.state[node] == 0 and study.view.scored[node]
    trials = Trials(study.study).refresh()
    assert trials.num_finished == 4 and trials.total == 5, "--trials counts what the search proposed"
    assert SPLIT in {trial.user_attrs["allocation"] for trial in finalists(study.study, 9)}, "the test trains it anew"


def test_pages_show_it_and_an_export_refuses_it(results: Path, told: Told) -> None:
    frames = read_study(results, NAME)
    row = frames.trials.set_index("number").loc[told.trial]
    assert row["told_from_outside"] and row["labels_outside"] == 16 and row["state"] == "complete"
    assert told.trial not in set(frames.proposed["number"]) and told.trial in set(frames.complete["number"])
    for what in (SPLIT, f"#{told.trial}", f"search #{told.trial}"):
        with pytest.raises(StoreError, match="was told from outside, so there is no checkpoint"):
            block_of_row(results, NAME, what, None)


def test_what_the_study_knows_is_not_told_twice(results: Path, scenario: Scenario, told: Told) -> None:
    file = write(results / "again.jsonl", rows(scenario))
    with pytest.raises(StudyError, match=f"trial #{told.trial} of study '{NAME}' has a score"):
        tell(opened(results), SPLIT, file, None)
    with pytest.raises(SpaceError, match="not in the search space"):
        tell(opened(results), "student_rl=9", file, None)


def changed(change: Callable[[list[Row]], object]) -> Callable[[list[Row]], list[Row]]:
    def apply(found: list[Row]) -> list[Row]:
        change(found)
        return found

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.append({"problem_id": "stranger", "correct": [True]}), "problem 'stranger' is not in the"),
        (lambda found: found.pop(), "missing; score all"),
        (lambda found: found[1]["correct"].append(True), "samples, and the study scores"),
        (lambda found: found.append(found[0]), "is there twice"),
        (lambda found: found[0].update(correct=[0.5]), 'o.jsonl:1: "correct" is 0.5'),
        (lambda found: found[0].update(correct="yes"), "give true or false"),
        (lambda found: found[0].pop("problem_id"), "no problem's id"),
        (lambda found: found[0].pop("correct"), '"correct" is None'),
    ],
)
def test_outcomes_that_are_not_the_suites_are_refused(
    change: Callable[[list[Row]], object], message: str, results: Path, scenario: Scenario, tmp_path: Path
) -> None:
    file = write(tmp_path / "o.jsonl", changed(change)(rows(scenario)))
    study = opened(results)
    before = len(study.study.trials)
    with pytest.raises(ToldError, match=message) as error:
        tell(study, "student_rl=3", file, None)
    assert str(file) in str(error.value) and len(str(error.value).splitlines()) == 1
    assert len(opened(results).study.trials) == before


def test_every_form_of_a_file_says_the_same(scenario: Scenario, tmp_path: Path) -> None:
    wide = rows(scenario)
    long = [
        {"problem_id": row["problem_id"], "sample": sample, "correct": correct}
        for row in wide
        for sample, correct in reversed(list(enumerate(row["correct"])))
    ]
    pd.DataFrame(wide).to_parquet(tmp_path / "wide.parquet")
    pd.DataFrame(long).to_parquet(tmp_path / "long.parquet")
    files = [write(tmp_path / "wide.jsonl", wide), write(tmp_path / "long.jsonl", long)]
    expected = {row["problem_id"]: row["correct"] for row in wide}
    for file in [*files, tmp_path / "wide.parquet", tmp_path / "long.parquet"]:
        assert read_outcomes(file) == expected
    long.append(long[-1])
    with pytest.raises(ToldError, match="sample 0 twice"):
        read_outcomes(write(tmp_path / "twice.jsonl", long))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(ToldError, match="is not a Parquet table"):
        read_outcomes(tmp_path / "broken.parquet")


def test_next_lists_what_could_be_trained(results: Path, told: Told, tuition: Command) -> None:
    study = opened(results)
    found = next_routes(study, top=4)
    known = {str(one.checkpoint) for one in study.observed}
    assert len(found.routes) == 4 and not known & {route.allocation for route in found.routes}
    first = study.view.propose()
    assert first is not None and found.routes[0].allocation == str(first.allocation)
    for route in found.routes:
        assert route.scores[-1] == route.allocation and route.reason and 0 < route.mean < 1
        hours = route.gpu_seconds / SECONDS_PER_HOUR
        assert route.points_per_gpu_hour * hours == pytest.approx(route.gain_points, rel=0.05)
    shown = tuition("next", NAME, "--results", str(results), "--top", "2")
    assert shown.returncode == 0 and found.routes[0].allocation in shown.stdout
    assert found.routes[2].allocation not in shown.stdout and "tuition tell" in shown.stdout


def test_the_command_tells_and_says_what(results: Path, scenario: Scenario, tmp_path: Path, tuition: Command) -> None:
    file = write(tmp_path / "o.jsonl", rows(scenario, right=2))
    command = ("tell", NAME, "student_rl=4", "--scores", str(file), "--results", str(results))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    done = tuition(*command, "--labels", "40")
    assert done.returncode == 0 and "told from outside; 40 labels declared" in done.stdout
    again = tuition(*command)
    assert again.returncode == 2 and len(again.stderr.splitlines()) == 1
