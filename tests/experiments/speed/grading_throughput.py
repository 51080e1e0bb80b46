"""Grading speed: our grader against one thread of math-verify, on outputs of real models, as a ratio in one run.

Run: `python -m tests.experiments.speed.grading_throughput [--workers 2] [--rows N] [--only Rho] [--json]`, on the data
sets of `../shared/data`, or of another folder (`--data`). math-verify runs as it comes, in the main thread, with its
own time-outs: it parses the gold and the completion and verifies. Both sides take turns on pieces of PIECE rows, so
that a change in the machine's load meets both. Starting the workers and importing math-verify are left out on both
sides, and each measurement has a process of its own, so that no side finds what the other, or an earlier measurement,
has warmed up. Every verdict is compared.

Not a test: machines are noisy. `ratio` is of wall-clock seconds, and needs as many free cores as workers; `cpu_ratio`
is of CPU-seconds: how much of the work is left, whatever else the machine does. "Distinct" rows leave out every pair
that was there before, so that no grade comes from the cache.
"""

import argparse
import gzip
import json
import logging
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tuition.benchmarks.grading.grader import Grader, Verdict, as_formula

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
PIECE = 250
LIMIT_SECONDS = 60.0
"""Of our side. A busy machine must not turn slow answers into timeouts, which would then cost a worker each."""
Pair = tuple[str, str]


@dataclass
class Side:
    """One way of grading: its verdicts on a piece of the rows, and the seconds it has taken in all."""

    grade: Callable[[list[Pair]], list[bool]]
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    verdicts: list[bool] = field(default_factory=list)

    def run(self, piece: list[Pair]) -> None:
        started, cpu_started = time.perf_counter(), cpu_seconds()
        verdicts = self.grade(piece)
        self.wall_seconds += time.perf_counter() - started
        self.cpu_seconds += cpu_seconds() - cpu_started
        self.verdicts += verdicts


def cpu_seconds() -> float:
    """CPU-seconds so far of this process and all its workers, also dead ones; those of the other side are idle."""
    alive = [child.cpu_times() for child in psutil.Process().children()]
    dead = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + dead.ru_utime + dead.ru_stime + sum(t.user + t.system for t in alive)


def read_rows(path: Path) -> Iterator[dict[str, object]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def load(data: Path) -> dict[str, list[Pair]]:
    """Pairs of gold answer and text to grade, by data set."""
    return {
        "full responses (Qwen2.5-Math, 100 problems x 8)": [
            (str(row["gold"]), sample["response"])
            for row in read_rows(data / "samples_qwen_math100_k8.jsonl.gz")
            for sample in row["samples"]  # type: ignore[attr-defined]
        ],
        "grader cases (4 sources)": [
            (str(row["gold"]), text if row["kind"] == "cot_response" else as_formula(text))
            for row in read_rows(data / "grader_cases_model_outputs.jsonl.gz")
            for text in [str(row["prediction"])]
        ],
        "extracted answers (Rho-1, 4 models x MATH-500 + GSM8K)": [
            (str(row["gold"]), as_formula(str(row["pred"])))
            for row in read_rows(data / "samples_rho1_greedy.jsonl.gz")
            if row["gold"]
        ],
    }


def math_verify_alone(piece: list[Pair]) -> list[bool]:
    """One thread of math-verify, default settings and time-outs."""
    from math_verify import parse, verify

    verdicts = []
    for gold, completion in piece:
        prediction = parse(completion)
        verdicts.append(bool(prediction) and bool(verify(parse(as_formula(gold)), prediction)))
    return verdicts


def by(grader: Grader) -> Callable[[list[Pair]], list[bool]]:
    """Our grader's verdicts."""
    return lambda piece: [g.correct for g in grader.grade_many([g for g, _ in piece], [c for _, c in piece])]


def start(grader: Grader) -> None:
    """Start all workers, by so many answers at once that each gets some."""
    before = len(psutil.Process().children())
    answers = [f"$\\frac{{1}}{{{n}}}+\\sqrt{{{n}}}$" for n in range(2, 2 + grader.workers * 40)]
    grader.grade_many(["1"] * len(answers), answers)
    started = len(psutil.Process().children()) - before
    if started != grader.workers:
        raise RuntimeError(f"{started} workers started, not {grader.workers}; run it again")


def measure(pairs: list[Pair], workers: int) -> dict[str, float | int]:
    """Times and ratios on these rows. Runs in the main thread of a fresh process: math-verify's time-outs need one."""
    logging.disable(logging.CRITICAL)
    seen: set[Pair] = set()
    fast = repeated = 0
    with Grader(LIMIT_SECONDS, workers) as many, Grader(LIMIT_SECONDS, 1) as one:
        start(many)
        start(one)
        math_verify_alone([("1", "$\\frac{1}{2}$")])
        alone, by_many, by_one = Side(math_verify_alone), Side(by(many)), Side(by(one))
        for first in range(0, len(pairs), PIECE):
            piece = pairs[first : first + PIECE]
            for pair in piece:
                decided_here = many._decide(*pair)[1] == b""
                fast += decided_here
                repeated += not decided_here and pair in seen
                seen.add(pair)
            for side in (alone, by_many, by_one):
                side.run(piece)
        timeouts = sum(many.grade(*pair).verdict is Verdict.timeout for pair in seen)
    return {
        "rows": len(pairs),
        "workers": workers,
        "fast_path_share": round(fast / len(pairs), 3),
        "cache_share": round(repeated / len(pairs), 3),
        "math_verify_rows_per_second": round(len(pairs) / alone.wall_seconds),
        "ratio": round(alone.wall_seconds / by_many.wall_seconds, 2),
        "cpu_ratio": round(alone.cpu_seconds / by_many.cpu_seconds, 2),
        "ratio_1_worker": round(alone.wall_seconds / by_one.wall_seconds, 2),
        "cpu_ratio_1_worker": round(alone.cpu_seconds / by_one.cpu_seconds, 2),
        "verdicts_that_differ": sum(a != b for a, b in zip(alone.verdicts, by_many.verdicts, strict=True)),
        "timeouts": timeouts,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--rows", type=int, default=None, help="only the first N of each data set")
    arguments.add_argument("--only", default="", help="only data sets whose name has this in it")
    arguments.add_argument("--data", type=Path, default=DATA, help="the folder of the data sets")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    results = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for name, pairs in load(chosen.data).items():
            if chosen.only not in name:
                continue
            part = pairs[: chosen.rows]
            for title, rows in ((name, part), (f"{name}, distinct", list(dict.fromkeys(part)))):
                results[title] = processes.submit(measure, rows, chosen.workers).result()
                if not chosen.json:
                    print(
                        title, *(f"  {field}: {value}" for field, value in results[title].items()), sep="\n", flush=True
                    )
    if chosen.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
