"""What a search's routes cost by the best of what is known: in full, and as a results folder stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tuition.app.costs.block_costs import ScoreCosts, block_costs
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.cost import Cost, Source, Total, Work, missing_blocks, work_of
from tuition.planner.planning.planner import Costs
from tuition.planner.route import Route, compile_checkpoint, compile_route
from tuition.planner.stages import STUDENT
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario


@dataclass(frozen=True)
class DearestRoute:
    """The dearest route of a search space with its score: R, the unit in which a search is priced."""

    allocation: Allocation
    total: Total


class RoutePrices:
    """Predicted prices of a scenario's routes and scores.

    Args:
        scenario: whose routes.
        folder: the results folder that measured costs come from.
    """

    def __init__(self, scenario: Scenario, folder: ResultsFolder) -> None:
        self.scenario, self._folder = scenario, folder
        self._works = {
            work_of(block)
            for allocation in scenario.space.corners()
            for block in compile_route(allocation, scenario.recipe, seed=0).blocks
        }
        self._read()

    def _read(self) -> None:
        measured = MeasuredBlocks(self.scenario, self._folder)
        self.blocks, self.scores = block_costs(self.scenario, measured), ScoreCosts(self.scenario, measured)

    def refresh(self) -> None:
        """Look again for measured costs, unless all are."""
        if any(cost.source is not Source.measured for cost in self._used().values()):
            self._read()

    def score(self, model: str = STUDENT, suite: SuiteKind = "validation") -> Cost:
        """Of a checkpoint that grew from a base model, "student" or a teacher's name."""
        return self.scores.of(suite, model)

    def by_work(self) -> dict[Work, float]:
        """Of one block, by kind of work; without what is unknown."""
        known = {work: self.blocks.costs[work].seconds for work in self._works}
        return {work: seconds for work, seconds in known.items() if seconds is not None}

    def weights(self) -> dict[Work, float]:
        """The same of all kinds: what is unknown weighs as much as the mean of what is known, or 1. No time."""
        known = self.by_work()
        unknown = fmean(known.values()) if known else 1.0
        return {work: known.get(work, unknown) for work in sorted(self._works, key=str)}

    def by_model(self) -> dict[str, float]:
        """Of one validation score, by base model; without what is unknown."""
        known = {model: self.score(model).seconds for model in (STUDENT, *self.scenario.space.teachers)}
        return {model: seconds for model, seconds in known.items() if seconds is not None}

    def costs(self) -> Costs:
        """As our own planner is told them: a score of unknown cost costs as much as the others, on the mean."""
        known = self.by_model()
        unknown = fmean(known.values()) if known else 0.0
        scores = {model: known.get(model, unknown) for model in (STUDENT, *self.scenario.space.teachers)}
        return Costs(self.weights(), scores, frozenset(self.scenario.stages_keeping_states))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of what a route of the space may need and of which nothing is known."""
        return Total.of(self._used().items()).unknown

    def _used(self) -> Mapping[str, Cost]:
        blocks = {f"a block of {work}": self.blocks.costs[work] for work in sorted(self._works, key=str)}
        scores = {f"a score of {model}": self.score(model) for model in (STUDENT, *self.scenario.space.teachers)}
        return {**blocks, **scores}

    def full(self, route: Route) -> Total:
        """The whole route and its validation score."""
        return self.blocks.total(route.blocks) + Total.of([("score", self.score())])

    def dearest(self) -> DearestRoute:
        """R. Of a space of which a part is unknown, the dearest by what is known."""
        found = [
            DearestRoute(allocation, self.full(compile_route(allocation, self.scenario.recipe, seed=0)))
            for allocation in self.scenario.space.corners()
        ]
        return max(found, key=lambda one: one.total.at_least)

    def still_costs(self, runner: RouteRunner, route: Route, on_the_way: Sequence[Checkpoint]) -> float:
        """Device-seconds of what is missing of a route, with the scores of its end and on its way."""
        total = self.blocks.total(missing_blocks(route, runner.store.state))
        for checkpoint in (*on_the_way, route.checkpoint):
            final = compile_checkpoint(checkpoint, self.scenario.recipe, route.seed).final
            if not runner.is_scored(final, "validation"):
                model = checkpoint.teacher if isinstance(checkpoint, TeacherCheckpoint) else STUDENT
                total += Total.of([("score", self.score(model))])
        return total.at_least
