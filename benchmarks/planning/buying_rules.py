"""Other rules of what to buy next, for Tuition's own planner: the same posterior and the same scores, another choice.

Both take no account of what scores on the way would tell, nor of money that the answer's training will need; they buy
what fits the money left.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import elementwise
from scipy.stats import norm

from tuition.planner.planning.choice import Bools
from tuition.planner.planning.grid import Floats
from tuition.planner.planning.planner import POINTS, Proposal, View

BuyingRule = Callable[[View, float | None, float], Proposal | None]
"""Given what the planner thinks, device-seconds that are left (None for no limit), and those of the whole budget."""
BUDGET_POINTS = 4.0
"""What the whole budget is worth at the outset of the Gittins rule, in points: our choice."""
LEAST_PRICE, LEAST_RATIO = 1e-9, 1e-20


def eeipu(view: View, money: float | None, budget: float) -> Proposal | None:
    """EEIPU (arXiv 2411.03731): the largest EI * E[1 / cost]^eta, with eta = money left / budget.

    The cost is that of the stages that are missing: cached ones cost nothing. Ours are predicted as numbers, so that
    E[1 / cost] is 1 / cost. EI is over the best posterior mean of what is trained.
    """
    offers = _Offers.of(view, money)
    eta = 1.0 if money is None else money / budget
    return offers.bought(offers.improvement / offers.prices**eta)


def gittins(view: View, money: float | None, budget: float) -> Proposal | None:
    """The Gittins index of Pandora's box (arXiv 2406.20062): the largest g with E[(f - g)+] = lambda * cost.

    lambda, points per device-second, is `BUDGET_POINTS` for the budget, halved while no index exceeds the best
    posterior mean of what is trained: there the paper's rule stops, or lets lambda decay.
    """
    offers = _Offers.of(view, money)
    # An index exceeds the best exactly where the improvement over the best is worth more than its cost.
    most = float((offers.improvement / offers.prices)[offers.fits].max(initial=0.0))
    rate = BUDGET_POINTS / budget
    if most > 0:
        rate *= 0.5 ** max(0, math.ceil(math.log2(rate / most)))
    return offers.bought(gittins_index(view.choice.mean, view.choice.sd, rate * offers.prices))


def gittins_index(mean: Floats, sd: Floats, cost: Floats) -> Floats:
    """g with E[(f - g)+] = cost, for f ~ N(mean, sd^2), element by element; all are in points."""
    ratio = np.maximum(cost / sd, LEAST_RATIO)

    def excess(u: Floats, ratio: Floats) -> Floats:
        """Of E[(z - u)+] over the ratio, for a standard normal z."""
        over: Floats = norm.pdf(u) - u * norm.sf(u) - ratio
        return over

    found = elementwise.find_root(excess, (-ratio - 1.0, np.full_like(ratio, 10.0)), args=(ratio,))
    index: Floats = mean + sd * found.x
    return index


@dataclass(frozen=True)
class _Offers:
    """What could be bought, in the order of `view.choice.nodes`.

    Attributes:
        view: what the planner thinks.
        money: device-seconds that are left.
        improvement: expected improvement over the best posterior mean of what is trained, in points.
        prices: of training what is missing and of the end's score, in device-seconds.
        fits: whether it has no score yet and fits the money.
    """

    view: View
    money: float
    improvement: Floats
    prices: Floats
    fits: Bools

    @classmethod
    def of(cls, view: View, money: float | None) -> "_Offers":
        choice, trained = view.choice, view.best_trained()
        # While nothing is trained, the untrained student is what there is.
        best = view.posterior.structure.base if trained is None else POINTS * trained.mean
        ahead = (choice.mean - best) / choice.sd
        improvement = choice.sd * (ahead * norm.cdf(ahead) + norm.pdf(ahead))
        prices = np.maximum(view.prices()[choice.nodes], LEAST_PRICE)
        limit = math.inf if money is None else money
        return cls(view, limit, improvement, prices, ~view.scored[choice.nodes] & (prices <= limit))

    def bought(self, worth: Floats) -> Proposal | None:
        """The route of the largest worth that fits the money with the scores on its way."""
        for place in np.argsort(-worth, kind="stable"):
            if self.fits[place]:
                route = self.view.purchase(int(self.view.choice.nodes[place]))
                if route.price <= self.money:
                    return self.view.proposal(route, float(self.improvement[place]))
        return None
