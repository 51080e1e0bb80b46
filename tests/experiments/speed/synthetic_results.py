"""A large results folder through the real writers: one study of N runs, each scored on 7 suites, and its report.

Run: `python -m tests.experiments.speed.synthetic_results FOLDER --runs 10000`. The folder then holds what `tuition
search` and `tuition bench` leave: blocks, scores, ledger, study, logs, report, leaderboard; and `synthetic.yaml`, the
scenario. `docs/dashboard_speed.md` says how long it takes and how large it becomes.

Real: keys, records, stores, ledger, Optuna's storage, the test at the end of a search. Made up: what training does to a
model (a number, its skill, that moves with every block), what a block costs, and completions, which are right with a
chance that depends on skill and problem. Weights are four numbers. For speed nothing is flushed to disk, the ledger is
one transaction, trials are added instead of proposed, and the report draws random allocations once instead of 20 times.
"""

import argparse
import functools
import gc
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import pandas as pd
import sqlalchemy
import torch
import yaml
from optuna.trial import FrozenTrial, TrialState, create_trial
from safetensors.torch import save_file

import tuition.app.costs.block_costs
import tuition.app.processes.run_configuration
import tuition.benchmarks.artefacts
from tuition.app.processes.libraries import silence_libraries
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.search_run import SearchRequest, enqueued, run_search
from tuition.benchmarks.artefacts import SAMPLE_COLUMNS, correct_PK
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.provenance import CODE_VERSION, command_line
from tuition.benchmarks.scoring.score_store import Making, ScoreKey, ScoreStore
from tuition.benchmarks.scoring.scorer import Scorer, Task
from tuition.benchmarks.statistics.intervals import avg_at_k
from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, Route, compile_route
from tuition.planner.study import StudyLimits, open_study
from tuition.runners.events import Listener
from tuition.runners.labels import Ledger
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.training.block_trainer import BlockTrainer
from tuition.runners.training.checkpoint import CarriedState, save_carried
from tuition.runners.training.execution import TrainingOutput
from tuition.runners.training.meter import Clock
from tuition.runners.training.rows import SampleCounts
from tuition.runners.training.stages.trainer_callbacks import CURVES

STUDY = "synthetic-seed0"
SEED = 0
# Seconds of a block, and how far it moves a skill: an RL block by itself, a transfer block towards its teacher's.
SECONDS = {"teacher_rl": 9.0, "student_rl": 5.0, "warmup": 6.0, "opd": 8.0}
BASE_SKILL = {"student": -2.2, "big": -1.2}
TOWARDS_TEACHER = {"warmup": 0.12, "opd": 0.18}
# Suites of `tuition bench`: name, problems, samples. Their rows, so that no data set is needed, are made up as well.
BENCHES = (
    ("aime24@1", 30, 4), ("aime25@1", 30, 4), ("aime26@1", 30, 4), ("amc23@1", 40, 4), ("math500@1[:100]", 100, 1),
    ("gsm8k@1[:100]", 100, 1),
)  # fmt: skip
SUBJECTS = ("algebra", "counting", "geometry", "number theory")
STEPS = 10
MAX_DRAWS = 200


def scenario_content() -> dict[str, Any]:
    """The scenario: micro with labels in 16 blocks and replay, so that there are more than 10,000 routes."""
    content = yaml.safe_load((BUILT_IN / "micro.yaml").read_text(encoding="utf-8"))
    content |= {"name": "synthetic", "description": "Made-up results: no model was trained.", "labels_per_block": 3}
    content["student"] = {"path": str(BUILT_IN / content["student"]["path"])}
    content["teachers"] = {name: {"path": str(BUILT_IN / spec["path"])} for name, spec in content["teachers"].items()}
    content["validation"]["samples"] = content["test"]["samples"] = 4
    for stage in ("teacher_rl", "student_rl"):
        content["stages"][stage]["prompts_per_step"] = 3
    content["search"] = {"bridge_warmup": 2, "bridge_opd": 2, "max_warmup": 4, "max_opd": 4, "max_replay": 2}
    return dict(content)


class MadeUpTrainer(BlockTrainer):
    """Publishes blocks without training them. `skill` holds what each checkpoint can do."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.skill = {content: BASE_SKILL[name] for content, name in self._bases.items()}

    def _train(
        self,
        block: Block,
        answers: Mapping[str, str],
        hear: Listener,
        on_trained: Callable[[float], None] | None,
    ) -> BlockRecord:
        seed = int(block.key[:16], 16)  # not the block's own, which blocks of two routes may share
        generator = np.random.default_rng(seed)
        gpu_seconds = round(SECONDS[block.stage] * generator.lognormal(0, 0.1), 3)
        if on_trained is not None:
            on_trained(gpu_seconds)
        start = self.skill[block.parent]
        self.skill[block.key] = start + self._gain(block, start) + 0.03 * generator.normal()
        curves = made_up_curves(block, start, self.skill[block.key], generator)
        carried = CarriedState({"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}, {})

        def write(folder: Path) -> None:
            (folder / "model").mkdir()
            save_file({"weight": torch.tensor(generator.normal(size=4))}, folder / "model" / "model.safetensors")
            save_carried(carried, folder)
            curves.to_parquet(folder / "train.parquet", index=False)

        left = TrainingOutput(write, curves, 6 * 10**8)
        return self._publish(block, left, SampleCounts(), Clock("cpu"), gpu_seconds)

    def _gain(self, block: Block, start: float) -> float:
        if block.stage in TOWARDS_TEACHER:
            return TOWARDS_TEACHER[block.stage] * (self.skill[str(block.teacher)] - start)
        fresh = 0.30 if block.model != "student" else 0.16
        return fresh * 0.93**block.index if block.new_labels else 0.02


class MadeUpRunner(RouteRunner):
    """The local runner, with blocks that are not trained and completions that are not sampled."""

    def __init__(self, scenario: Scenario, results: Path, listener: Any = None, mix_versions: bool = False):
        super().__init__(scenario, results, listener, mix_versions)
        self.trainer = MadeUpTrainer(scenario, self.results, self.pool, self.grader, mix_versions)
        self.store = self.trainer.store
        self.scorer = MadeUpScorer(self.results, self.grader)
        self.scorer.skill = self.trainer.skill


class MadeUpScorer(Scorer):
    """The scorer, with samples that no model has drawn. `skill` holds what each checkpoint can do."""

    skill: dict[str, float]

    def _sample(self, task: Task, *_: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
        made_up = MadeUpSuite(task.suite.name, [(p.id, p.answer) for p in task.suite.problems], task.num_samples)
        table = made_up.table(self.skill[task.model.block or task.weights], int(task.key.key[:8], 16))
        return table, {"started": "2026-01-01T00:00:00Z", "seconds": 0.5, "gpu_seconds": 0.5}


def made_up_curves(block: Block, start: float, end: float, generator: np.random.Generator) -> pd.DataFrame:
    """Curves of one block, with the columns of a real one."""
    curves = dict(zip(CURVES.values(), 0.1 * generator.random((len(CURVES), STEPS)), strict=True))
    if block.stage.endswith("_rl"):
        curves["reward"] = 1 / (1 + np.exp(-np.linspace(start, end, STEPS))) + 0.03 * generator.normal(size=STEPS)
    else:
        curves["reward"] = curves["zero_variance_share"] = np.full(STEPS, np.nan)
    curves["mean_tokens"] = 6 + generator.random(STEPS)
    curves["tokens_seen"] = np.cumsum(generator.integers(800, 1000, STEPS)).astype(float)
    curves["learning_rate"] = np.full(STEPS, 2e-4)
    return pd.DataFrame({"step": np.arange(1, STEPS + 1), "seconds": generator.lognormal(-1, 0.1, STEPS)} | curves)


class MadeUpSuite:
    """Sample tables of one suite. A problem's difficulty, level and subject are drawn once, from the suite's name."""

    def __init__(self, name: str, answers: Sequence[tuple[str, str]], num_samples: int):
        self.name, self.num_samples, self.num_problems = name, num_samples, len(answers)
        generator = np.random.default_rng(list(name.encode()))
        difficulty_P = generator.normal(0, 1.5, len(answers))
        level_P = np.digitize(difficulty_P, [-1.5, -0.5, 0.5, 1.5]) + 1
        self.difficulty = np.repeat(difficulty_P, num_samples)
        self.right = np.repeat([answer for _, answer in answers], num_samples).astype(object)
        repeated = {
            "problem_id": np.repeat([identity for identity, _ in answers], num_samples),
            "sample": np.tile(np.arange(num_samples), len(answers)),
            "level": np.repeat(level_P, num_samples),
            "subject": np.repeat(generator.choice(SUBJECTS, len(answers)), num_samples),
        }
        self.fixed = {name: pd.array(values, dtype=SAMPLE_COLUMNS[name]) for name, values in repeated.items()}

    def table(self, skill: float, seed: int) -> pd.DataFrame:
        """Samples of a model with this skill."""
        generator = np.random.default_rng(seed)
        count = len(self.difficulty)
        correct = generator.random(count) < 1 / (1 + np.exp(self.difficulty - skill))
        wrong = generator.integers(0, 999, count).astype(str).astype(object)
        extracted = np.where(correct, self.right, wrong)
        truncated = ~correct & (generator.random(count) < 0.1)
        extracted[truncated] = None
        verdict = np.where(correct, "correct", np.where(truncated, "no_answer", "wrong")).astype(object)
        first = generator.integers(1, 99, count)
        completions = [
            f"We have ${x} + y$, so $y = {answer}$. \\boxed{{{answer}}}" if answer is not None else f"We have ${x} +"
            for x, answer in zip(first, extracted, strict=True)
        ]
        drawn = {
            "completion": completions,
            "extracted": extracted,
            "verdict": verdict,
            "correct": correct,
            "num_tokens": generator.integers(5, 60, count),
            "truncated": truncated,
        }
        arrays = self.fixed | {name: pd.array(v, dtype=SAMPLE_COLUMNS[name]) for name, v in drawn.items()}
        return pd.DataFrame(arrays, columns=list(SAMPLE_COLUMNS), copy=False)


@functools.cache
def bench_suites() -> list[MadeUpSuite]:
    """The suites of `BENCHES`, with made-up answers."""
    suites = []
    for name, problems, samples in BENCHES:
        answers = np.random.default_rng(list(name.encode())).integers(0, 999, problems)
        bare = name.partition("@")[0]
        suites.append(MadeUpSuite(name, [(f"{bare}-{i:04d}", str(a)) for i, a in enumerate(answers)], samples))
    return suites


def save_bench(store: ScoreStore, runner: MadeUpRunner, route: Route, suite: MadeUpSuite) -> None:
    """A score as `tuition bench` keeps it."""
    weights = runner.trainer.weights_sha256(route.final)
    preset = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 4096}
    key = ScoreKey(weights, suite.name, preset, suite.num_samples, 0, "transformers, made up", GRADER_VERSION)
    skill = runner.trainer.skill[route.final]  # type: ignore[attr-defined]
    table = suite.table(skill, int(key.key[:8], 16))
    making = Making(
        model=runner._described(route.final), seed=0, suite_verified=False, seconds=1.0,
        gpu_seconds=1.0, command=command_line(), code_version=CODE_VERSION, versions=runner.trainer.versions,
    )  # fmt: skip
    store.save(key, table, making)


def routes_of(scenario: Scenario, count: int) -> list[Route]:
    """Routes with distinct final checkpoints, those first that a search tries first; ValueError for too many."""
    allocations = enqueued(scenario)
    seen: set[Allocation] = set()
    routes: dict[str, Route] = {}
    for draw in range(MAX_DRAWS):
        for allocation in allocations:
            if allocation in seen:
                continue
            seen.add(allocation)
            route = compile_route(allocation, scenario.recipe, SEED)
            routes.setdefault(route.key, route)
            if len(routes) == count:
                return list(routes.values())
        allocations = scenario.space.random_allocations(2000, seed=draw)
    raise ValueError(f"--runs {count}: the space has about {len(routes)} distinct routes")


def execute(runner: MadeUpRunner, route: Route, benches: Sequence[MadeUpSuite], log: Path) -> dict[str, Any]:
    """Blocks, labels and scores of one run; the attributes of its trial, as `tuition.app.studies.search_run` records
    them."""
    spent: dict[str, float] = {}
    for block in route.blocks:
        if block.key in runner.trainer.skill:  # type: ignore[attr-defined]
            continue
        runner.trainer.ensure(block, {}, None, functools.partial(spent.__setitem__, block.key))
        runner.ledger.record_training(STUDY, block.key, spent[block.key])
        if block.index > 0:  # only a stage's tip keeps its optimizer state
            runner.store.drop_optimizer(block.parent)
    name = f"{route.allocation.id}:{route.final}"
    for stage in dict.fromkeys(block.stage for block in route.blocks if block.new_labels):
        ids = [label for block in route.blocks if block.stage == stage for label in block.new_labels]
        runner.ledger.book(STUDY, SEED, name, stage, ids, len(runner.scenario.labels))
    scored = runner.score(route.final, "validation", STUDY)
    for suite in benches:
        save_bench(runner.scorer.store, runner, route, suite)
    score = avg_at_k(correct_PK(scored.table)[1])
    full = sum(SECONDS[block.stage] for block in route.blocks)
    return {
        "value": score.mean,
        "se_problems": score.se_problems,
        "se_samples": score.se_samples,
        "labels_trained": len(route.labels_trained),
        "gpu_seconds": round(sum(spent.values()) + 0.5, 3),
        "gpu_seconds_full": round(full, 3),
        "gpu_seconds_marginal": round(sum(spent.values()), 3),
        "blocks_requested": len(route.blocks),
        "blocks_executed": len(spent),
        "weights_sha256": runner.trainer.weights_sha256(route.final),
        "log": str(log),
    }


def finished_trial(scenario: Scenario, route: Route, attributes: dict[str, Any], number: int) -> FrozenTrial:
    """The trial of a run; one in 50 has failed instead."""
    identity = {"allocation": str(route.allocation), "allocation_id": route.allocation.id, "route_key": route.key}
    value = attributes.pop("value")
    failed = number % 50 == 49
    error = {"error": "BlockError: a made-up failure", "log_path": attributes["log"]}
    trial = create_trial(
        state=TrialState.FAIL if failed else TrialState.COMPLETE,
        value=None if failed else value,
        params=scenario.space.params_of(route.allocation),
        distributions=scenario.space.distributions(),
        user_attrs={"worker": "made-up", **identity, **(error if failed else attributes)},
    )
    trial.datetime_start = datetime(2026, 1, 1) + timedelta(seconds=20 * number)
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=18)
    return trial


class OneTransaction(Ledger):
    """A ledger whose bookings are all committed at its end: a commit each takes longer than all the rest."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.connection = sqlite3.connect(path)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        yield self.connection

    def _connect(self) -> Any:
        return self._connection() if hasattr(self, "connection") else super()._connect()

    def close(self) -> None:
        self.connection.commit()
        self.connection.close()


def made_up_trial(runner: MadeUpRunner, route: Route, number: int, log: Path) -> FrozenTrial:
    """Everything of one run, and its trial."""
    log.write_text(f"made-up log of trial {number}\n", encoding="utf-8")
    return finished_trial(runner.scenario, route, execute(runner, route, bench_suites(), log), number)


def make_results(results: Path, num_runs: int) -> None:
    """Make the folder, which must not be there. An interrupt ends it with the runs that there are."""
    results.mkdir(parents=True)
    path = results / "synthetic.yaml"
    path.write_text(yaml.safe_dump(scenario_content()), encoding="utf-8")
    scenario = Scenario.load(str(path))
    folder = ResultsFolder(results).study(STUDY)
    folder.trial_log(0).parent.mkdir(parents=True)
    tuition.benchmarks.artefacts._fsync = lambda path: None
    runner = MadeUpRunner(scenario, results)
    runner.ledger = OneTransaction(runner.results.ledger)
    trials: list[FrozenTrial] = []
    try:
        for route in routes_of(scenario, num_runs):
            trials.append(made_up_trial(runner, route, len(trials), folder.trial_log(len(trials))))
            if len(trials) % 500 == 0:
                print(f"{len(trials)} runs", flush=True)
    except KeyboardInterrupt:
        print(f"Stopped: the folder will have {len(trials)} runs", flush=True)
    runner.ledger.close()
    add_trials(folder, scenario, trials)
    finish_search(path, results, len(trials), runner)


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def never_wait_for_the_disk(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def add_trials(folder: StudyFolder, scenario: Scenario, trials: Sequence[FrozenTrial]) -> None:
    """The study's database, as `tuition.planner.study` opens it."""
    study = open_study(STUDY, f"sqlite:///{folder.database}", scenario.sha256, SEED)
    study.set_user_attr("space", scenario.space.model_dump(mode="json"))
    study.add_trials(trials)


def finish_search(path: Path, results: Path, num_trials: int, made: MadeUpRunner) -> None:
    """The command that has nothing left to search: it tests the finalists and writes report and leaderboard."""

    def runner(*arguments: Any) -> MadeUpRunner:
        again = MadeUpRunner(*arguments)
        again.trainer.skill.update(made.trainer.skill)  # type: ignore[attr-defined]
        return again

    tuition.app.processes.run_configuration.RouteRunner = runner  # type: ignore[misc, assignment]
    tuition.app.costs.block_costs.EXPECTED_REUSE_DRAWS = 1
    request = SearchRequest(
        RunConfiguration(str(path), results, quiet=True), study=STUDY, seed=SEED,
        limits=StudyLimits(trials=num_trials), sampler="random", storage=None, num_test_seeds=2,
    )  # fmt: skip
    run_search(request)


def main() -> None:
    """Make the folder and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a folder that is not there yet")
    parser.add_argument("--runs", type=int, default=10_000)
    arguments = parser.parse_args()
    silence_libraries()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    gc.freeze()  # again and again it would look through all that torch has brought along
    started = time.monotonic()
    make_results(arguments.results, arguments.runs)
    files = [entry for entry in arguments.results.rglob("*") if entry.is_file()]
    on_disk = sum(512 * os.lstat(entry).st_blocks for entry in files)
    print(
        f"{arguments.runs} runs, {1 + len(BENCHES)} suites each: {math.ceil(time.monotonic() - started)} s, "
        f"{len(files)} files, {on_disk / 1e6:,.0f} MB on disk"
    )


if __name__ == "__main__":
    main()
