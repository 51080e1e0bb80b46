"""The sampler of a search: one of Optuna's, or our own, which knows what blocks and scores cost."""

from optuna.samplers import BaseSampler

from tuition.app.costs.route_prices import RoutePrices
from tuition.planner.planning.planner import Costs
from tuition.planner.planning.sampler import STRUCTURAL, StructuralSampler
from tuition.planner.sampler import SAMPLERS
from tuition.planner.storage import StudyError
from tuition.runners.scenarios.scenario import Scenario

CHOICES = (*SAMPLERS, STRUCTURAL)


def check_sampler(name: str) -> None:
    """StudyError for an unknown name."""
    if name not in CHOICES:
        raise StudyError(f"--sampler {name!r}: choose from {', '.join(CHOICES)}")


def needs_prices(name: str) -> bool:
    """Whether it proposes by what blocks and scores cost; it then also chooses which routes come first."""
    return name == STRUCTURAL


def make_sampler(name: str, seed: int, scenario: Scenario, prices: RoutePrices | None) -> str | BaseSampler:
    """What `tuition.planner.study.open_study` takes."""
    if prices is None or not needs_prices(name):
        return name
    kept = scenario.stages_keeping_states
    return StructuralSampler(scenario.space, lambda: Costs(prices.by_work(), prices.by_model(), kept), seed)
