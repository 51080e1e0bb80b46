"""What a search is expected to find out: played beforehand, judged by the truth, and said with its errors."""

import json
from pathlib import Path

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.advice.expectation import (
    Expectation,
    Foresight,
    Mean,
    parse_budgets,
    parse_untrained,
)
from tuition.app.costs.route_prices import RoutePrices
from tuition.app.studies.search_run import scenario_baselines
from tuition.benchmarks.planning.prior_worlds import PriorWorld
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.allocation import Allocation
from tuition.planner.storage import StudyError
from tuition.runners.scenarios.scenario import Scenario

STATED = {"teacher_rl": 8.0, "warmup": 2.0, "opd": 3.0, "student_rl": 4.0, "score": 20.0}


def written(folder: Path, **changes: object) -> Path:
    """A scenario whose costs are stated: two label blocks, one teacher."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file(prior_seconds=STATED, **changes)))
    return path


@pytest.fixture(scope="module")
def foresight(tmp_path_factory: pytest.TempPathFactory) -> Foresight:
    folder = tmp_path_factory.mktemp("tiny")
    scenario = Scenario.load(str(written(folder)))
    prices = RoutePrices(scenario, ResultsFolder(folder / "results"))
    return Foresight(prices, scenario_baselines(scenario), (), {"student": 0.3, "medium": 0.6}, seed=0)


@pytest.fixture(scope="module")
def played(foresight: Foresight) -> tuple[Expectation, list[str]]:
    told: list[str] = []
    return foresight.play((0.1, 1.0), 3, told.append), told


def test_named_routes_are_judged_by_the_truth_of_the_same_worlds(
    foresight: Foresight, played: tuple[Expectation, list[str]]
) -> None:
    expected, told = played
    worlds: list[PriorWorld] = [foresight.prior.world(number) for number in range(3)]
    direct = next(one for one in expected.alone if one.name == "direct")
    route = Allocation(student_rl=2)
    assert direct.score == Mean.of([world.value(route) for world in worlds])
    assert direct.regret_points == Mean.of([100 * (world.best - world.value(route)) for world in worlds])
    prices = foresight.prior.costs
    assert direct.gpu_seconds == pytest.approx(2 * 4 + prices.scores["student"], abs=0.1)
    assert [one.name for one in expected.alone] == ["direct", "half", "teacher-upstream"]
    assert told == [f"world {number} of 3 is played" for number in (1, 2, 3)]


def test_a_search_is_judged_too_and_keeps_its_budget(
    foresight: Foresight, played: tuple[Expectation, list[str]]
) -> None:
    expected, _ = played
    poor, rich = expected.searches
    # A tenth of R trains no bridged route; scores of base models and one label block are not enough to decide by.
    assert (poor.budget, rich.budget) == (0.1, 1.0)
    assert poor.named.gpu_seconds <= 0.1 * foresight.prior.dearest < rich.named.gpu_seconds <= foresight.prior.dearest
    assert poor.no_decision.mean == 1.0 and rich.scores.mean > poor.scores.mean
    assert rich.trained is not None and rich.routes.mean >= 1
    for one in (poor.named, rich.named, rich.trained):
        assert one.regret_points.mean >= 0 and one.score.mean <= expected.best.mean
        assert one.regret_points.mean == pytest.approx(100 * (expected.best.mean - one.score.mean))
    alone = {one.name: one for one in expected.alone}
    best = min(expected.alone, key=lambda one: one.regret_points.mean)
    assert rich.best_alone == best.name
    assert rich.ahead_points.mean == pytest.approx(100 * (rich.named.score.mean - alone[best.name].score.mean))


def test_a_share_of_all_worlds_still_has_an_error() -> None:
    assert Mean.of_share(10, 10) == Mean(1.0, pytest.approx(0.0798, abs=1e-4))
    assert Mean.of_share(500, 1000).error == pytest.approx(0.0158, abs=1e-4)


def test_budgets_and_scores_are_read_from_words() -> None:
    assert parse_budgets("0.5R, 1R") == (0.5, 1.0)
    assert parse_untrained("student=30, 8b=55.5") == {"student": 0.3, "8b": 0.555}
    with pytest.raises(StudyError, match="write it in R"):
        parse_budgets("1R,two")
    for text in ("student", "student=a", "30"):
        with pytest.raises(StudyError, match="write it as MODEL=PERCENT"):
            parse_untrained(text)


def test_plan_prints_it_and_says_what_it_rests_on(tmp_path: Path, tuition: Command) -> None:
    options = ("plan", "--scenario", str(written(tmp_path)), "--expect", "1R", "--worlds", "2")
    printed = tuition(*options, "--untrained", "student=30")
    shown = " ".join(printed.stdout.split())
    assert printed.returncode == 0 and "world 2 of 2 is played" in printed.stderr
    assert "what the search is expected to find out (2 worlds)" in shown
    assert "search of 1 R: the split that it names" in shown and "direct, without a search" in shown
    assert "the figures are only as good as that prior" in shown
    assert "stated (student at 30%), drawn as well (medium; --untrained states them)" in shown
    document = tuition(*options, "--json")
    assert document.stderr == ""
    expected = json.loads(document.stdout)["expected"]
    assert expected["worlds"] == 2 and expected["drawn"] == ["student", "medium"] and len(expected["searches"]) == 1
    assert not (tmp_path / "results").exists()
    assert json.loads(tuition(*options[:3], "--json").stdout)["expected"] is None


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, ("--sampler", "tpe"), "--expect plays our own planner's searches, and --sampler is tpe"),
        ({}, ("--warm-start", "micro-b@2"), "--expect plays searches without a warm start"),
        ({}, ("--untrained", "small=3"), "no base model 'small': choose from student, medium"),
        ({"hardware": {"device": "cuda", "engine": "vllm"}}, (), "--expect needs known costs, and nothing is known of"),
    ],
)
def test_what_cannot_be_foreseen_is_refused_in_one_line(
    tmp_path: Path, tuition: Command, changes: dict[str, object], options: tuple[str, ...], message: str
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file(**changes)))
    refused = tuition("plan", "--scenario", str(path), "--expect", "1R", *options)
    assert refused.returncode == 2 and message in refused.stderr and len(refused.stderr.strip().splitlines()) == 1
