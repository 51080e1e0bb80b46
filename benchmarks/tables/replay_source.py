"""What a replay replays: a row for each checkpoint, from a recorded seed or worked out when it is asked for.

A `Source` holds validation scores only, and no seed but one: whoever holds it cannot look up what planners are judged
by.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from tuition.benchmarks.statistics.intervals import Score, avg_at_k
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, role_of
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import Price, Work, charge, work_of
from tuition.planner.route import Route
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STUDENT


@dataclass(frozen=True)
class Row:
    """A checkpoint of one seed, without its test score: its route, its blocks' prices by key, its validation score."""

    route: Route
    prices: Mapping[str, Price]
    validation: Score
    scoring_gpu_seconds: float
    weights_sha256: str
    gpu_seconds_full: float
    labels_trained: int


@dataclass(frozen=True)
class Source:
    """Everything that can be trained with one seed.

    Attributes:
        seed: of the recording, or the number of a simulated problem.
        space: what may be proposed.
        rows: by checkpoint, students and teachers. A row is looked up when it is asked for, so that it may be worked
            out only then; asking whether it is there must be cheap.
        untrained: base models' validation scores and their prices.
        states_kept: stages of which every block keeps its optimizer state.
        block_seconds: GPU-seconds of one block by kind of work, on average: what a planner may foresee costs from.
        score_seconds: the same of a score, by model: "student" or a teacher's name.
        dearest: GPU-seconds of the dearest single route of the space, with its score: R, the unit of a search's price.
    """

    seed: int
    space: SearchSpace
    rows: Mapping[Checkpoint, Row]
    untrained: Mapping[str, tuple[Score, float]]
    states_kept: frozenset[str]
    block_seconds: Mapping[Work, float]
    score_seconds: Mapping[str, float]
    dearest: float

    @cached_property
    def proposals(self) -> Sequence[Allocation]:
        """The allocations that a search may be handed; where the space holds none of them, all."""
        allocations = [one for one in self.rows if isinstance(one, Allocation)]
        return [one for one in allocations if self.space.holds(one)] or allocations


def recorded_source(table: RecordedTable, seed: int) -> Source:
    """A draw seed of a table. RecordedError for a seed that is only for judging, or is not recorded."""
    draws = ", ".join(map(str, table.seeds("draw"))) or "none yet"
    if role_of(seed) != "draw":
        raise RecordedError(f"seed {seed} is for judging only: planners may draw from {draws}")
    if seed not in table.seeds("draw"):
        raise RecordedError(f"seed {seed} is not recorded: planners may draw from {draws}")
    rows: dict[Checkpoint, Row] = {
        route.checkpoint: Row(
            route,
            {block.key: block.price for block in run.blocks},
            avg_at_k(table.correct_PK(route.checkpoint, seed, "validation")),
            run.validation_gpu_seconds,
            run.weights_sha256,
            run.gpu_seconds_full,
            run.labels_trained,
        )
        for route, run in zip((*table.routes, *table.teacher_routes), table.rows, strict=True)
        if run.seed == seed
    }
    space = table.header.space
    costs = {one: row.gpu_seconds_full + row.scoring_gpu_seconds for one, row in rows.items()}
    proposals = [cost for one, cost in costs.items() if isinstance(one, Allocation) and space.holds(one)]
    untrained = {
        model: (avg_at_k(table.untrained_validation_PK(model)), score.gpu_seconds)
        for model, score in table.header.untrained_validation.items()
    }
    return Source(
        seed,
        space,
        rows,
        untrained,
        frozenset(table.header.states_kept),
        _block_seconds(rows.values()),
        _score_seconds(rows, {model: price for model, (_, price) in untrained.items()}, space),
        dearest=max(proposals or costs.values()),
    )


def _block_seconds(rows: Iterable[Row]) -> dict[Work, float]:
    """Means over distinct blocks, rollouts charged to the first that needs them."""
    prices: dict[Work, dict[str, Price]] = {}
    for row in rows:
        for block in row.route.blocks:
            prices.setdefault(work_of(block), {})[block.key] = row.prices[block.key]
    return {work: fmean(charge(own.values())) for work, own in prices.items()}


def _score_seconds(
    rows: Mapping[Checkpoint, Row], untrained: Mapping[str, float], space: SearchSpace
) -> dict[str, float]:
    """Means over checkpoints; of a teacher without any its base model's, or the student's."""
    seconds: dict[str, list[float]] = {}
    for checkpoint, row in rows.items():
        model = STUDENT if isinstance(checkpoint, Allocation) else checkpoint.teacher
        seconds.setdefault(model, []).append(row.scoring_gpu_seconds)
    student = fmean(seconds.get(STUDENT) or [0.0])
    otherwise = {model: untrained.get(model, student) for model in (STUDENT, *space.teachers)}
    return {**otherwise, **{model: fmean(own) for model, own in seconds.items()}}
