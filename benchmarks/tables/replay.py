"""Replay: a recorded seed in place of training, for planners to search in microseconds.

What: `Replay` gives a recorded allocation's validation outcome and charges what the live store would have charged: it
keeps which blocks "are in the store", with or without optimizer state, and asks `tuition.planner.cost.missing_blocks`,
as the engine does. `Replay.evaluate` and `Replay.route` are what `tuition.planner.study.search` wants.

Only draw seeds can be replayed, and a replay knows no test score: planners are judged on the other seeds, by the
table itself (`tuition.benchmarks.tables.evidence`).

Simplified: the store is never pruned; a block costs what it cost when it was recorded, each time that it is trained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tuition.benchmarks.artefacts import finite
from tuition.benchmarks.statistics.intervals import Score, avg_at_k
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedRun, RecordedTable, role_of
from tuition.planner.allocation import Allocation
from tuition.planner.cost import CheckpointState, Price, charge, missing_blocks
from tuition.planner.coverage import distances
from tuition.planner.route import Block, Route
from tuition.planner.study import Outcome


@dataclass(frozen=True)
class _Recorded:
    """One allocation of the seed: its route, its row, its validation score, and its blocks' prices by key."""

    route: Route
    run: RecordedRun
    validation: Score
    prices: Mapping[str, Price]


@dataclass(frozen=True)
class Charge:
    """What a run costs, given what is in the store: the blocks to train, and GPU-seconds of training and of scoring."""

    blocks: tuple[Block, ...]
    training_gpu_seconds: float
    scoring_gpu_seconds: float

    @property
    def gpu_seconds(self) -> float:
        """All of it."""
        return self.training_gpu_seconds + self.scoring_gpu_seconds


@dataclass
class _Store:
    """What the live results folder would hold: checkpoints, teacher rollouts, and scored weights."""

    states: dict[str, CheckpointState] = field(default_factory=dict)
    rollouts: set[str] = field(default_factory=set)
    scored: set[str] = field(default_factory=set)


class Replay:
    """One draw seed of a table, and a store that is empty at first.

    Raises:
        RecordedError: for a seed that is only for judging, or is not recorded.
    """

    def __init__(self, table: RecordedTable, seed: int) -> None:
        draws = ", ".join(map(str, table.seeds("draw"))) or "none yet"
        if role_of(seed) != "draw":
            raise RecordedError(f"seed {seed} is for judging only: planners may draw from {draws}")
        if seed not in table.seeds("draw"):
            raise RecordedError(f"seed {seed} is not recorded: planners may draw from {draws}")
        self.table = table
        self.seed = seed
        self._recorded = {
            route.allocation: _Recorded(
                route,
                run,
                avg_at_k(table.correct_PK(route.allocation, seed, "validation")),
                {block.key: block.price for block in run.blocks},
            )
            for route, run in zip(table.routes, table.runs, strict=True)
            if run.seed == seed
        }
        self._nearest: dict[Allocation, Route] = {}
        self._store = _Store()

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """The allocations that are recorded with this seed."""
        return tuple(self._recorded)

    def _look_up(self, allocation: Allocation) -> _Recorded:
        recorded = self._recorded.get(allocation)
        if recorded is None:
            self.table.run(allocation, self.seed)  # raises, and says what is recorded
            raise AssertionError(f"{allocation} is in the table and not in its replay")
        return recorded

    def route(self, allocation: Allocation) -> Route:
        """The route of a recorded allocation; RecordedError for one that is not recorded with this seed."""
        return self._look_up(allocation).route

    def nearest_route(self, allocation: Allocation) -> Route:
        """The route of the recorded allocation that is nearest by `tuition.planner.coverage.distances`, itself if
        recorded.

        With it, a study can search the whole space of the scenario. Never a control, which no search could propose; the
        first in the file among equally near ones.
        """
        if allocation in self._recorded:
            return self._recorded[allocation].route
        if allocation not in self._nearest:
            known = [one for one in self.allocations if self.table.header.space.holds(one)] or self.allocations
            apart = distances(self.table.header.space, [allocation], known)[0]
            self._nearest[allocation] = self._recorded[known[int(apart.argmin())]].route
        return self._nearest[allocation]

    def validation(self, allocation: Allocation) -> Score:
        """The recorded validation score; RecordedError for an allocation that is not recorded with this seed."""
        return self._look_up(allocation).validation

    def marginal_cost(self, allocation: Allocation) -> Charge:
        """What the allocation would cost now; charges nothing. RecordedError as `route`."""
        recorded = self._look_up(allocation)
        states = self._store.states
        missing = missing_blocks(recorded.route, _state_of(states))
        training = sum(charge((recorded.prices[block.key] for block in missing), self._store.rollouts))
        scored = recorded.run.weights_sha256 in self._store.scored
        return Charge(missing, training, 0.0 if scored else recorded.run.validation_gpu_seconds)

    def run(self, allocation: Allocation) -> Charge:
        """Train and score the allocation as the engine would: what it cost, after which it is in the store."""
        charge = self.marginal_cost(allocation)
        recorded = self._recorded[allocation]
        for block in charge.blocks:
            self._store.states[block.key] = CheckpointState.resumable
            # As `tuition.runners.training.block_trainer` does: only the tip of a stage keeps its optimizer state.
            if block.continues_stage and block.stage not in self.table.header.states_kept:
                self._store.states[block.parent] = CheckpointState.evaluable
            rollouts = recorded.prices[block.key].rollouts
            if rollouts is not None:
                self._store.rollouts.add(rollouts)
        self._store.scored.add(recorded.run.weights_sha256)
        return charge

    def evaluate(self, number: int, allocation: Allocation, route: Route) -> Outcome:
        """What `tuition.planner.study.search` wants of an evaluation, with the attributes of a live one.

        `route` may be that of the nearest recorded allocation; "allocation" is then what was evaluated, and "proposed"
        what was asked for.
        """
        evaluated = route.allocation
        score = self.validation(evaluated)
        charge = self.run(evaluated)
        run = self._recorded[evaluated].run
        proposed = {} if evaluated == allocation else {"proposed": str(allocation)}
        return Outcome(
            score.mean,
            {
                "allocation": str(evaluated),
                "allocation_id": evaluated.id,
                **proposed,
                "se_problems": finite(score.se_problems),
                "se_samples": finite(score.se_samples),
                "labels_trained": run.labels_trained,
                "gpu_seconds": round(charge.gpu_seconds, 3),
                "gpu_seconds_full": round(run.gpu_seconds_full, 3),
                "gpu_seconds_marginal": round(charge.training_gpu_seconds, 3),
                "blocks_requested": len(route.blocks),
                "blocks_executed": len(charge.blocks),
                "weights_sha256": run.weights_sha256,
            },
        )


def _state_of(states: dict[str, CheckpointState]) -> Callable[[str], CheckpointState]:
    return lambda key: states.get(key, CheckpointState.absent)
