"""Allocations trained in blocks and as ordinary runs, scored on the test suite.

How to run (a seed of micro takes about 20 minutes of one core; what is in the file or the results folder is kept):
    python -m tests.experiments.sharing.train --scenario micro --seeds 3 --out micro.parquet
    python -m tests.experiments.sharing.train --scenario micro --seeds 4 --table micro@2 --out micro.parquet
    python -m tests.experiments.sharing.train --scenario micro --seeds 12 --first 2 --out micro.parquet

The second takes the seeds and the scores of blocks from a recorded table and trains only the ordinary runs. The third
trains only the teacher and the student with all labels. `--recipe before` trains micro or micro-b with the recipe of
their first version (`version_1`). What the file holds already stays in it. `compare` reads it.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.experiments.sharing.version_1 import version_1
from tuition.app.processes.libraries import silence_libraries
from tuition.app.recordings.recording_plan import scenario_label
from tuition.app.studies.evaluation import FIRST_TEST_SEED, outcomes_of
from tuition.benchmarks.tables.recorded_table import read_table, recorded_seeds
from tuition.benchmarks.tables.shipped import find_table
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint, parse_checkpoint
from tuition.planner.route import compile_checkpoint
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario

STUDY = "sharing"


def compared(scenario: Scenario) -> list[Checkpoint]:
    """The teacher and the student with all labels, every split of the whole budget, and others of all kinds."""
    teacher, blocks, search = scenario.default_teacher, scenario.num_label_blocks, scenario.file.search
    half, bridge = blocks // 2, {"warmup": search.bridge_warmup, "opd": search.bridge_opd}

    def split(upstream: int, labels: int = blocks, **transfer: int) -> Allocation:
        transferred = transfer or bridge
        return Allocation(teacher=teacher, teacher_rl=upstream, student_rl=labels - upstream, **transferred)

    found: list[Checkpoint] = [TeacherCheckpoint(teacher=teacher, stage="teacher_rl", blocks=blocks)]
    found += [Allocation(student_rl=blocks), Allocation(student_rl=half)]
    found += [split(upstream) for upstream in range(blocks + 1)]
    found += [split(upstream, warmup=1) for upstream in (half // 2, half, blocks - half // 2)]
    found += [split(upstream, opd=1) for upstream in (half // 2, half, blocks - half // 2)]
    found += [split(upstream, half) for upstream in (0, half // 2, half)]
    for upstream in (blocks, half):
        found += [split(upstream, warmup=w, opd=o) for w, o in ((0, 2), (1, 0), (1, 1), (2, 4))]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Job:
    """One seed of a scenario."""

    scenario: str
    recipe: str
    seed: int
    first: int | None
    table: Path | None
    results: Path
    out: Path


def train_seed(job: Job) -> Path:
    """Everything with one seed; each score is a line of a file as soon as it is there."""
    seed = job.seed
    silence_libraries()
    scenario = Scenario.load(job.scenario)
    if job.recipe == "before":
        scenario = version_1(scenario)
    folder = job.results / f"{scenario.name}-{scenario.sha256[:12]}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scores.jsonl"
    known = blocks_of(job.table, scenario, seed) if job.table else []
    rows = {identity(row): row for row in (*known, *recorded(job.out, scenario, seed), *read(path))}
    # Written anew: a line that was cut short would spoil the one that is appended to it.
    unfinished = path.with_suffix(".part")
    unfinished.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    unfinished.replace(path)
    done = {(row["allocation"], row["ordinary"]) for row in rows.values()}
    todo = [
        (c, ordinary)
        for c in compared(scenario)[: job.first]
        for ordinary in (False, True)
        if (str(c), ordinary) not in done
    ]
    with path.open("a") as file, closing(RouteRunner(scenario, folder)) as runner:
        for checkpoint, ordinary in todo:
            file.write(json.dumps(score(runner, checkpoint, seed, ordinary)) + "\n")
            file.flush()
    return path


def identity(row: dict[str, Any]) -> tuple[str, str, bool, int]:
    """What a row is the score of."""
    return row["scenario"], row["allocation"], row["ordinary"], row["seed"]


def recorded(out: Path, scenario: Scenario, seed: int) -> list[dict[str, Any]]:
    """The rows of an earlier call's file."""
    if not out.exists():
        return []
    frame = pd.read_parquet(out)
    chosen = frame[(frame["scenario"] == scenario_label(scenario)) & (frame["seed"] == seed)]
    return plain(chosen)


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Its rows as JSON has them."""
    return [
        {str(name): value for name, value in row.items()} | {"correct": [int(count) for count in row["correct"]]}
        for row in frame.to_dict("records")
    ]


def blocks_of(path: Path, scenario: Scenario, seed: int) -> list[dict[str, Any]]:
    """What a table recorded of the compared allocations in blocks."""
    table = read_table(path)
    order = np.argsort(table.header.test.problem_ids)
    return [
        row_of(
            scenario,
            (checkpoint, False, seed),
            table.correct_PK(checkpoint, seed, "test")[order],
            table.run(checkpoint, seed).gpu_seconds_full,
        )
        for checkpoint in compared(scenario)
    ]


def row_of(
    scenario: Scenario, trained: tuple[Checkpoint, bool, int], outcomes_PK: Any, gpu_seconds: float
) -> dict[str, Any]:
    """The row of a checkpoint, whether it was an ordinary run, and its seed: correct samples by problems' ids."""
    checkpoint, ordinary, seed = trained
    return {
        "scenario": scenario_label(scenario),
        "allocation": str(checkpoint),
        "ordinary": ordinary,
        "seed": seed,
        "samples": scenario.file.test.samples,
        "correct": [int(count) for count in outcomes_PK.sum(axis=1)],
        "gpu_seconds": round(gpu_seconds, 3),
    }


def score(runner: RouteRunner, checkpoint: Checkpoint, seed: int, ordinary: bool) -> dict[str, Any]:
    """Train a route and score it: correct samples of each problem, in the order of their ids."""
    scenario = runner.scenario
    route = compile_checkpoint(checkpoint, scenario.recipe, seed, ordinary=ordinary)
    run = runner.run(route, STUDY)
    table = runner.score(route.final, "test", STUDY).table
    outcomes_PK = outcomes_of(table, sorted(problem.id for problem in scenario.test))
    return row_of(scenario, (checkpoint, ordinary, seed), outcomes_PK, run.gpu_seconds_full)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file; the last may have been cut short."""
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        assert parse_checkpoint(row["allocation"])
        yield row


def refuse_other_scenarios(scenario: Scenario, table: Path | None, out: Path) -> None:
    """SystemExit where a table or an earlier file is of another scenario.

    It is called before the workers start: a pool waits forever for a worker that exits.
    """
    if table and (header := read_table(table).header).scenario_sha256 != scenario.sha256:
        raise SystemExit(f"{table} is of {header.scenario}, not of {scenario_label(scenario)}.")
    others = (
        set(pd.read_parquet(out, columns=["scenario"])["scenario"]) - {scenario_label(scenario)}
        if out.exists()
        else set()
    )
    if others:
        raise SystemExit(
            f"{out} has scores of {', '.join(sorted(others))}, not of {scenario_label(scenario)}: name another --out."
        )


def main() -> None:
    """Train what is missing and write all scores into one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro", help="a built-in name or a YAML file")
    parser.add_argument("--recipe", choices=("today", "before"), default="today")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, help="only the first so many allocations")
    parser.add_argument("--table", help="a recorded table (name or file): its seeds, and its scores of blocks")
    parser.add_argument("--results", type=Path, default=Path("results/sharing"))
    parser.add_argument("--out", type=Path, required=True, help="a Parquet file")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    seeds = [FIRST_TEST_SEED * (number + 1) for number in range(arguments.seeds)]
    table = find_table(arguments.table) if arguments.table else None
    if table:
        seeds = list(recorded_seeds(arguments.seeds))
    scenario = Scenario.load(arguments.scenario)
    refuse_other_scenarios(version_1(scenario) if arguments.recipe == "before" else scenario, table, arguments.out)
    chosen = (arguments.first, table, arguments.results, arguments.out)
    jobs = [Job(arguments.scenario, arguments.recipe, seed, *chosen) for seed in seeds]
    paths = []
    if arguments.workers == 1:
        paths = [train_seed(job) for job in jobs]
    else:
        with multiprocessing.get_context("spawn").Pool(arguments.workers, maxtasksperchild=1) as pool:
            for path in pool.imap(train_seed, jobs, chunksize=1):
                paths.append(path)
                print(f"{path}: done", flush=True)
    # Two calls at once train a row twice, to the same score.
    rows = list({identity(row): row for path in paths for row in read(path)}.values())
    if arguments.out.exists():
        earlier = pd.read_parquet(arguments.out)
        rows = [*plain(earlier[~earlier["seed"].isin(seeds)]), *rows]
    pd.DataFrame(rows).to_parquet(arguments.out, index=False, compression="zstd")
    print(f"{arguments.out}: {len(rows)} rows", flush=True)


if __name__ == "__main__":
    main()
