"""Recorded tables: every allocation of a scenario that was trained, with every seed, in one Parquet file.

What: `RecordedRun` is one row (one allocation trained with one seed and scored on both suites; or a teacher's
checkpoint, which routes pass on the way), `Header` what all rows share; `write_table` writes a file that appears whole,
`read_table` reads one with suspicion. The header holds the scenario's recipe, so that every row's route is compiled
again and must have the recorded keys.

Seeds: FIRST_RECORDED_SEED and those after it, and no others. Tuning uses 0 to 99, a search the seed that it is given
(0 if none), tests and baselines 1000, 2000, ... plus a search's seed; so evidence uses seeds that nothing was tuned or
searched on. A seed's role follows from the seed (`role_of`): a planner may draw from one half, the other only judges.

Simplified: a block that was trained again, after an eviction say, keeps the price of its first recorded training.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

import numpy as np
import pyarrow
import pyarrow.parquet
from pydantic import Field, ValidationError

from tuition.benchmarks.artefacts import write_bytes
from tuition.benchmarks.one_line import first_complaint, one_line
from tuition.benchmarks.statistics.intervals import Array
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.benchmarks.tables.recorded_error import RecordedError as RecordedError
from tuition.benchmarks.tables.table_header import Frozen, Header, RecordedSuite, Sha256, Shown
from tuition.planner.allocation import Allocation, Checkpoint, parse_checkpoint
from tuition.planner.cost import Price, charge
from tuition.planner.route import Recipe, Route, compile_checkpoint
from tuition.planner.space import SearchSpace

FIRST_RECORDED_SEED = 1_000_001
MAX_BYTES = 64 << 20
MAX_ROWS = 100_000
METADATA_KEY = b"tuition"

Role = Literal["draw", "judge"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def recorded_seeds(count: int) -> tuple[int, ...]:
    """The first `count` seeds of a recording."""
    return tuple(range(FIRST_RECORDED_SEED, FIRST_RECORDED_SEED + count))


def role_of(seed: int) -> Role:
    """A recorded seed's role: the first judges, the second is for planners to draw from, and so on in turn.

    The first and the fifth judge, so that a fifth seed, on which only the named routes are trained, is one that judges.
    """
    return "judge" if (seed - FIRST_RECORDED_SEED) % 2 == 0 else "draw"


class RecordedBlock(Frozen):
    """A block of a route. Its rollouts are a separate artefact, charged to the first block that needs them."""

    key: Sha256
    stage: Shown
    gpu_seconds: Seconds
    """Without rollouts."""
    rollouts: Sha256 | None = None
    rollouts_gpu_seconds: Seconds = 0.0

    @property
    def price(self) -> Price:
        """What it cost."""
        return Price(self.gpu_seconds, self.rollouts, self.rollouts_gpu_seconds)


class RecordedRun(Frozen):
    """One allocation, or a teacher's checkpoint, trained with one seed: a row.

    `validation_correct` and `test_correct` count the correct samples of each problem, in the order of the header's
    problem ids. GPU-seconds of the two scores are what sampling them cost. `date` is ISO 8601, UTC.
    """

    scenario: Shown
    allocation: Shown
    teacher: Shown | None
    seed: int
    role: Role
    validation_correct: tuple[int, ...]
    test_correct: tuple[int, ...]
    blocks: tuple[RecordedBlock, ...]
    weights_sha256: Sha256
    validation_gpu_seconds: Seconds
    test_gpu_seconds: Seconds
    labels_trained: int
    labels_validation: int
    labels_owned: int
    host: Shown
    device: Shown
    date: Shown
    command: Shown
    code_version: Shown
    versions: dict[str, str]

    @property
    def gpu_seconds_full(self) -> float:
        """What the route costs from scratch, without scores."""
        return sum(charge(block.price for block in self.blocks))


_BLOCK = pyarrow.struct(
    [
        ("key", pyarrow.string()), ("stage", pyarrow.string()), ("gpu_seconds", pyarrow.float64()),
        ("rollouts", pyarrow.string()), ("rollouts_gpu_seconds", pyarrow.float64()),
    ]
)  # fmt: skip
_TYPES = {
    "seed": pyarrow.int64(),
    "validation_correct": pyarrow.list_(pyarrow.uint16()),
    "test_correct": pyarrow.list_(pyarrow.uint16()),
    "blocks": pyarrow.list_(_BLOCK),
    "validation_gpu_seconds": pyarrow.float64(),
    "test_gpu_seconds": pyarrow.float64(),
    "labels_trained": pyarrow.int64(),
    "labels_validation": pyarrow.int64(),
    "labels_owned": pyarrow.int64(),
}
SCHEMA = pyarrow.schema([(name, _TYPES.get(name, pyarrow.string())) for name in RecordedRun.model_fields])
"""Columns of the file. `versions` is JSON text."""


@dataclass(frozen=True)
class RecordedTable:
    """A table whose rows agree with each other and with the header; made by `checked_table`."""

    header: Header
    runs: tuple[RecordedRun, ...]
    routes: tuple[Route, ...]
    """The route of each run."""
    teachers: tuple[RecordedRun, ...] = ()
    """Teachers' checkpoints; tables of earlier formats have none."""
    teacher_routes: tuple[Route, ...] = ()

    @cached_property
    def index(self) -> Mapping[tuple[Checkpoint, int], RecordedRun]:
        """Every row by what it ends at, and its seed."""
        routes = (*self.routes, *self.teacher_routes)
        return {(route.checkpoint, route.seed): run for route, run in zip(routes, self.rows, strict=True)}

    @property
    def rows(self) -> tuple[RecordedRun, ...]:
        """Runs and teachers' checkpoints."""
        return (*self.runs, *self.teachers)

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """All recorded allocations, in the order of the file."""
        return tuple(dict.fromkeys(route.allocation for route in self.routes))

    def seeds(self, role: Role | None = None, allocation: Checkpoint | None = None) -> tuple[int, ...]:
        """Recorded seeds, of one role if given, and of one allocation if given."""
        found = self._all_seeds if allocation is None else self._seeds_of.get(allocation, ())
        return tuple(seed for seed in found if role in (None, role_of(seed)))

    @cached_property
    def _all_seeds(self) -> tuple[int, ...]:
        return tuple(sorted({run.seed for run in self.rows}))

    @cached_property
    def _seeds_of(self) -> Mapping[Checkpoint, Sequence[int]]:
        """Seeds of each checkpoint, in order. Whoever asks of every allocation must not scan all rows for each."""
        found: dict[Checkpoint, list[int]] = {}
        for recorded, seed in sorted(self.index, key=lambda key: key[1]):
            found.setdefault(recorded, []).append(seed)
        return found

    def run(self, allocation: Checkpoint, seed: int) -> RecordedRun:
        """One row; RecordedError with the seeds that there are, when it is not recorded."""
        run = self.index.get((allocation, seed))
        if run is None:
            seeds = ", ".join(map(str, self.seeds(allocation=allocation)))
            known = f"with seeds {seeds} only" if seeds else f"with no seed; {len(self.allocations)} others are"
            raise RecordedError(
                f"'{allocation}' with seed {seed} is not recorded ({known}): `tuition recorded FILE` lists all"
            )
        return run

    def correct_PK(self, allocation: Checkpoint, seed: int, suite: SuiteKind) -> Array:
        """Outcomes (problems, samples) of 0 and 1: the correct ones of each problem first, as order is not recorded."""
        run = self.run(allocation, seed)
        if suite == "validation":
            return _outcomes_PK(run.validation_correct, self.header.validation)
        return _outcomes_PK(run.test_correct, self.header.test)

    def untrained_validation_PK(self, model: str) -> Array:
        """Validation outcomes of a base model, as `correct_PK`; RecordedError where they are not recorded."""
        score = self.header.untrained_validation.get(model)
        if score is None:
            raise no_untrained_score(model, self.header.untrained_validation)
        return _outcomes_PK(score.correct, self.header.validation)

    def untrained_PK(self, model: str) -> Array | None:
        """Test outcomes of a base model, as `correct_PK`; None where they are not recorded."""
        counts = self.header.untrained.get(model)
        return None if counts is None else _outcomes_PK(counts, self.header.test)


def _outcomes_PK(counts: Sequence[int], suite: RecordedSuite) -> Array:
    return (np.arange(suite.samples)[None, :] < np.array(counts)[:, None]).astype(np.int8)


def no_untrained_score(model: str, known: Iterable[str]) -> RecordedError:
    """The error for a base model whose validation score is not recorded."""
    there = ", ".join(known) or "none"
    return RecordedError(f"no validation score of the untrained {model!r} is recorded; there is: {there}")


def space_checkpoints(space: SearchSpace) -> list[Checkpoint]:
    """What a complete table holds of a seed: every checkpoint of every allocation of the search space."""
    wanted: dict[Checkpoint, None] = {}
    for allocation in space.allocations():
        wanted |= dict.fromkeys(allocation.checkpoints())
    return list(wanted)


def missing_checkpoints(table: RecordedTable, seed: int) -> list[Checkpoint]:
    """What a complete table would also hold of a seed."""
    wanted = space_checkpoints(table.header.space)
    return [checkpoint for checkpoint in wanted if (checkpoint, seed) not in table.index]


def validation_means(table: RecordedTable, role: Role) -> dict[Allocation, float]:
    """The mean validation score over the seeds of a role, of each allocation that is recorded with all of them."""
    seeds = table.seeds(role)
    return {
        allocation: fmean(table.correct_PK(allocation, seed, "validation").mean() for seed in seeds)
        for allocation in table.allocations
        if seeds and table.seeds(role, allocation) == seeds
    }


def split_means(table: RecordedTable) -> dict[Allocation, float]:
    """Mean validation scores over the draw seeds, of the allocations of the search space that every draw seed has."""
    means = validation_means(table, "draw")
    return {allocation: mean for allocation, mean in means.items() if table.header.space.holds(allocation)}


def leading_splits(table: RecordedTable) -> list[Allocation]:
    """The allocations of `split_means`, best first, in the order of the file among equals.

    No test score and no judge seed has a part in it.
    """
    means = split_means(table)
    return sorted(means, key=lambda allocation: -means[allocation])


def selected_split(table: RecordedTable) -> Allocation | None:
    """The first of `leading_splits`; None without any."""
    return next(iter(leading_splits(table)), None)


def checked_table(header: Header, runs: Iterable[RecordedRun]) -> RecordedTable:
    """The table, by seed and then in the order given; RecordedError where a row contradicts header, seed or other rows.

    A block's price must be the same in all rows; `with_first_prices` makes it so.
    """
    ordered = sorted(runs, key=lambda run: run.seed)
    recipe = header.recipe.recipe()
    routes = []
    prices: dict[str, RecordedBlock] = {}
    weights: dict[str, str] = {}
    seen: set[tuple[str, int]] = set()
    for model, counts in header.untrained.items():
        _check_counts(header.test, counts, f"the base model {model}")
    for model, score in header.untrained_validation.items():
        _check_counts(header.validation, score.correct, f"the base model {model}")
    for number, run in enumerate(ordered):
        where = f"row {number} ({run.allocation[:80]!r}, seed {run.seed})"
        if (run.allocation, run.seed) in seen:
            raise RecordedError(f"{where} appears twice")
        seen.add((run.allocation, run.seed))
        routes.append(_checked_route(header, recipe, run, where))
        for block in run.blocks:
            if prices.setdefault(block.key, block) != block:
                raise RecordedError(f"{where} gives block {block.key[:12]} a different price than an earlier row")
        if weights.setdefault(routes[-1].final, run.weights_sha256) != run.weights_sha256:
            raise RecordedError(f"{where} ends in different weights than another row of the same route")
    rows = list(zip(ordered, routes, strict=True))
    students = [(run, route) for run, route in rows if isinstance(route.checkpoint, Allocation)]
    teachers = [(run, route) for run, route in rows if not isinstance(route.checkpoint, Allocation)]
    return RecordedTable(header, *_columns(students), *_columns(teachers))


def _columns(rows: Sequence[tuple[RecordedRun, Route]]) -> tuple[tuple[RecordedRun, ...], tuple[Route, ...]]:
    return tuple(run for run, _ in rows), tuple(route for _, route in rows)


def _checked_route(header: Header, recipe: Recipe, run: RecordedRun, where: str) -> Route:
    """The route of a row; RecordedError where the row is not what the header's recipe makes of its allocation."""
    route = compile_checkpoint(parse_checkpoint(run.allocation), recipe, run.seed)
    facts: list[tuple[str, object, object]] = [
        ("scenario", run.scenario, header.scenario),
        ("allocation", run.allocation, str(route.checkpoint)),
        ("teacher", run.teacher, route.allocation.teacher),
        ("role", run.role, role_of(run.seed)),
        ("blocks", [(b.key, b.stage) for b in run.blocks], [(b.key, b.stage) for b in route.blocks]),
        ("labels_trained", run.labels_trained, len(route.labels_trained)),
    ]
    for name, stated, wanted in facts:
        if stated != wanted:
            raise RecordedError(f"{where}: its {name} is {stated!r:.80}, but the header's recipe gives {wanted!r:.80}")
    if run.seed < FIRST_RECORDED_SEED:
        raise RecordedError(
            f"{where}: recorded seeds start at {FIRST_RECORDED_SEED}; lower ones may have been tuned on"
        )
    for suite, counts in ((header.validation, run.validation_correct), (header.test, run.test_correct)):
        _check_counts(suite, counts, where)
    return route


def _check_counts(suite: RecordedSuite, counts: Sequence[int], where: str) -> None:
    within = min(counts, default=0) >= 0 and max(counts, default=0) <= suite.samples
    if len(counts) != len(suite.problem_ids) or not within:
        raise RecordedError(
            f"{where}: it has counts of {len(counts)} problems on {suite.name}, from {min(counts, default=0)} to "
            f"{max(counts, default=0)}; expected {len(suite.problem_ids)}, from 0 to {suite.samples}"
        )


def with_first_prices(runs: Iterable[RecordedRun]) -> list[RecordedRun]:
    """The runs, each block with the price of the first run that has it: a retraining never costs quite the same."""
    first: dict[str, RecordedBlock] = {}
    return [
        run.model_copy(update={"blocks": tuple(first.setdefault(block.key, block) for block in run.blocks)})
        for run in runs
    ]


def table_bytes(header: Header, runs: Sequence[RecordedRun]) -> bytes:
    """The file's content."""
    rows = [{**run.model_dump(), "versions": json.dumps(run.versions, sort_keys=True)} for run in runs]
    buffer = io.BytesIO()
    with pyarrow.parquet.ParquetWriter(buffer, SCHEMA, compression="zstd", store_schema=False) as writer:
        writer.write_table(pyarrow.Table.from_pylist(rows, schema=SCHEMA))
        writer.add_key_value_metadata({METADATA_KEY: header.model_dump_json().encode()})
    return buffer.getvalue()


def write_table(path: Path, header: Header, runs: Sequence[RecordedRun]) -> RecordedTable:
    """Check the table and write it to a file, which appears whole. RecordedError as `checked_table`."""
    table = checked_table(header, with_first_prices(sorted(runs, key=lambda run: run.seed)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, table_bytes(header, sorted(table.rows, key=lambda run: run.seed)))
    return table


def read_table(path: Path) -> RecordedTable:
    """A recorded table; RecordedError for a file that is missing, damaged, too large or contradicts itself.

    The Parquet decoder itself is trusted.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise RecordedError(f"it has {size:,} bytes, the limit is {MAX_BYTES:,}")
        parquet = pyarrow.parquet.ParquetFile(path)
        metadata = parquet.metadata
        if metadata.num_rows > MAX_ROWS:
            raise RecordedError(f"it has {metadata.num_rows:,} rows, the limit is {MAX_ROWS:,}")
        expanded = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        if expanded > 16 * MAX_BYTES:
            raise RecordedError(f"it expands to {expanded:,} bytes, the limit is {16 * MAX_BYTES:,}")
        if METADATA_KEY not in (metadata.metadata or {}):
            raise RecordedError("it lacks the header of a recorded table")
        if not parquet.schema_arrow.remove_metadata().equals(SCHEMA):
            raise RecordedError(
                f"its columns are {', '.join(parquet.schema_arrow.names)[:160]}, not a recorded table's"
            )
        header = Header.model_validate_json(metadata.metadata[METADATA_KEY])
        rows = parquet.read(use_threads=False).to_pylist()
        runs = [RecordedRun.model_validate({**row, "versions": json.loads(row["versions"])}) for row in rows]
        return checked_table(header, runs)
    except ValidationError as error:
        reason = first_complaint(error)
    except FileNotFoundError:
        raise RecordedError(f"no recorded table {str(path)!r}: make one with `tuition record --out {path}`") from None
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, RecursionError, OverflowError) as error:
        # Also the planner's errors, of a recipe or an allocation that cannot be.
        reason = one_line(error)
    raise RecordedError(f"{path} is not a recorded table ({reason[:300]}): restore it, or record it again") from None
