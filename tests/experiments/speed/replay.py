"""How fast a replay is, and how large a table: evaluations, marginal costs, a study, and the file.

Run: `python tests/experiments/speed/replay.py [TABLE]`. Without a table, one of 150 routes (`--routes`) and 4 seeds of
`micro` is made up by the real writer, from the routes that `tuition record` would train and drawn counts, in a
temporary folder. Nothing is trained. Machines are noisy: each time is a median of passes over all routes. Not a test.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import optuna

from tuition.app.costs.block_costs import block_costs
from tuition.app.processes.libraries import silence_libraries
from tuition.app.recordings.recording_plan import chosen_allocations, header_of, made_up_run
from tuition.benchmarks.tables.recorded_table import RecordedTable, read_table, recorded_seeds, write_table
from tuition.benchmarks.tables.replay import Replay
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.planner.sampler import SeededSampler
from tuition.planner.study import StudyLimits, open_study, search
from tuition.runners.scenarios.scenario import Scenario


def make_table(path: Path, num_routes: int) -> None:
    """A made-up table with so many routes."""
    scenario = Scenario.load("micro")
    costs = block_costs(scenario, None)
    chosen = chosen_allocations(scenario, num_routes, False, None)
    routes = [compile_route(allocation, scenario.recipe, seed) for seed in recorded_seeds(4) for allocation in chosen]
    write_table(path, header_of(scenario), [made_up_run(scenario, route, costs) for route in routes])


def microseconds(action: Callable[[Allocation], object], allocations: tuple[Allocation, ...], num_passes: int) -> float:
    """Median over passes of the mean wall time of one call."""
    passes = []
    for _ in range(num_passes):
        started = time.perf_counter()
        for allocation in allocations:
            action(allocation)
        passes.append((time.perf_counter() - started) / len(allocations))
    return 1e6 * statistics.median(passes)


def study_seconds(table: RecordedTable, sampler: str, trials: int, folder: Path | None) -> float:
    """Wall time of a study of so many trials; its database lies in a file, or in memory without a folder."""
    replay = Replay(table, table.seeds("draw")[0])
    if folder is None:
        study = optuna.create_study(sampler=SeededSampler(sampler, 0), direction="maximize")
    else:
        url = f"sqlite:///{folder / f'{sampler}.db'}"
        study = open_study(sampler, url, table.header.scenario_sha256, 0, sampler)
    started = time.perf_counter()
    search(study, table.header.space, replay.nearest_route, replay.evaluate, StudyLimits(trials=trials))
    return time.perf_counter() - started


def evaluate_all(table: RecordedTable, num_passes: int) -> float:
    """Microseconds of one evaluation in a replay that begins with an empty store."""
    passes = []
    for _ in range(num_passes):
        replay = Replay(table, table.seeds("draw")[0])
        routes = [(replay.route(allocation), allocation) for allocation in replay.allocations]
        started = time.perf_counter()
        for number, (route, allocation) in enumerate(routes):
            replay.evaluate(number, allocation, route)
        passes.append((time.perf_counter() - started) / len(routes))
    return 1e6 * statistics.median(passes)


def main() -> None:
    """Print one line per thing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--routes", type=int, default=150, help="of the table that is made up")
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--trials", type=int, default=20, help="of a study")
    given = parser.parse_args()
    path, trials = given.table, given.trials
    silence_libraries()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "made-up.parquet"
            make_table(path, given.routes)
        started = time.perf_counter()
        table = read_table(path)
        seconds = time.perf_counter() - started
        print(f"{len(table.runs)} rows, {path.stat().st_size / 1e6:.2f} MB, read and checked in {seconds:.2f} s")
        replay = Replay(table, table.seeds("draw")[0])
        marginal = microseconds(replay.marginal_cost, replay.allocations, given.passes)
        print(f"marginal cost, empty store: {marginal:.1f} µs")
        for allocation in replay.allocations:
            replay.run(allocation)
        print(f"score of what is stored: {microseconds(replay.score, replay.allocations, given.passes):.1f} µs")
        print(f"evaluation of a whole seed, charged: {evaluate_all(table, given.passes):.1f} µs each")
        for sampler in ("random", "tpe"):
            in_memory = study_seconds(table, sampler, trials, None)
            in_a_file = study_seconds(table, sampler, trials, Path(folder))
            print(f"study of {trials} trials, {sampler}: {in_memory:.2f} s, its database in a file {in_a_file:.2f} s")


if __name__ == "__main__":
    main()
