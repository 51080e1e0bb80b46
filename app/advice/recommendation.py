"""`tuition recommend`: the split to deploy, how sure that is, and what the next GPU-hours would be spent on."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from tuition.app.advice.decision import MARGIN, decide
from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.verdict import Decision
from tuition.planner.allocation import Allocation
from tuition.planner.cost import SECONDS_PER_HOUR
from tuition.planner.planning.advice import Rivals, Spread, alike, plan
from tuition.planner.planning.grid import Floats, Ints
from tuition.planner.planning.planner import POINTS, View
from tuition.planner.planning.sampler import warm_start_of

MOST_STEPS = 5
"""Routes of a plan that are shown."""
CLEARLY_LESS = 0.95
"""A split is called cheaper from this share of the other's price on."""


class Frozen(BaseModel):
    """What is advised is not changed."""

    model_config = ConfigDict(frozen=True)


class Alternative(Frozen):
    """A cheaper or shorter split that cannot be distinguished from the one to deploy."""

    allocation: str
    why: tuple[str, ...]
    """Of "cheapest", "fewest labels" and "fewest blocks"."""
    mean: float
    behind_points: tuple[float, float, float]
    """By how much it is expected to be worse: mean, low, high."""
    labels: int
    blocks: int
    gpu_seconds_full: float
    trained: bool


class PlannedStep(Frozen):
    """A route that the next GPU-hours would be spent on."""

    allocation: str
    scores: int
    """That it gives, on the way and at its end."""
    gpu_seconds: float
    gain_points: float
    """By how much it raises the expected score of what is best, given the steps before."""


class Recommendation(Frozen):
    """What a study says. Scores are fractions; the decision comes first."""

    study: str
    scenario: str
    decision: Decision
    labels: int | None = None
    """That the split trains on."""
    gpu_seconds_full: float | None = None
    """Of the split from scratch, with its score; processor time on a CPU."""
    gpu_seconds_missing: float | None = None
    luck_points: float | None = None
    """Standard deviation of what one training run of a split owes to its seed, beside the split's expected score."""
    best_trained: str | None = None
    """The best of the trained splits."""
    best_trained_behind_points: tuple[float, float, float] | None = None
    alternatives: tuple[Alternative, ...] = ()
    gpu_hours: float
    """That were asked for."""
    plan: tuple[PlannedStep, ...] = ()
    """At most `MOST_STEPS` routes."""
    notes: tuple[str, ...] = ()

    @property
    def planned_gpu_seconds(self) -> float:
        """Of the plan."""
        return sum(step.gpu_seconds for step in self.plan)

    @property
    def planned_gain_points(self) -> float:
        """Of the plan."""
        return sum(step.gain_points for step in self.plan)


def recommend(opened: OpenedStudy, gpu_hours: float, margin: float = MARGIN) -> Recommendation:
    """Everything that a study says now."""
    view = opened.view
    steps = plan(view, gpu_hours * SECONDS_PER_HOUR, MOST_STEPS)
    common = {
        "study": opened.name,
        "scenario": opened.scenario.name,
        "gpu_hours": gpu_hours,
        "plan": tuple(
            PlannedStep(
                allocation=str(view.grid.checkpoint(step.route.node)),
                scores=len(step.route.new),
                gpu_seconds=round(step.route.price, 1),
                gain_points=step.gain,
            )
            for step in steps
        ),
        "notes": _notes(opened),
    }
    rivals = Rivals.of(view)
    decision = decide(view, opened.observed, rivals, margin)
    if decision.allocation is None:
        return Recommendation(decision=decision, **common)
    full, missing = full_prices(view), view.price(Allocation.parse(decision.allocation))
    node = int(rivals.nodes[rivals.named])
    return Recommendation(
        decision=decision,
        labels=labels_of(opened, view, node),
        gpu_seconds_full=round(float(full[node]), 1),
        gpu_seconds_missing=0.0 if decision.trained else round(missing, 1),
        luck_points=view.posterior.block_effect,
        alternatives=_alternatives(opened, view, rivals, margin),
        **_best_trained(view, rivals),
        **common,
    )


def full_prices(view: View) -> Floats:
    """[nodes] device-seconds of each node from scratch, with its score."""
    nothing: Ints = np.zeros(len(view.grid), np.int64)
    prices: Floats = view.grid.missing_costs(view.planner.block_costs, nothing) + view.planner.score_costs
    return prices


def labels_of(opened: OpenedStudy, view: View, node: int) -> int:
    """Labels that an allocation trains on."""
    allocation = view.grid.checkpoint(node)
    assert isinstance(allocation, Allocation)
    return allocation.label_blocks * opened.scenario.recipe.labels_per_block


def _best_trained(view: View, rivals: Rivals) -> dict[str, object]:
    """The best that is trained, where it is not the best of all."""
    if not len(view.trained) or (node := view.choice.best_of(view.trained)) == rivals.nodes[rivals.named]:
        return {}
    behind = rivals.draws[:, rivals.named] - rivals.draws[:, np.searchsorted(rivals.nodes, node)]
    return {"best_trained": str(view.grid.checkpoint(node)), "best_trained_behind_points": triple(behind)}


def triple(draws: Floats) -> tuple[float, float, float]:
    """Mean, low and high."""
    spread = Spread.of(draws)
    return spread.mean, spread.low, spread.high


def _alternatives(opened: OpenedStudy, view: View, rivals: Rivals, margin: float) -> tuple[Alternative, ...]:
    """Of what cannot be distinguished from the named split: the cheapest, the one with fewest labels, the shortest."""
    nodes, named, full = rivals.nodes, rivals.named, full_prices(view)
    same = np.flatnonzero(alike(rivals.draws, named, margin))
    labels = np.array([labels_of(opened, view, node) for node in nodes.tolist()])
    measures: dict[str, tuple[Floats | Ints, float]] = {
        "cheapest": (full[nodes], CLEARLY_LESS),
        "fewest labels": (labels, 1.0),
        "fewest blocks": (view.grid.blocks[nodes], 1.0),
    }
    found: dict[int, list[str]] = {}
    means = rivals.draws.mean(0)
    for why, (measure, share) in measures.items():
        less = same[measure[same] < share * measure[named]]
        if len(less):
            best = min(less.tolist(), key=lambda place: (measure[place], -means[place]))
            found.setdefault(best, []).append(why)
    return tuple(
        Alternative(
            allocation=str(view.grid.checkpoint(int(nodes[place]))),
            why=tuple(why),
            mean=float(means[place]) / POINTS,
            behind_points=triple(rivals.draws[:, named] - rivals.draws[:, place]),
            labels=int(labels[place]),
            blocks=int(view.grid.blocks[nodes[place]]),
            gpu_seconds_full=round(float(full[nodes[place]]), 1),
            trained=bool(view.state[nodes[place]] > 0),
        )
        for place, why in found.items()
    )


def _notes(opened: OpenedStudy) -> tuple[str, ...]:
    """What must be read with the advice."""
    notes = []
    if opened.prices.unknown:
        notes.append(
            f"nothing is known of the cost of {', '.join(opened.prices.unknown)}: prices are shares of each other, no "
            f"time; `tuition measure` measures them"
        )
    if (warm := warm_start_of(opened.study)) is not None:
        notes.append(f"the study began with {warm.words}: a belief that its own scores may have refuted")
    if outside := sum(one.outside for one in opened.observed):
        notes.append(f"{outside} of the scores {'was' if outside == 1 else 'were'} told from outside")
    return tuple(notes)
