"""The money of a search: nothing is begun that does not fit, and a sampler is told what is left and may say stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route
from tuition.planner.sampler import SAMPLERS, SeededSampler
from tuition.planner.scores.budget import MAX_REFUSALS, gpu_seconds_left
from tuition.planner.scores.observations import untrained
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay
from tuition.planner.space import SearchSpace
from tuition.planner.study import SearchOptions, StudyLimits, enqueue, open_study, search
from tuition.planner.trials import Trials

SPACE = SearchSpace(teachers=("large",), num_label_blocks=8, max_warmup=0, max_opd=2)
Compile = Callable[[Allocation], Route]

pytestmark = pytest.mark.usefixtures("quiet_optuna")


class Shop:
    """A block costs 1 once, a score 0.25 once."""

    def __init__(self) -> None:
        self.paid: set[str] = set()
        self.begun: list[float] = []

    def _bill(self, route: Route, on_the_way: Sequence[Checkpoint]) -> dict[str, float]:
        blocks = {block.key: 1.0 for block in route.blocks}
        scores = {f"score of {one}": 0.25 for one in (*on_the_way, route.allocation)}
        return {key: cost for key, cost in (blocks | scores).items() if key not in self.paid}

    def price(self, route: Route, on_the_way: Sequence[Checkpoint]) -> float:
        return sum(self._bill(route, on_the_way).values())

    def evaluate(self, _: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        bill = self._bill(route, on_the_way)
        self.paid |= bill.keys()
        self.begun.append(sum(bill.values()))
        scores = {one: ScoreOnTheWay(0.1, None, None, 0.25, "a") for one in on_the_way}
        return Outcome(allocation.student_rl / 10, {"gpu_seconds": self.begun[-1]}, scores)


class Saying(SeededSampler):
    """Wants scores of base models, notes what is left, and stops after so many trials."""

    def __init__(self, after: int) -> None:
        super().__init__("random", 0)
        self.after = after
        self.left: list[float | None] = []

    def base_models(self, study: optuna.Study) -> Sequence[str]:
        return ["student", "large"]

    def should_stop(self, study: optuna.Study) -> str | None:
        self.left.append(gpu_seconds_left(study))
        return "nothing is worth its price" if len(study.trials) >= self.after else None


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_nothing_is_begun_that_does_not_fit_and_refusals_count_as_no_trial(compile_it: Compile, sampler: str) -> None:
    study = optuna.create_study(direction="maximize", sampler=SeededSampler(sampler, 0))
    shop, ended = Shop(), list[int]()
    limits = StudyLimits(gpu_seconds=30.1, price=shop.price)
    stopped = search(
        study, SPACE, compile_it, shop.evaluate, limits, SearchOptions(lambda _, t: ended.append(t.number))
    )
    assert stopped is not None
    assert 20 < sum(shop.begun) <= 30.1
    refused = [trial for trial in study.trials if "refused" in trial.user_attrs]
    assert refused and all(trial.state is TrialState.PRUNED for trial in refused)
    assert all(trial.constraints["refused"] > 0 for trial in refused)
    assert "it would cost" in refused[0].user_attrs["refused"]
    view = Trials(study).refresh()
    assert view.num_finished == len(ended) - len(refused)
    left = gpu_seconds_left(study)
    assert left == pytest.approx(30.1 - sum(shop.begun))


def test_a_search_that_finds_nothing_that_fits_stops_in_one_line(compile_it: Compile) -> None:
    study, shop = optuna.create_study(direction="maximize", sampler=SeededSampler("random", 0)), Shop()
    stopped = search(study, SPACE, compile_it, shop.evaluate, StudyLimits(gpu_seconds=0.5, price=shop.price))
    assert stopped == f"none of {MAX_REFUSALS} proposals in a row fits the 0.5 GPU-s that are left"
    assert shop.begun == [] and Trials(study).refresh().num_finished == 0
    # With more money the same study goes on, and what was queued and refused is queued again.
    enqueue(study, SPACE, compile_it, [Allocation(student_rl=8)])
    search(study, SPACE, compile_it, shop.evaluate, StudyLimits(gpu_seconds=0.5, price=shop.price))
    enqueue(study, SPACE, compile_it, [Allocation(student_rl=8)])
    search(study, SPACE, compile_it, shop.evaluate, StudyLimits(trials=1, gpu_seconds=9, price=shop.price))
    assert shop.begun == [8.25]


def test_what_another_worker_is_at_is_paid_for_first(tmp_path: Path, compile_it: Compile) -> None:
    shop, url = Shop(), f"sqlite:///{tmp_path}/study.db"
    limits = StudyLimits(trials=9, gpu_seconds=12, price=shop.price)
    enqueue(open_study("s", url, "scenario", 0, "random"), SPACE, compile_it, [Allocation(student_rl=8)])

    def evaluate(number: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        if allocation == Allocation(student_rl=8) and not other.begun:
            study = open_study("s", url, "scenario", 0, "random")
            costly = Allocation(teacher="large", teacher_rl=3, opd=1)
            enqueue(study, SPACE, compile_it, [costly, Allocation(teacher="large", teacher_rl=1, opd=1)])
            other_limits = StudyLimits(trials=2, gpu_seconds=12, price=shop.price)
            search(study, SPACE, compile_it, other.evaluate, other_limits)
            assert gpu_seconds_left(study) == 12 - 8.25 - 2.25
        return shop.evaluate(number, allocation, route, on_the_way)

    other = Shop()
    search(open_study("s", url, "scenario", 0, "random"), SPACE, compile_it, evaluate, limits)
    assert other.begun == [2.25], "of two, the one that fits beside the first worker's 8.25"


def test_a_sampler_has_base_models_scored_once_and_says_when_to_stop(compile_it: Compile) -> None:
    sampler, asked = Saying(after=3), list[str]()
    study, shop = optuna.create_study(direction="maximize", sampler=sampler), Shop()

    def score(model: str) -> ScoreOnTheWay:
        asked.append(model)
        return ScoreOnTheWay(0.1 * len(asked), 0.02, 0.01, 0.5, None)

    limits, options = StudyLimits(gpu_seconds=500), SearchOptions(score_untrained=score)
    assert search(study, SPACE, compile_it, shop.evaluate, limits, options) == "nothing is worth its price"
    assert len(study.trials) == 3 and asked == ["student", "large"]
    assert {model: score.value for model, score in untrained(study).items()} == {"student": 0.1, "large": 0.2}
    assert sampler.left[-1] == pytest.approx(500 - 1.0 - sum(shop.begun))
    sampler.after = 5
    search(study, SPACE, compile_it, shop.evaluate, limits, options)
    assert len(study.trials) == 5 and len(asked) == 2
