"""`tuition plan --expect`: what a search is expected to find out, played in worlds of the planner's prior beforehand.

In each world our own planner searches with the scenario's costs, budget and noise of validation, from an empty store,
and is judged by the world's truth; direct GRPO, half of the labels upstream and all of them are judged by the same. It
is as good as the prior: a world that the prior does not hold is not foreseen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import optuna

from tuition.app.advice.decision import decide
from tuition.app.costs.route_prices import RoutePrices
from tuition.app.costs.search_budget import parse_multiple_of_r
from tuition.benchmarks.baselines import DIRECT, UPSTREAM
from tuition.benchmarks.planning.contestant import Game
from tuition.benchmarks.planning.prior_worlds import Prior, PriorWorld, Validation
from tuition.benchmarks.planning.rivals import Ended, search_of_ours
from tuition.benchmarks.statistics.intervals import FloatArray, standard_error
from tuition.planner.allocation import Allocation
from tuition.planner.planning.planner import POINTS
from tuition.planner.route import derive_seed
from tuition.planner.storage import StudyError

ALONE = (DIRECT, "half", UPSTREAM)
"""What a search is compared with, as far as the space holds it: one named route, without any search."""


@dataclass(frozen=True)
class Mean:
    """A mean over worlds with its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Of one value a world."""
        array: FloatArray = np.array(values, float)
        return cls(float(array.mean()), standard_error(array))

    @classmethod
    def of_share(cls, worlds: int, of: int) -> "Mean":
        """A share of the worlds; its error is that of one world more on either side, so that none or all leave one."""
        share = (worlds + 1) / (of + 2)
        return cls(worlds / of, sqrt(share * (1 - share) / (of + 2)))


@dataclass(frozen=True)
class Foreseen:
    """A split that would be handed over, over worlds.

    Attributes:
        gpu_seconds: what it costs to get there.
        score: true score, a fraction.
        regret_points: by how much the best split of its world is better.
    """

    name: str
    gpu_seconds: float
    score: Mean
    regret_points: Mean


@dataclass(frozen=True)
class ForeseenSearch:
    """A search for one budget.

    Attributes:
        budget: in R.
        named: the split that the planner names, trained or not.
        trained: the best by its posterior of those that it trained; None where it trained none in some world.
        no_decision: share of the worlds in which it ends with "no decision possible".
        routes: that it trains.
        scores: checkpoints that it scores, base models apart.
        best_alone: the route of `ALONE` with the least expected regret.
        ahead_points: by how much the named split is better than that route.
    """

    budget: float
    named: Foreseen
    trained: Foreseen | None
    no_decision: Mean
    routes: Mean
    scores: Mean
    best_alone: str
    ahead_points: Mean


@dataclass(frozen=True)
class Expectation:
    """What searches are expected to find out.

    Attributes:
        worlds: that were played.
        untrained: scores of base models that were stated, fractions; the others were drawn.
        drawn: base models whose scores were drawn.
        best: true score of the best split, a fraction.
        alone: named routes without a search.
    """

    worlds: int
    untrained: Mapping[str, float]
    drawn: tuple[str, ...]
    best: Mean
    alone: tuple[Foreseen, ...]
    searches: tuple[ForeseenSearch, ...]


def parse_budgets(text: str) -> tuple[float, ...]:
    """Budgets of "0.5R,1R" in R. StudyError for another text."""
    return tuple(parse_multiple_of_r(part) for part in text.split(","))


def parse_untrained(text: str) -> dict[str, float]:
    """Fractions of "student=30,8b=55", which is in percent. StudyError for another text."""
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = float(value) / POINTS
        except ValueError:
            raise StudyError(f"--untrained {part!r}: write it as MODEL=PERCENT, such as student=30,8b=55") from None
    return found


class Foresight:
    """Searches that are played beforehand.

    Args:
        prices: of the scenario's routes.
        named: the named routes.
        first: those that the search trains first, in their order, as far as the space holds them.
        untrained: scores of base models that are known, fractions.
        seed: of all draws.

    Raises:
        StudyError: where a part of a route's cost is unknown.
        ProblemError: as `Prior`.
    """

    def __init__(
        self,
        prices: RoutePrices,
        named: Mapping[str, Allocation],
        first: tuple[str, ...],
        untrained: Mapping[str, float],
        seed: int,
    ) -> None:
        if prices.unknown:
            raise StudyError(
                f"--expect needs known costs, and nothing is known of {', '.join(prices.unknown)}: measure them first "
                "(tuition measure)"
            )
        scenario = prices.scenario
        samples = Validation(len(scenario.validation), scenario.file.validation.samples)
        dearest = prices.dearest().total.at_least
        self.prior = Prior(scenario.space, prices.costs(), dearest, samples, untrained, seed)
        self._named = {name: route for name, route in named.items() if scenario.space.holds(route)}
        self._first = first

    def play(self, budgets: Sequence[float], worlds: int, tell: Callable[[str], None]) -> Expectation:
        """Play every budget (in R) in every world; `tell` is told of each world that is done."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        drawn: list[PriorWorld] = []
        ended: dict[float, list[_Search]] = {budget: [] for budget in budgets}
        for number in range(worlds):
            world = self.prior.world(number)
            drawn.append(world)
            for budget in budgets:
                ended[budget].append(self._search(world, budget))
            tell(f"world {number + 1} of {worlds} is played")
        alone = [self._alone(name, drawn) for name in ALONE if name in self._named]
        known = self.prior.known
        return Expectation(
            worlds=worlds,
            untrained=known,
            drawn=tuple(name for name in self.prior.models if name not in known),
            best=Mean.of([world.best for world in drawn]),
            alone=tuple(alone),
            searches=tuple(self._foreseen(budget, found, drawn, alone) for budget, found in ended.items()),
        )

    def _search(self, world: PriorWorld, budget: float) -> "_Search":
        seed = derive_seed(self.prior.seed, "search", world.number)
        game = Game(world.replay(), self._named, budget * self.prior.dearest, seed)
        ended = search_of_ours(game, self._first)
        return _Search(ended, decide(ended.view, ended.observed).verdict != "deploy")

    def _alone(self, name: str, worlds: Sequence[PriorWorld]) -> Foreseen:
        route = self._named[name]
        price = worlds[0].replay().marginal_cost(route).gpu_seconds
        return _over(name, price, worlds, [route] * len(worlds))

    def _foreseen(
        self, budget: float, found: "Sequence[_Search]", worlds: Sequence[PriorWorld], alone: Sequence[Foreseen]
    ) -> ForeseenSearch:
        steps = [one.ended.step for one in found]
        spent = float(np.mean([step.spent for step in steps]))
        named = [step.named for step in steps if step.named is not None]
        assert len(named) == len(worlds), "our own planner always names a split"
        trained = [step.trained for step in steps if step.trained is not None]
        rival = min(alone, key=lambda one: one.regret_points.mean)
        instead = self._named[rival.name]
        ahead = [world.value(split) - world.value(instead) for world, split in zip(worlds, named, strict=True)]
        return ForeseenSearch(
            budget=budget,
            named=_over("named", spent, worlds, named),
            trained=_over("trained", spent, worlds, trained) if len(trained) == len(worlds) else None,
            no_decision=Mean.of_share(sum(one.undecided for one in found), len(worlds)),
            routes=Mean.of([step.trials for step in steps]),
            scores=Mean.of([one.ended.view.num_scores for one in found]),
            best_alone=rival.name,
            ahead_points=Mean.of([POINTS * points for points in ahead]),
        )


@dataclass(frozen=True)
class _Search:
    ended: Ended
    undecided: bool


def _over(name: str, price: float, worlds: Sequence[PriorWorld], splits: Sequence[Allocation]) -> Foreseen:
    """What is handed over in each world, judged by its truth."""
    values = [world.value(split) for world, split in zip(worlds, splits, strict=True)]
    lost = [POINTS * (world.best - value) for world, value in zip(worlds, values, strict=True)]
    return Foreseen(name, round(price, 1), Mean.of(values), Mean.of(lost))
