"""Replay: a recorded seed, or a simulated problem, in place of training, for planners to search in microseconds.

What: `Replay` charges for a recorded allocation, or a teacher's checkpoint, what the live store would have charged, and
gives its recorded validation score: it keeps which blocks "are in the store", with or without optimizer state, and asks
`tuition.planner.cost.missing_blocks`, as the engine does. `run` takes one run after the other, `begin` and `next_done`
several at a time, on a simulated clock. `Replay.evaluate` and `Replay.route` are what `tuition.planner.study.search`
wants.

Only draw seeds can be replayed, and a replay holds no test score: planners are judged on the other seeds, by the table
itself (`tuition.benchmarks.evidence`).

Simplified: the store is never pruned; a block costs what it cost when it was recorded, each time that it is trained.
What a run in flight will do to the store counts as done for the runs begun after it, which wait for it: so several
workers are charged what one is. Live, two runs that fork from one tip at the same moment may both find its optimizer
state; here the second trains again, as it would after the first.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tuition.benchmarks.artefacts import finite
from tuition.benchmarks.statistics.intervals import Score
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, no_untrained_score
from tuition.benchmarks.tables.replay_source import Row, Source, recorded_source
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.cost import CheckpointState, Price, Work, charge, missing_blocks
from tuition.planner.coverage import distances
from tuition.planner.route import Block, Route
from tuition.planner.scores.outcome import Outcome, ScoreOnTheWay
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STUDENT


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


@dataclass(frozen=True)
class Running:
    """A run on one of the workers: what it ends at and scores on the way, its charge, and when it begins and ends."""

    checkpoint: Checkpoint
    on_the_way: tuple[Checkpoint, ...]
    charge: Charge
    began: float
    ends: float
    """Later than its charge says where it waits for blocks, rollouts or scores that other runs make."""


@dataclass(frozen=True)
class Done:
    """A run that has ended, and the validation scores that it made or found: of its end and of what it scored on the
    way."""

    running: Running
    scores: Mapping[Checkpoint, Score]


@dataclass
class _Store:
    """What the live results folder would hold after all runs begun so far, and when each part of it is there."""

    states: dict[str, CheckpointState] = field(default_factory=dict)
    blocks: dict[str, float] = field(default_factory=dict)
    rollouts: dict[str, float] = field(default_factory=dict)
    scored: dict[str, float] = field(default_factory=dict)
    """By weights."""

    def state(self, key: str) -> CheckpointState:
        return self.states.get(key, CheckpointState.absent)


class Replay:
    """One draw seed of a table, or another `Source` (`Replay.of`), and a store that is empty at first.

    Args:
        table: the recorded table.
        seed: one of its draw seeds.
        workers: how many runs may be in flight at once.

    Attributes:
        now: the simulated clock, in seconds: a worker is one device, so a GPU-second takes a second.

    Raises:
        RecordedError: for a seed that is only for judging, or is not recorded, and for no workers.
    """

    def __init__(self, table: RecordedTable, seed: int, workers: int = 1) -> None:
        # Nothing else of the table is kept: whoever holds a replay cannot look up a test score, or another seed.
        self._begin_with(recorded_source(table, seed), workers)

    @classmethod
    def of(cls, source: Source, workers: int = 1) -> "Replay":
        """A replay of any source, such as a simulated problem (`tuition.benchmarks.planning.problems`)."""
        replay = cls.__new__(cls)
        replay._begin_with(source, workers)
        return replay

    def _begin_with(self, source: Source, workers: int) -> None:
        self._source = source
        self._recorded = source.rows
        self._nearest: dict[Allocation, Route] = {}
        self._empty(workers)

    def _empty(self, workers: int) -> None:
        if workers < 1:
            raise RecordedError(f"workers={workers}; a replay needs at least 1")
        self.workers = workers
        self.now = 0.0
        self._store = _Store()
        self._in_flight: list[Running] = []

    def emptied(self, workers: int = 1) -> "Replay":
        """The same seed with an empty store: cheaper than another `Replay`, for many searches of one seed."""
        emptied = copy.copy(self)
        emptied._empty(workers)
        return emptied

    @property
    def seed(self) -> int:
        """The recorded seed, or the problem's number."""
        return self._source.seed

    @property
    def space(self) -> SearchSpace:
        """What may be proposed."""
        return self._source.space

    @property
    def block_seconds(self) -> Mapping[Work, float]:
        """GPU-seconds of one block by kind of work, on average, for planners that foresee costs."""
        return self._source.block_seconds

    @property
    def score_seconds(self) -> Mapping[str, float]:
        """GPU-seconds of a validation score by model, "student" or a teacher's name, on average."""
        return self._source.score_seconds

    @property
    def has_base_models(self) -> bool:
        """Whether all base models' validation scores are known."""
        return self._source.untrained.keys() >= {STUDENT, *self.space.teachers}

    @property
    def states_kept(self) -> frozenset[str]:
        """Stages of which every block keeps its optimizer state."""
        return self._source.states_kept

    @property
    def dearest(self) -> float:
        """GPU-seconds of the dearest single route of the space, with its score: R, in which searches are priced."""
        return self._source.dearest

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """The allocations that are recorded with this seed."""
        return tuple(one for one in self._recorded if isinstance(one, Allocation))

    @property
    def teachers(self) -> tuple[TeacherCheckpoint, ...]:
        """The teachers' checkpoints that are recorded with this seed."""
        return tuple(one for one in self._recorded if isinstance(one, TeacherCheckpoint))

    @property
    def in_flight(self) -> tuple[Running, ...]:
        """The runs begun that have not ended, in the order of their beginning."""
        return tuple(self._in_flight)

    def checkpoints(self, allocation: Allocation) -> tuple[Checkpoint, ...]:
        """What the allocation's route passes, itself included, as far as it is recorded with this seed."""
        return tuple(one for one in allocation.checkpoints() if one in self._recorded)

    def _look_up(self, checkpoint: Checkpoint) -> Row:
        recorded = self._recorded.get(checkpoint)
        if recorded is None:
            raise RecordedError(
                f"'{checkpoint}' is not recorded with seed {self.seed}; {len(self._recorded)} others are: "
                "choose one of `allocations` or `teachers`"
            )
        return recorded

    def route(self, checkpoint: Checkpoint) -> Route:
        """The route to a recorded checkpoint; RecordedError for one that is not recorded with this seed."""
        return self._look_up(checkpoint).route

    def nearest_route(self, allocation: Allocation) -> Route:
        """The route of the recorded allocation that is nearest by `tuition.planner.coverage.distances`, itself if
        recorded.

        With it, a study can search the whole space of the scenario. Never a control, which no search could propose; the
        first in the file among equally near ones.
        """
        if allocation in self._recorded:
            return self._recorded[allocation].route
        if allocation not in self._nearest:
            known = self._source.proposals
            apart = distances(self.space, [allocation], known)[0]
            self._nearest[allocation] = self._recorded[known[int(apart.argmin())]].route
        return self._nearest[allocation]

    def marginal_cost(self, checkpoint: Checkpoint, on_the_way: Sequence[Checkpoint] = ()) -> Charge:
        """What a run would be charged if it began now; charges nothing.

        What runs in flight make, it need not pay for.

        Args:
            checkpoint: what is trained and scored.
            on_the_way: what is scored as well, of what its route passes.

        Raises:
            RecordedError: for what is not recorded with this seed, or not on the way.
        """
        recorded = self._look_up(checkpoint)
        missing = missing_blocks(recorded.route, self._store.state)
        training = sum(charge((recorded.prices[block.key] for block in missing), self._store.rollouts))
        scores = {one.weights_sha256: one.scoring_gpu_seconds for one in self._to_score(recorded, on_the_way)}
        return Charge(missing, training, sum(scores[key] for key in scores if key not in self._store.scored))

    def _to_score(self, recorded: Row, on_the_way: Sequence[Checkpoint]) -> list[Row]:
        passed = {block.key for block in recorded.route.blocks} if on_the_way else set()
        rows = [self._look_up(checkpoint) for checkpoint in on_the_way]
        for checkpoint, row in zip(on_the_way, rows, strict=True):
            if row.route.final not in passed:
                raise RecordedError(
                    f"'{checkpoint}' is not on the way to '{recorded.route.checkpoint}': choose of its `checkpoints`"
                )
        return [*rows, recorded]

    def begin(self, checkpoint: Checkpoint, on_the_way: Sequence[Checkpoint] = ()) -> Running:
        """Start a run on a worker that is idle, as the engine would: it trains what is missing, and then scores.

        It claims what is missing; what a run in flight makes is waited for and not charged again. Its scores are not
        to be had before `next_done` returns it.

        Raises:
            RecordedError: as `marginal_cost`, and where no worker is idle.
        """
        if len(self._in_flight) >= self.workers:
            raise RecordedError(f"all workers ({self.workers}) are busy: next_done() waits for one")
        cost, recorded = self.marginal_cost(checkpoint, on_the_way), self._look_up(checkpoint)
        needed = missing_blocks(recorded.route, self._state_now) if self._in_flight else cost.blocks
        trained_at = self._train(needed, {block.key for block in cost.blocks}, recorded.prices)
        ends = self._score(self._to_score(recorded, on_the_way), trained_at)
        running = Running(checkpoint, tuple(on_the_way), cost, self.now, ends)
        self._in_flight.append(running)
        return running

    def _state_now(self, key: str) -> CheckpointState:
        """A checkpoint's state, but for those that are being trained."""
        return CheckpointState.absent if self._store.blocks.get(key, 0.0) > self.now else self._store.state(key)

    def _train(self, needed: Sequence[Block], own: set[str], prices: Mapping[str, Price]) -> float:
        """When the needed blocks are there, of which a run trains its own and waits for the others."""
        store, time = self._store, self.now
        for block in needed:
            time = max(time, store.blocks.get(block.key, 0.0))
            if block.key not in own:
                continue
            price = prices[block.key]
            if price.rollouts is not None:
                made = store.rollouts.setdefault(price.rollouts, time + price.rollouts_gpu_seconds)
                time = max(time, made)
            time += price.gpu_seconds
            store.blocks[block.key] = time
            store.states[block.key] = CheckpointState.resumable
            # As `tuition.runners.training.block_trainer` does: only the tip of a stage keeps its optimizer state.
            if block.continues_stage and block.stage not in self.states_kept:
                store.states[block.parent] = CheckpointState.evaluable
        return time

    def _score(self, rows: Sequence[Row], time: float) -> float:
        """When the scores are there, begun at a time, of which a run waits for those that others make."""
        for row in rows:
            time = max(time, self._store.scored.setdefault(row.weights_sha256, time + row.scoring_gpu_seconds))
        return time

    def next_done(self) -> Done:
        """Let the clock go on to the end of the next run; the one begun first, where several end together.

        Raises:
            RecordedError: where no run is in flight.
        """
        if not self._in_flight:
            raise RecordedError("no run is in flight: begin() one first")
        running = min(self._in_flight, key=lambda run: run.ends)
        self._in_flight.remove(running)
        self.now = running.ends
        scored = (*running.on_the_way, running.checkpoint)
        return Done(running, {checkpoint: self._recorded[checkpoint].validation for checkpoint in scored})

    def run(self, checkpoint: Checkpoint, on_the_way: Sequence[Checkpoint] = ()) -> Charge:
        """Begin a run and wait for it: what it cost, after which all of it is in the store.

        Raises:
            RecordedError: as `marginal_cost`, and while other runs are in flight.
        """
        if self._in_flight:
            raise RecordedError(f"{len(self._in_flight)} runs are in flight: begin() the next, or wait for them first")
        self.begin(checkpoint, on_the_way)
        return self.next_done().running.charge

    def score(self, checkpoint: Checkpoint) -> tuple[Score, float]:
        """The validation score of a checkpoint in the store, and what it is charged: 0 if its weights were scored.

        With several workers, `begin` of a stored checkpoint scores it on one of them.

        Raises:
            RecordedError: as `run`, and for a checkpoint that is not in the store.
        """
        if self.marginal_cost(checkpoint).blocks:
            raise RecordedError(f"'{checkpoint}' is not in the store: run it, or what passes it, first")
        return self._look_up(checkpoint).validation, self.run(checkpoint).gpu_seconds

    def score_untrained(self, model: str) -> tuple[Score, float]:
        """The validation score of a base model, "student" or a teacher's name, and what it is charged: 0 the next time.

        Its price takes no time of a worker.

        Raises:
            RecordedError: for a model whose score is not recorded.
        """
        if model not in self._source.untrained:
            raise no_untrained_score(model, self._source.untrained)
        score, price = self._source.untrained[model]
        scored = f"untrained:{model}"
        charged = 0.0 if scored in self._store.scored else price
        self._store.scored[scored] = self.now
        return score, charged

    def evaluate(
        self, number: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint] = ()
    ) -> Outcome:
        """What `tuition.planner.study.search` wants of an evaluation, with the attributes of a live one.

        `route` may be that of the nearest recorded allocation; "allocation" is then what was evaluated, and "proposed"
        what was asked for. What is asked for on the way is scored as far as the route passes it and it is recorded.
        """
        evaluated = route.allocation
        recorded = self._look_up(evaluated)
        passed = [one for one in self.checkpoints(evaluated)[:-1] if one in on_the_way]
        scoring = self._prices_of_scores(passed)
        cost, score = self.run(evaluated, passed), recorded.validation
        proposed = {} if evaluated == allocation else {"proposed": str(allocation)}
        return Outcome(
            score.mean,
            {
                "allocation": str(evaluated),
                "allocation_id": evaluated.id,
                **proposed,
                "se_problems": finite(score.se_problems),
                "se_samples": finite(score.se_samples),
                "labels_trained": recorded.labels_trained,
                "gpu_seconds": round(cost.gpu_seconds, 3),
                "gpu_seconds_full": round(recorded.gpu_seconds_full, 3),
                "gpu_seconds_marginal": round(cost.training_gpu_seconds, 3),
                "blocks_requested": len(route.blocks),
                "blocks_executed": len(cost.blocks),
                "weights_sha256": recorded.weights_sha256,
            },
            {one: self._score_on_the_way(one, price) for one, price in zip(passed, scoring, strict=True)},
        )

    def price(self, route: Route, on_the_way: Sequence[Checkpoint] = ()) -> float:
        """What `evaluate` of the same would be charged: for `tuition.planner.searching.trial_loop.StudyLimits`."""
        passed = [one for one in self.checkpoints(route.allocation)[:-1] if one in on_the_way]
        return self.marginal_cost(route.allocation, passed).gpu_seconds

    def evaluate_untrained(self, model: str) -> ScoreOnTheWay:
        """`score_untrained` as a study keeps it."""
        score, price = self.score_untrained(model)
        return ScoreOnTheWay(score.mean, finite(score.se_problems), finite(score.se_samples), round(price, 3), None)

    def _prices_of_scores(self, checkpoints: Sequence[Checkpoint]) -> list[float]:
        """What each of them would be charged for its score, if they were scored now, in this order."""
        scored, prices = set(self._store.scored), []
        for row in map(self._look_up, checkpoints):
            prices.append(0.0 if row.weights_sha256 in scored else row.scoring_gpu_seconds)
            scored.add(row.weights_sha256)
        return prices

    def _score_on_the_way(self, checkpoint: Checkpoint, gpu_seconds: float) -> ScoreOnTheWay:
        row = self._look_up(checkpoint)
        return ScoreOnTheWay(
            row.validation.mean,
            finite(row.validation.se_problems),
            finite(row.validation.se_samples),
            round(gpu_seconds, 3),
            row.weights_sha256,
            {"labels_trained": row.labels_trained, "gpu_seconds_full": round(row.gpu_seconds_full, 3)},
        )
