"""How long the small things take: the command's help, a large store, a long study, and what surrounds a trial.

Run: `python tests/experiments/speed/small_things.py [--blocks 10000] [--study-trials 2000] [--pairs 15] [--trials 4]`,
for minutes: the store and the study are written by the code that writes them in a search (the store's blocks hold
files of a few bytes), and the last line trains real trials of `micro`. TMPDIR says where. Machines are noisy: each
figure is a median, but for the seconds of a real trial, which are a mean. Not a test.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import optuna

from tuition.app.processes.libraries import silence_libraries
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.storage.store_upkeep import list_store, plan_prune
from tuition.app.studies.search_run import SearchRequest, run_search
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route, compile_route
from tuition.planner.scores.outcome import Outcome
from tuition.planner.study import SearchOptions, StudyLimits, finalists, open_study, search
from tuition.runners.events import EventLog, StepDone
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.checkpoint import SCALARS, TENSORS

MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
STAGE_BLOCKS = 8
REPEATS = 5


def median_seconds(action: Callable[[], object]) -> str:
    """Median wall time of an action and its median processor time, after one call that warms the caches."""
    wall, processor = [], []
    for _ in range(REPEATS + 1):
        started, started_processor = time.perf_counter(), time.process_time()
        action()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - started_processor)
    return f"{statistics.median(wall[1:]):.2f} s, {statistics.median(processor[1:]):.2f} s of processor time"


def help_over_python(pairs: int) -> str:
    """`tuition --help` over `python -c pass`: the median of the ratios of neighbours."""
    command = [str(Path(sys.executable).with_name("tuition")), "--help"]
    ratios, seconds = [], []
    for pair in range(pairs + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        between = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        ended = time.perf_counter()
        if pair:
            ratios.append((ended - between) / (between - started))
            seconds.append(ended - between)
    return f"{statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f}), {_ms(seconds)}"


def _ms(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.0f} ms"


def step_event(writes: int = 1000) -> str:
    """Writing the event of one optimizer step: the median."""
    step = StepDone(key="0" * 64, step=1, steps=30, curves=dict.fromkeys(("loss", "reward", "kl", "seconds"), 0.5))
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        log = EventLog(Path(folder) / "events.jsonl")
        for _ in range(writes):
            started = time.perf_counter()
            log.write(step)
            seconds.append(time.perf_counter() - started)
        log.close()
    return f"{1e6 * statistics.median(seconds):.0f} µs"


def fill_store(store: BlockStore, num_blocks: int) -> None:
    """Publish blocks with a record as `tuition.runners.training.block_trainer` writes it and the files of a real one,
    chained in stages."""
    settings = {"steps": 20, "prompts_per_step": 8, "generations": 8, "learning_rate": 1e-4, "micro_batch": 64}
    record = {
        "stage": "teacher_rl", "model": "large", "base": "b" * 64, "stage_start": "b" * 64, "teacher": None,
        "parent_weights_sha256": "w" * 64, "teacher_weights_sha256": None, "weights_sha256": "w" * 64, "seed": 1,
        "run_seed": 0, "settings": settings, "environment": {"device": "cpu", "dtype": "float32"}, "steps": 20,
        "versions": {"torch": "2", "transformers": "5", "trl": "1"}, "accelerator": "cpu", "host": "host",
        "python": "3", "labels_new": 8, "labels_pool": 64, "prompts": 160, "sequences": 1280, "tokens": 40_000,
        "seconds": 9.0, "peak_memory_bytes": 6 * 10**8,
    }  # fmt: skip
    parent = str(record["base"])
    for number in range(num_blocks):
        key, index = hashlib.sha256(f"block {number}".encode()).hexdigest(), number % STAGE_BLOCKS
        own = {"index": index, "parent": parent, "gpu_seconds": 5 + number % 97 / 10, "finished": 1.7e9 + number}
        written = BlockRecord.model_validate({"key": key, **record, **own})

        def write(folder: Path, written: BlockRecord = written, bytes_more: int = number % 50) -> BlockRecord:
            (folder / "model").mkdir()
            for name in MODEL_FILES:
                (folder / "model" / name).write_bytes(b"x" * (100 + bytes_more))
            for name in (TENSORS, SCALARS, "train.parquet"):
                (folder / name).write_bytes(b"y" * 300)
            return written

        with store.lock(key):
            store.publish(key, write)
        parent = key if index + 1 < STAGE_BLOCKS else str(record["base"])


def store_seconds(results: Path, num_blocks: int) -> tuple[str, str]:
    """Seconds of listing a store, and of planning to halve it."""
    store = BlockStore(results / "store")
    fill_store(store, num_blocks)
    listed = list_store(results)
    assert len(listed["blocks"]) == num_blocks
    half = listed["bytes"] // 2
    assert plan_prune(results, half).bytes_after <= half
    return median_seconds(lambda: list_store(results)), median_seconds(lambda: plan_prune(results, half))


def study_seconds(folder: Path, scenario: Scenario, num_trials: int) -> str:
    """Seconds of opening a study, reading all of its trials and ranking them.

    The first trials are proposed and recorded by a search whose evaluations are instant; the rest are copies of them.
    """

    def evaluate(number: int, allocation: Allocation, route: Route, _: Sequence[Checkpoint]) -> Outcome:
        numbers = dict.fromkeys(("se_problems", "gpu_seconds", "gpu_seconds_full", "gpu_seconds_marginal"), 1.0)
        return Outcome(0.3, {**numbers, "weights_sha256": route.key, "labels_trained": 64, "log": str(folder)})

    def open_it() -> optuna.Study:
        return open_study("long", f"sqlite:///{folder / 'study.db'}", scenario.sha256, 0)

    study = open_it()
    limits, options = StudyLimits(trials=min(num_trials, 50)), SearchOptions(worker="worker")
    search(study, scenario.space, lambda a: compile_route(a, scenario.recipe, 0), evaluate, limits, options)
    first = study.get_trials()
    study.add_trials([first[number % len(first)] for number in range(len(first), num_trials)])
    assert len(open_it().get_trials(deepcopy=False)) == num_trials
    return median_seconds(lambda: finalists(open_it()))


def trial_seconds(results: Path, trials: int) -> tuple[float, float]:
    """Mean wall seconds of real micro trials, and the median where another study finds all their blocks and scores.

    The second is what surrounds training and scoring: proposals, records and their checksums, labels, database, logs.
    """
    means, medians = [], []
    for name in ("trains", "finds"):
        request = SearchRequest(
            RunConfiguration("micro", results, quiet=True), study=name, seed=0, limits=StudyLimits(trials=trials),
            sampler="tpe", storage=None, num_test_seeds=0,
        )  # fmt: skip
        report = run_search(request).report
        executed = report.blocks.executed_by_this_call
        assert executed > 0 if name == "trains" else executed == 0
        study = optuna.load_study(study_name=name, storage=f"sqlite:///{results}/studies/{name}/study.db")
        done = [trial for trial in study.trials if trial.datetime_start and trial.datetime_complete]
        ends = [done[0].datetime_start, *(trial.datetime_complete for trial in done)]
        # From end to end: what lies between two trials surrounds them as well.
        seconds = [(end - before).total_seconds() for before, end in pairwise(ends) if before and end]
        means.append(statistics.mean(seconds))
        medians.append(statistics.median(seconds))
    return means[0], medians[1]


def main() -> None:
    """Measure and print one line each."""
    parser = argparse.ArgumentParser(description="Seconds of the small things.")
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--study-trials", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--trials", type=int, default=4, help="real micro trials; 0 leaves them out")
    arguments = parser.parse_args()
    silence_libraries()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"tuition --help over python -c pass: {help_over_python(arguments.pairs)}", flush=True)
    print(f"write a step's event: {step_event()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        seconds = study_seconds(Path(folder), Scenario.load("micro"), arguments.study_trials)
        print(f"open a study of {arguments.study_trials} trials: {seconds}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        listing, planning = store_seconds(Path(folder), arguments.blocks)
        print(f"list a store of {arguments.blocks} blocks: {listing}", flush=True)
        print(f"plan to halve it: {planning}", flush=True)
    if arguments.trials:
        with tempfile.TemporaryDirectory() as folder:
            whole, around = trial_seconds(Path(folder), arguments.trials)
        share = f"{around / whole:.2%} of {whole:.1f} s (mean of {arguments.trials})"
        print(f"around a micro trial: {1000 * around:.0f} ms, {share}", flush=True)


if __name__ == "__main__":
    main()
