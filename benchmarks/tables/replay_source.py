"""What a replay replays: a row for each checkpoint, from a recorded seed or worked out when it is asked for.

A `Source` holds validation scores only, and no seed but one: whoever holds it cannot look up what planners are judged
by.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tuition.benchmarks.statistics.intervals import Score, avg_at_k
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, role_of
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import Price
from tuition.planner.route import Route
from tuition.planner.space import SearchSpace


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
        dearest: GPU-seconds of the dearest single route of the space, with its score: R, the unit of a search's price.
    """

    seed: int
    space: SearchSpace
    rows: Mapping[Checkpoint, Row]
    untrained: Mapping[str, tuple[Score, float]]
    states_kept: frozenset[str]
    dearest: float


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
    dearest = max(proposals or costs.values())
    return Source(seed, space, rows, untrained, frozenset(table.header.states_kept), dearest)
