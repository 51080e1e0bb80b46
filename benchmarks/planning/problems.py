"""Simulated problems: an exact truth, replayed with the same store, charges and workers as a recorded table.

    problem = simulated_problem("matched", 3)     # numbers below 1,000: to tune a planner on
    replay = problem.replay()                     # or simulated_replay("matched", 3): what a planner is given
    search(study, replay.space, replay.nearest_route, replay.evaluate, StudyLimits(gpu_seconds=replay.dearest))
    problem.truth(allocation), problem.best, problem.regret(allocation)

`replay.dearest` is R. Scores are fractions, as real ones. `tuition.benchmarks.planning.families` says what each family
draws; a world whose best allocation is less than `LEAST_SPREAD` above the median one is drawn again.

**Numbers below `FIRST_JUDGING` are for tuning planners, the others for judging them** (`tuition race` judges on those):
a planner must never have been tuned on what judges it.

A checkpoint's validation score = its truth + luck + noise. Noise is drawn once per checkpoint, luck once per block:
along a route's blocks e_1 = z_1, e_i = c · e_(i-1) + √(1 - c²) · z_i with c = `CARRIED`, so that every checkpoint's
luck has the family's standard deviation and two checkpoints share it as far as they share blocks. Both are drawn from
(family, number, key of the block), so the order of asking does not matter; the truth has no luck, as other seeds would
have other luck.

Simplified: rollouts cost nothing, a score's price is the same for every model.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from statistics import median

import numpy as np
from scipy.special import ndtri

from tuition.benchmarks.baselines import baseline_allocations
from tuition.benchmarks.planning.families import FAMILIES
from tuition.benchmarks.planning.worlds import NONE, Counts, FloatArray, World
from tuition.benchmarks.statistics.intervals import Score
from tuition.benchmarks.tables.recorded_table import RecordedError
from tuition.benchmarks.tables.replay import Replay
from tuition.benchmarks.tables.replay_source import Row, Source
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.cost import Price, Work, work_of
from tuition.planner.route import Label, Recipe, Route, compile_checkpoint, derive_seed
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STAGES, STUDENT

FIRST_JUDGING = 1000
LEAST_SPREAD = 4.0
"""Points between the best and the median allocation; our choice."""
CARRIED = 0.9  # our choice
POINTS = 100.0
STAGES_USED = ("teacher_rl", "warmup", "opd", "student_rl")


class ProblemError(RecordedError):
    """A family or a problem that does not exist; one line with the choices."""


class Problem:
    """One problem of a family.

    Attributes:
        family: one of `FAMILIES`.
        number: below `FIRST_JUDGING` to tune on, from there on to judge.
        world: what was drawn.
        names: baselines' allocations by name, of the first teacher and bridges of half the longest.

    Raises:
        ProblemError: for an unknown family or a negative number.
    """

    def __init__(self, family: str, number: int) -> None:
        if family not in FAMILIES:
            raise ProblemError(f"unknown family {family!r}; choose from {', '.join(FAMILIES)}")
        if number < 0:
            raise ProblemError(f"problem {number}: numbers start at 0")
        self.family, self.number = family, number
        attempt = 0
        while True:
            world = FAMILIES[family](np.random.default_rng(derive_seed("problem", family, number, attempt)))
            truths = world.student(all_counts(world))
            if truths.max() - median(truths) >= LEAST_SPREAD:
                break
            attempt += 1
        self.world, self.truths = world, truths / POINTS
        self.names: Mapping[str, Allocation] = baseline_allocations(
            world.space.teachers[0],
            world.space.num_label_blocks,
            (world.space.max_warmup + 1) // 2,
            (world.space.max_opd + 1) // 2,
        )

    @property
    def best(self) -> float:
        """The true score of the best allocation, a fraction."""
        return float(self.truths.max())

    def truth(self, checkpoint: Checkpoint) -> float:
        """The true score of what a route passes, a fraction. ProblemError for what the problem does not have."""
        if checkpoint not in self._rows:
            raise ProblemError(f"'{checkpoint}' is not in the search space of {self.family} {self.number}")
        return true_score(self.world, checkpoint)

    def regret(self, allocation: Allocation) -> float:
        """How much less it truly scores than the best, a fraction."""
        return self.best - self.truth(allocation)

    def replay(self, workers: int = 1) -> Replay:
        """A replay with an empty store. Replays of one problem share what was worked out."""
        return Replay.of(self._source, workers)

    @cached_property
    def _rows(self) -> "_Rows":
        return _Rows(self.family, self.number, self.world)

    @cached_property
    def _source(self) -> Source:
        rows, world = self._rows, self.world
        untrained = {
            name: (rows.score(base_score(world, name), f"untrained:{name}"), world.prices.score)
            for name in (STUDENT, *world.space.teachers)
        }
        models = dict.fromkeys((STUDENT, *world.space.teachers), world.prices.score)
        return Source(
            self.number, world.space, rows, untrained, frozenset(), block_seconds(world), models, dearest(world)
        )  # fmt: skip


def simulated_problem(family: str, number: int) -> Problem:
    """A problem with its truth, for those who judge. ProblemError as `Problem`."""
    return Problem(family, number)


def simulated_replay(family: str, number: int, workers: int = 1) -> Replay:
    """A problem as a planner sees it. ProblemError as `Problem`."""
    return Problem(family, number).replay(workers)


def all_counts(world: World) -> Counts:
    """Every allocation of the space, once."""
    space = world.space
    blocks = np.arange(space.num_label_blocks + 1)
    teachers, warmup, opd = range(len(space.teachers)), np.arange(space.max_warmup + 1), np.arange(space.max_opd + 1)
    grid = [a.ravel() for a in np.meshgrid(teachers, blocks, warmup, opd, blocks, indexing="ij")]
    _, t, w, o, s = grid
    kept = (t + s >= 1) & (t + s <= space.num_label_blocks) & (w + o >= 1)
    direct = [np.full(len(blocks) - 1, NONE), *(np.zeros_like(blocks[1:]) for _ in range(3)), blocks[1:]]
    return Counts(*(np.concatenate([column[kept], own]) for column, own in zip(grid, direct, strict=True)))


def counts_of(world: World, allocation: Allocation) -> Counts:
    """One allocation as arrays of one."""
    teacher = NONE if allocation.teacher is None else world.space.teachers.index(allocation.teacher)
    row = (teacher, allocation.teacher_rl, allocation.warmup, allocation.opd, allocation.student_rl)
    return Counts(*(np.array([count]) for count in row))


def true_score(world: World, checkpoint: Checkpoint) -> float:
    """A fraction."""
    if isinstance(checkpoint, TeacherCheckpoint):
        place = world.space.teachers.index(checkpoint.teacher)
        return float(world.teacher(place, np.array([checkpoint.blocks]))[0]) / POINTS
    return float(world.student(counts_of(world, checkpoint))[0]) / POINTS


def base_score(world: World, model: str) -> float:
    """The true score of a base model, a fraction."""
    if model == STUDENT:
        return true_score(world, Allocation())
    return float(world.teacher(world.space.teachers.index(model), np.array([0]))[0]) / POINTS


def block_seconds(world: World) -> dict[Work, float]:
    """What a block costs, by kind of work."""
    prices, teachers = world.prices, world.space.teachers
    return {
        Work("student_rl", STUDENT): prices.student,
        **{Work("teacher_rl", name): own for name, own in zip(teachers, prices.teacher, strict=True)},
        **{Work("warmup", STUDENT, name): prices.warmup for name in teachers},
        **{Work("opd", STUDENT, name): prices.opd for name in teachers},
    }


def dearest(world: World) -> float:
    """R: the dearest single route with its score."""
    counts, prices = all_counts(world), world.prices
    teachers: FloatArray = np.array([*prices.teacher, 0.0])[counts.teacher]  # NONE is the last
    seconds = counts.t * teachers + counts.w * prices.warmup + counts.o * prices.opd + counts.s * prices.student
    return float(seconds.max()) + prices.score


def simulated_recipe(space: SearchSpace, name: str) -> Recipe:
    """What gives the blocks of a simulated search their keys: a label a block, and nothing that could be trained."""
    return Recipe(
        student="student",
        teachers={teacher: f"teacher {teacher}" for teacher in space.teachers},
        labels=tuple(Label(f"label-{i}", f"problem {i}", f"label {i}") for i in range(space.num_label_blocks)),
        labels_per_block=1,
        prompts_sha256="prompts",
        stages={stage.name: {"revision": stage.revision} for stage in STAGES},
        environment={"simulated": name},
    )


class _Rows(Mapping[Checkpoint, Row]):
    """Rows of a problem, each worked out when it is first asked for."""

    def __init__(self, family: str, number: int, world: World) -> None:
        self._seed = f"{family}:{number}"
        self._number, self._world = number, world
        self._recipe = simulated_recipe(world.space, self._seed)
        self._seconds = block_seconds(world)
        self._known: dict[Checkpoint, Row] = {}
        self._normal: dict[str, float] = {}

    def __contains__(self, checkpoint: object) -> bool:
        space = self._world.space
        if isinstance(checkpoint, TeacherCheckpoint):
            known = checkpoint.teacher in space.teachers and checkpoint.stage == "teacher_rl"
            return known and checkpoint.blocks <= space.num_label_blocks
        if not isinstance(checkpoint, Allocation) or checkpoint.prompts != "pool" or checkpoint.replay:
            return False
        if checkpoint.teacher is None:
            return 0 < checkpoint.label_blocks <= space.num_label_blocks
        return (
            checkpoint.teacher in space.teachers
            and not any(checkpoint.blocks(stage) for stage in STAGES if stage.name not in STAGES_USED)
            and checkpoint.label_blocks <= space.num_label_blocks
            and checkpoint.warmup <= space.max_warmup
            and checkpoint.opd <= space.max_opd
        )

    @cached_property
    def _all(self) -> tuple[Checkpoint, ...]:
        space = self._world.space
        bridges = [
            dict(teacher=teacher, warmup=w, opd=o)
            for teacher in space.teachers
            for w in range(space.max_warmup + 1)
            for o in range(space.max_opd + 1)
            if w + o
        ]
        blocks = range(1, space.num_label_blocks + 1)
        teachers = [TeacherCheckpoint(teacher=k, stage="teacher_rl", blocks=t) for k in space.teachers for t in blocks]
        return (*space.allocations(), *(Allocation(**bridge) for bridge in bridges), *teachers)

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, checkpoint: Checkpoint) -> Row:
        if checkpoint not in self._known:
            if checkpoint not in self:
                raise KeyError(checkpoint)
            self._known[checkpoint] = self._work_out(checkpoint)
        return self._known[checkpoint]

    def _work_out(self, checkpoint: Checkpoint) -> Row:
        world, route = self._world, compile_checkpoint(checkpoint, self._recipe, self._number)
        prices = {block.key: Price(self._seconds[work_of(block)]) for block in route.blocks}
        truth = true_score(world, checkpoint) + self._luck(route)
        return Row(
            route=route,
            prices=prices,
            validation=self.score(truth, route.final),
            scoring_gpu_seconds=world.prices.score,
            weights_sha256=route.final,
            gpu_seconds_full=sum(price.gpu_seconds for price in prices.values()),
            labels_trained=len(route.labels_trained),
        )

    def _luck(self, route: Route) -> float:
        if not self._world.luck:
            return 0.0
        luck = 0.0
        for number, block in enumerate(route.blocks):
            drawn = self._drawn(f"luck:{block.key}")
            luck = CARRIED * luck + np.sqrt(1 - CARRIED**2) * drawn if number else drawn
        return luck * self._world.luck / POINTS

    def score(self, truth: float, key: str) -> Score:
        """What is seen of a true score (with its luck): both are fractions, and the noise's size is known."""
        noise = self._world.noise / POINTS
        # As of 625 problems with 4 samples each, of which a score of .7 or .8 has about this error.
        return Score(truth + noise * self._drawn(f"noise:{key}"), noise, noise, 625, 4)

    def _drawn(self, key: str) -> float:
        """A standard normal number that depends on the problem and the key only."""
        if key not in self._normal:
            digest = hashlib.sha256(f"{self._seed}:{key}".encode()).digest()
            self._normal[key] = float(ndtri((int.from_bytes(digest[:6], "big") + 0.5) / 2**48))
        return self._normal[key]
