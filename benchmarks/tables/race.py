"""Planners on a recorded table: what each hands over for a budget, and what that is worth on seeds it never saw.

What: `measure` lets every planner search the replay of each draw seed many times, as `tuition search` does (its named
routes first, then proposals) and without the named routes, and notes for every budget of GPU-seconds which allocation
it would hand over: the best validation score so far. `standings` ranks planners by the test scores of those
allocations on the judge seeds.

Simplified: searches on one draw seed share its recording, so a recording is one observation, however often it was
searched; a planner has a rank from `RANKED_SEEDS` recordings on.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pyarrow
import pyarrow.parquet
from scipy import stats

from tuition.benchmarks.artefacts import file_sha256, write_bytes
from tuition.benchmarks.baselines import DIRECT, EVALUATED_FIRST
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.statistics.intervals import Difference, standard_error
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS, rank_intervals
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable
from tuition.benchmarks.tables.replay import Replay
from tuition.benchmarks.tables.table_header import Header
from tuition.planner.allocation import Allocation
from tuition.planner.sampler import SeededSampler
from tuition.planner.study import StudyLimits, enqueue, search

COLD = ", no named routes"
PLANNERS = tuple(name + end for end in ("", COLD) for name in ("tpe", "random"))
COMPARED_WITH = "random"
SHARES = (0.1, 0.2, 0.3, 0.4)
"""Budgets, as shares of what it costs to evaluate everything once. Our choice."""
EVERYTHING = "everything evaluated"
LEVEL = 0.95
MAX_BYTES, MAX_ROWS = 16 << 20, 200_000
TEXTS = ("kind", "planner", "allocation", "scenario", "suite", "table_sha256", "judge_seeds", "optuna")
COUNTS = ("draw_seed", "search", "trials")
NUMBERS = ("share", "budget", "spent", "validation", "test")
"""`budget` and `spent` in GPU-seconds; `test` is the mean over the judge seeds, a fraction."""


class PlannersError(RecordedError):
    """Planners that cannot be measured, or a file of them that is refused; one line with the reason."""


@dataclass(frozen=True)
class Standing:
    """A planner at a budget, by recordings (draw seeds), each the mean over its searches.

    `error` (standard) and `difference` (to `COMPARED_WITH`) are over recordings, `lowest` and `highest` those of the
    recordings; `equal`: no search differs from that of `COMPARED_WITH`. The ranks are None with fewer than
    `RANKED_SEEDS` recordings.
    """

    planner: str
    first: int | None
    last: int | None
    test: float
    error: float
    lowest: float
    highest: float
    difference: Difference | None
    equal: bool
    trials: float
    searches: int
    recordings: int


@dataclass(frozen=True)
class _Step:
    """After a trial: GPU-seconds and trials so far, and the best allocation so far by its validation score."""

    spent: float
    trials: int
    allocation: Allocation
    validation: float


def measure(
    path: Path, table: RecordedTable, searches: int, on_search: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """One row for each planner, draw seed, search and budget, and for what no planner chose ("reference").

    A search hands over what it had found when its budget ran out, and at least its first trial.

    Args:
        path: the table's file, whose hash the rows carry.
        table: what was read from it.
        searches: of each planner on each draw seed; search number s is seeded with s.
        on_search: told how many searches of how many are done.

    Raises:
        PlannersError: for a table without a draw seed or without a judge seed that has every allocation.
    """
    draws = table.seeds("draw")
    # What a search may be handed: recorded with a draw seed, and no control.
    proposals = [a for a in table.allocations if table.header.space.holds(a) and table.seeds("draw", a)]
    judges = [seed for seed in table.seeds("judge") if all((a, seed) in table.index for a in proposals)]
    if not proposals or not judges:
        raise PlannersError("the table needs a draw seed and a judge seed with the same allocations: record more seeds")
    rows: list[dict[str, Any]] = []
    for draw in draws:
        replay = Replay(table, draw)
        whole = _take(replay.emptied(), [a for a in proposals if (a, draw) in table.index])[-1]
        direct = _take(replay.emptied(), [Allocation.parse(table.header.names[DIRECT])])[-1]
        for name, step in ((EVERYTHING, whole), (DIRECT, direct)):
            rows.append(_row("reference", name, draw, 0, step.spent / whole.spent, step.spent, step))
        for place, planner in enumerate(PLANNERS):
            for number in range(searches):
                steps = _search(table.header, replay.emptied(), planner, number, max(SHARES) * whole.spent)
                for share in SHARES:
                    budget = share * whole.spent
                    within = [step for step in steps if step.spent <= budget] or steps[:1]
                    rows.append(_row("planner", planner, draw, number, share, budget, within[-1]))
                if on_search is not None:
                    done = draws.index(draw) * len(PLANNERS) + place
                    on_search(done * searches + number + 1, len(draws) * len(PLANNERS) * searches)
    frame = pd.DataFrame(rows)
    tests = {
        str(allocation): fmean(float(table.correct_PK(allocation, seed, "test").mean()) for seed in judges)
        for allocation in proposals
    }
    return frame.assign(
        test=frame["allocation"].map(tests),
        scenario=table.header.scenario,
        suite=table.header.test.name,
        table_sha256=file_sha256(path),
        judge_seeds=" ".join(map(str, judges)),
        optuna=optuna.__version__,
    )


def _row(kind: str, planner: str, draw: int, number: int, share: float, budget: float, step: _Step) -> dict[str, Any]:
    return {
        "kind": kind, "planner": planner, "draw_seed": draw, "search": number, "share": share, "budget": budget,
        "spent": step.spent, "trials": step.trials, "allocation": str(step.allocation), "validation": step.validation,
    }  # fmt: skip


def _take(replay: Replay, allocations: Sequence[Allocation]) -> list[_Step]:
    """Evaluate allocations in this order; the earlier one stays where two are equal."""
    steps: list[_Step] = []
    for number, allocation in enumerate(allocations, 1):
        outcome = replay.evaluate(number, allocation, replay.route(allocation))
        steps.append(_after(steps, number, outcome.attributes["gpu_seconds"], allocation, outcome.value))
    return steps


def _after(steps: Sequence[_Step], number: int, cost: float, allocation: Allocation, validation: float) -> _Step:
    spent = (steps[-1].spent if steps else 0.0) + cost
    if steps and validation <= steps[-1].validation:
        allocation, validation = steps[-1].allocation, steps[-1].validation
    return _Step(spent, number, allocation, validation)


def _search(header: Header, replay: Replay, planner: str, seed: int, gpu_seconds: float) -> list[_Step]:
    """One search of a planner."""
    space = header.space
    first = [] if planner.endswith(COLD) else [header.names[n] for n in EVALUATED_FIRST if n in header.names]
    named = [allocation for allocation in map(Allocation.parse, first) if space.holds(allocation)]
    sampler = SeededSampler(planner.removesuffix(COLD), seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    enqueue(study, space, replay.nearest_route, named)
    search(study, space, replay.nearest_route, replay.evaluate, StudyLimits(gpu_seconds=gpu_seconds))
    steps: list[_Step] = []
    for trial in study.get_trials(deepcopy=False):
        if trial.value is not None:
            evaluated, cost = trial.user_attrs["allocation"], float(trial.user_attrs["gpu_seconds"])
            steps.append(_after(steps, len(steps) + 1, cost, Allocation.parse(evaluated), float(trial.value)))
    return steps


def standings(frame: pd.DataFrame, share: float) -> list[Standing]:
    """The planners at one budget, best first, with the ranks consistent with their paired differences, if any."""
    at = frame[(frame["kind"] == "planner") & (frame["share"] == share)]
    tests = at.pivot_table(index=["draw_seed", "search"], columns="planner", values="test").dropna()
    recordings = tests.groupby(level="draw_seed").mean()
    names = sorted(tests.columns, key=lambda name: (-recordings[name].to_numpy().mean(), name))
    pairs = {
        (a, b): _paired(recordings[a].to_numpy(), recordings[b].to_numpy())
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    }
    ranks = rank_intervals(names, pairs) if len(recordings) >= RANKED_SEEDS else {}
    trials = {str(name): float(part["trials"].median()) for name, part in at.groupby("planner")}
    found = []
    for name in names:
        difference, equal = None, False
        if name != COMPARED_WITH and COMPARED_WITH in names:
            difference = _paired(recordings[name].to_numpy(), recordings[COMPARED_WITH].to_numpy())
            equal = bool((tests[name] == tests[COMPARED_WITH]).all())
        values = recordings[name].to_numpy()
        first, last = ranks.get(name, (None, None))
        found.append(
            Standing(
                name, first, last, float(values.mean()), standard_error(values), float(values.min()),
                float(values.max()), difference, equal, trials[name], len(tests), len(values),
            )
        )  # fmt: skip
    return found


def references(frame: pd.DataFrame) -> pd.DataFrame:
    """What no planner chose: mean `test` and `budget` over the draw seeds, by name."""
    return frame[frame["kind"] == "reference"].groupby("planner", sort=False)[["test", "budget"]].mean()


def _paired(a: "np.ndarray[Any, Any]", b: "np.ndarray[Any, Any]") -> Difference:
    """t interval of the mean of a - b over recordings; of one recording none, and [0, 0] where all are equal."""
    values = np.asarray(a - b, float)
    mean = float(values.mean())
    if not values.any():
        return Difference(0.0, 0.0, 0.0, len(values), 1, True, 1.0, LEVEL)
    if len(values) < 2:
        return Difference(mean, -1.0, 1.0, len(values), 1, True, 1.0, LEVEL)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1)) * standard_error(values)
    p_value = float(stats.ttest_1samp(values, 0.0).pvalue) if np.ptp(values) > 0 else 0.0
    return Difference(mean, max(mean - half, -1.0), min(mean + half, 1.0), len(values), 1, True, p_value, LEVEL)


def write_planners(frame: pd.DataFrame, path: Path) -> None:
    """Write what `measure` returned, whole or not at all."""
    content = io.BytesIO()
    frame[[*TEXTS, *COUNTS, *NUMBERS]].to_parquet(content, index=False)
    write_bytes(path, content.getvalue())


def read_planners(path: Path) -> pd.DataFrame:
    """Read it again, from an untrusted disk. PlannersError for what is not such a table."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PlannersError(f"{path} has {path.stat().st_size:,} bytes, the limit is {MAX_BYTES:,}")
        with pyarrow.parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise PlannersError(f"{path} has {file.metadata.num_rows:,} rows, the limit is {MAX_ROWS:,}")
            frame: pd.DataFrame = file.read([*TEXTS, *COUNTS, *NUMBERS]).to_pandas()
        frame = frame.astype(
            {**dict.fromkeys(TEXTS, str), **dict.fromkeys(COUNTS, int), **dict.fromkeys(NUMBERS, float)}
        )
    except (OSError, pyarrow.ArrowException, ValueError, TypeError, KeyError) as error:
        if isinstance(error, PlannersError):
            raise
        raise PlannersError(f"{path} is not a table of planners ({one_line(error, 150)})") from None
    if frame.empty or not frame["test"].between(0, 1).all() or not np.isfinite(frame[list(NUMBERS)]).all().all():
        raise PlannersError(f"{path} holds no scores between 0 and 1")
    return frame
