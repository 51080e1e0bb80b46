"""`tuition next`: what could be trained next, for a person who runs one route at a time."""

import numpy as np

from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.recommendation import Frozen
from tuition.planner.allocation import Allocation
from tuition.planner.cost import SECONDS_PER_HOUR, missing_blocks
from tuition.planner.planning.advice import Rivals, probability_best
from tuition.planner.planning.choice import Purchase
from tuition.planner.planning.planner import POINTS, View
from tuition.planner.route import compile_route
from tuition.runners.store.block_store import BlockStore

LIKELY = 0.05
"""From this probability of being the best on, it is a reason."""


class NextRoute(Frozen):
    """A route that could be trained next. Scores are fractions."""

    allocation: str
    gpu_seconds: float
    """Of what is missing in the store, and of the scores."""
    mean: float
    sd: float
    """Of the posterior, around the expected score."""
    gain_points: float
    """By how much the best posterior mean is expected to rise."""
    points_per_gpu_hour: float
    scores: tuple[str, ...]
    """Checkpoints that it gives scores of, its end last."""
    probability_best: float
    reason: str


class NextRoutes(Frozen):
    """Alternatives, what the planner would buy first."""

    study: str
    scenario: str
    seed: int
    routes: tuple[NextRoute, ...]


def next_routes(opened: OpenedStudy, top: int) -> NextRoutes:
    """The best candidates, by points per price to the power that the planner buys by."""
    view = opened.view
    ranked = sorted(view.candidates(), key=lambda one: -one.worth)[:top]
    rivals = Rivals.of(view)
    shares = dict(zip(rivals.nodes.tolist(), probability_best(rivals.draws).tolist(), strict=True))
    store = BlockStore(opened.results.store)
    routes = []
    for candidate in ranked:
        route = candidate.route
        allocation = view.grid.checkpoint(route.node)
        assert isinstance(allocation, Allocation)
        compiled = compile_route(allocation, opened.scenario.recipe, opened.seed)
        missing = missing_blocks(compiled, store.state)
        scoring = float(view.planner.score_costs[list(route.new)].sum())
        seconds = opened.prices.blocks.total(missing).at_least + scoring
        mean, sd = view.choice.predict(route.node)
        routes.append(
            NextRoute(
                allocation=str(allocation),
                gpu_seconds=round(seconds, 1),
                mean=mean / POINTS,
                sd=sd / POINTS,
                gain_points=candidate.gain,
                points_per_gpu_hour=candidate.gain / max(seconds, 1e-3) * SECONDS_PER_HOUR,
                scores=tuple(str(view.grid.checkpoint(node)) for node in route.new),
                probability_best=shares.get(route.node, 0.0),
                reason=_reason(view, route, shares.get(route.node, 0.0), len(compiled.blocks) - len(missing)),
            )
        )
    return NextRoutes(study=opened.name, scenario=opened.scenario.name, seed=opened.seed, routes=tuple(routes))


def _reason(view: View, route: Purchase, share: float, stored: int) -> str:
    """Why it is worth its price."""
    reasons = []
    if route.node == view.choice.best:
        reasons.append("expected to be the best of all, and not trained")
    elif share >= LIKELY:
        reasons.append(f"the best with a probability of {share:.0%}")
    teachers = int(np.sum(view.grid.is_teacher[list(route.new)]))
    students = len(route.new) - 1 - teachers
    counted = (teachers, "teacher"), (students, "student")
    passed = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in counted if count]
    if passed:
        reasons.append(f"also scores {' and '.join(passed)} on its way")
    if stored:
        reasons.append(f"{stored} of its {int(view.grid.blocks[route.node])} blocks are stored")
    return "; ".join(reasons) or "little is known near it"
