"""Other rules of what to buy: what they weigh, and that they buy what fits."""

import numpy as np
import pytest
from scipy.stats import norm

from tests.planner.planning.test_planner import DEAREST, GRID, SPACE, observe, planner, truth
from tuition.benchmarks.planning.buying_rules import BuyingRule, eeipu, gittins, gittins_index
from tuition.planner.planning.planner import View


@pytest.fixture(scope="module")
def view() -> View:
    """After a first route."""
    first = planner().view([]).propose(DEAREST)
    assert first is not None
    return planner().view(observe(first, truth(1), 0))


def test_the_index_is_where_the_expected_excess_is_the_cost() -> None:
    mean, sd = np.array([50.0, 50.0, 60.0, 40.0]), np.array([5.0, 0.1, 3.0, 20.0])
    cost = np.array([0.5, 30.0, 1e-6, 4.0])
    index = gittins_index(mean, sd, cost)
    z = (mean - index) / sd
    assert sd * (z * norm.cdf(z) + norm.pdf(z)) == pytest.approx(cost, rel=1e-4)
    assert index[1] == pytest.approx(20.0), "what is nearly known is worth its mean less its cost"


@pytest.mark.parametrize("rule", [eeipu, gittins])
def test_what_is_new_and_fits_is_bought(view: View, rule: BuyingRule) -> None:
    for money in (2.3, 5.0, DEAREST):
        bought = rule(view, money, DEAREST)
        assert bought is not None and bought.price <= money and SPACE.holds(bought.allocation)
        assert bought.price == view.price(bought.allocation) and not view.scored[GRID.index(bought.allocation)]
    assert rule(view, 0.1, DEAREST) is None


def test_eeipu_weighs_the_price_less_as_the_money_runs_out() -> None:
    def price(view: View, budget: float) -> float:
        bought = eeipu(view, DEAREST, budget)
        assert bought is not None
        return bought.price

    first = planner().view([]).propose(DEAREST)
    assert first is not None
    views = [planner().view(observe(first, truth(number), 0)) for number in range(4)]
    prices = [(price(view, DEAREST), price(view, 1e6 * DEAREST)) for view in views]
    assert all(weighed <= plain for weighed, plain in prices) and any(weighed < plain for weighed, plain in prices)
