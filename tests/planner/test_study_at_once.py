"""Two searchers of one study that ask at one moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from tuition.planner.allocation import Allocation
from tuition.planner.route import Route
from tuition.planner.scores.budget import gpu_seconds_left
from tuition.planner.scores.observations import in_flight
from tuition.planner.scores.outcome import Outcome
from tuition.planner.searching.trial_loop import SearchOptions, StudyLimits
from tuition.planner.space import SearchSpace
from tuition.planner.study import search

SPACE = SearchSpace(teachers=("large", "small"), num_label_blocks=8, max_warmup=1, max_opd=2)


class NextToTheOthers(RandomSampler):
    """Proposes the first allocation that nobody is at, long after it has looked."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.money: float | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return SPACE.distributions()

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, _: object) -> dict[str, Any]:
        others, self.money = in_flight(study), gpu_seconds_left(study)
        time.sleep(0.5)
        return SPACE.params_of(next(one for one in SPACE.allocations() if one not in others))


@pytest.mark.usefixtures("quiet_optuna")
def test_the_second_sees_the_firsts_route_in_flight(compile_it: Callable[[Allocation], Route]) -> None:
    storage, lock, asking, training = InMemoryStorage(), Lock(), Barrier(2), Barrier(2)
    optuna.create_study(storage=storage, study_name="shared", direction="maximize")
    evaluated: list[Allocation] = []

    def evaluate(number: int, allocation: Allocation, *_: Any) -> Outcome:
        training.wait(60.0)
        evaluated.append(allocation)
        return Outcome(0.5, {"gpu_seconds": 2.0})

    def work(_: int) -> float | None:
        sampler = NextToTheOthers()
        study = optuna.load_study(storage=storage, study_name="shared", sampler=sampler)
        limits = StudyLimits(trials=2, gpu_seconds=9.0, price=lambda route, asked: 2.0)
        asking.wait(60.0)
        search(study, SPACE, compile_it, evaluate, limits, SearchOptions(lock=lock))
        return sampler.money

    with ThreadPoolExecutor(2) as pool:
        money = list(pool.map(work, range(2)))
    assert sorted(map(str, evaluated)) == sorted(map(str, SPACE.allocations()[:2]))
    assert sorted(filter(None, money)) == [7.0, 9.0], "what the first costs is not left for the second"
