"""How long our own planner thinks: about one proposal in a large space with many scores, and in a search that trains.

What: a world is drawn from the planner's own prior over a space of 100,000 allocations (four teachers, 16 label blocks,
bridges of up to seven and six blocks, replay), and routes of it are observed, with everything that they pass, until
there are `--scores` scores. Then the planner is asked for its next proposal: processor time of the view and of the
choice, and the process's peak memory. With `--live`, a search of a scenario for 1 R trains for real, in a temporary
folder, and the share of its wall time that the planner took is printed.

How to run (a minute; with `--live micro` a few more):
    OMP_NUM_THREADS=1 python -m tests.experiments.speed.planning --seeds 3 --live micro

Machines are noisy: figures are medians over the seeds. Not a test.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.search_run import SearchRequest, run_search
from tuition.planner.cost import Work
from tuition.planner.planning.planner import POINTS, Costs, Planner
from tuition.planner.planning.sampler import StructuralSampler
from tuition.planner.planning.structure import Structure
from tuition.planner.scores.observations import Observation
from tuition.planner.searching.trial_loop import StudyLimits
from tuition.planner.space import SearchSpace

NOISE = 0.01
"""Of a score, a fraction."""
THINKS = ("should_stop", "sample_relative", "on_the_way")
"""What a study asks of the sampler."""


def space_of(teachers: int, blocks: int, bridge: int) -> SearchSpace:
    """A space of about 100,000 allocations with four teachers, 16 label blocks and bridges of up to seven blocks."""
    names = tuple("abcdefgh"[:teachers])
    return SearchSpace(teachers=names, num_label_blocks=blocks, max_warmup=bridge, max_opd=bridge - 1, max_replay=2)


def costs_of(space: SearchSpace) -> Costs:
    """Blocks of a teacher cost four of the student's, those of the bridge two."""
    blocks = {Work("student_rl", "student"): 1.0}
    for name in space.teachers:
        blocks |= {Work("teacher_rl", name): 4.0, Work("warmup", "student", name): 2.0}
        blocks |= {Work("opd", "student", name): 2.0}
    return Costs(blocks, {"student": 0.1, **dict.fromkeys(space.teachers, 0.2)})


def proposal_seconds(space: SearchSpace, scores: int, seed: int) -> tuple[float, int, int]:
    """Processor seconds of one proposal, and how many allocations and scores there were."""
    untrained = {"student": (0.3, NOISE), **dict.fromkeys(space.teachers, (0.5, NOISE))}
    planner = Planner(space, costs_of(space), seed, untrained)
    grid, rng = planner.grid, np.random.default_rng(seed)
    structure = Structure(grid, {grid.base_model(name): POINTS * value for name, (value, _) in untrained.items()})
    world = structure.scores(rng.standard_normal((1, structure.num_unknowns)), np.arange(len(grid)))[0] / POINTS
    observed: dict[int, Observation] = {}
    for trial, node in enumerate(rng.permutation(np.flatnonzero(grid.allowed)).tolist()):
        for passed in grid.chain(node):
            value = float(world[passed] + NOISE * rng.standard_normal())
            observed.setdefault(passed, Observation(grid.checkpoint(passed), value, 0.02, NOISE, 1.0, trial))
        if len(observed) >= scores:
            break
    started = time.process_time()
    planner.view(list(observed.values())).propose(money=1e4)
    return time.process_time() - started, int(grid.allowed.sum()), len(observed)


def live_share(scenario: str) -> tuple[float, float]:
    """Wall seconds of a search for 1 R that trains, without a test, and of the planner's part in it."""
    spent = 0.0

    def timed(ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: Any) -> Any:
            nonlocal spent
            started = time.perf_counter()
            try:
                return ask(*arguments)
            finally:
                spent += time.perf_counter() - started

        return asked

    kept = {name: getattr(StructuralSampler, name) for name in THINKS}
    for name, ask in kept.items():
        setattr(StructuralSampler, name, timed(ask))
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = RunConfiguration(scenario, Path(folder), quiet=True)
            limits = StudyLimits(trials=None)
            started = time.perf_counter()
            run_search(SearchRequest(run, None, 0, limits, None, None, num_test_seeds=0, budget="1R"))
            return time.perf_counter() - started, spent
    finally:
        for name, ask in kept.items():
            setattr(StructuralSampler, name, ask)


def main() -> None:
    """One line a seed, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scores", type=int, default=500)
    parser.add_argument("--teachers", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=16, help="of labels")
    parser.add_argument("--bridge", type=int, default=7, help="warmup blocks at most; one less of opd")
    parser.add_argument("--live", help="a scenario to be searched for real")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = space_of(arguments.teachers, arguments.blocks, arguments.bridge)
    seconds = []
    for seed in range(arguments.seeds):
        one, allocations, scores = proposal_seconds(space, arguments.scores, seed)
        seconds.append(one)
        print(f"seed {seed}: {allocations:,} allocations, {scores} scores: {one:.2f} s of a processor", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"a proposal: {statistics.median(seconds):.2f} s (median); peak memory of the process {peak:.2f} GiB")
    if arguments.live:
        whole, planner = live_share(arguments.live)
        print(f"{arguments.live}, 1 R: {whole:.0f} s, of which the planner {planner:.1f} s: {planner / whole:.1%}")


if __name__ == "__main__":
    main()
