"""Kill a search again and again, and compare what it finishes with a search that nobody disturbed.

Run: `python -m tests.faults.kill_search --kills 100` (30 to 90 minutes of 2 cores; a short form is in
tests/app/processes/test_workers.py). Two workers search the small scenario of the tests; at a random moment a random
process of theirs (parent, worker or grader) gets SIGKILL; a dead search is started again. When a study is done, the
next begins.

Checked at the end: every (allocation, seed) that both finished has identical scores; with one worker, the trials are
the same, by number and proposal; no route booked more labels than
it trains; every block in the store is whole; no process outlived its parent.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import trl.trainer.grpo_trainer  # noqa: F401  # before a search is forked, not by each anew
import yaml
from tests.runners.conftest import small_scenario_file

from tuition.app.cli import main as main_of_tuition
from tuition.planner.allocation import Allocation
from tuition.planner.cost import CheckpointState
from tuition.planner.route import compile_route
from tuition.runners.labels import Ledger
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore

FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Size:
    """Of every search, its sampler, and how many seconds at most it is left alone before the next kill."""

    trials: int
    workers: int
    longest_wait: float
    sampler: str = "random"


class Search:
    """One `tuition search` of the small scenario, as a process that can be killed and started again.

    It is a fork of this one, which has imported what trains and computed nothing: to import it anew takes longer than
    the search.
    """

    def __init__(self, folder: Path, results: str, seed: int, size: Size):
        self.results = folder / results
        self.seed = seed
        self.size = size
        self.output = folder / f"{results}-{seed}.out"
        self.arguments = ["search", "--scenario", str(folder / "small.yaml"), "--results", str(self.results)]
        self.arguments += ["--trials", str(size.trials), "--workers", str(size.workers), "--sampler", size.sampler]
        self.arguments += ["--seed", str(seed), "--test-seeds", "0", "--json"]
        self.process: multiprocessing.process.BaseProcess | None = None

    def start(self) -> None:
        """Start it, in the background."""
        self.process = FORK.Process(target=run_command, args=(self.arguments, self.output))
        self.process.start()

    def finish(self) -> dict[str, Any]:
        """Run it to its end, undisturbed; its report."""
        self.start()
        assert self.process is not None
        self.process.join()
        if self.process.exitcode:
            told = self.output.with_suffix(".err").read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"seed {self.seed} does not finish: {told[-2000:]}")
        report: dict[str, Any] = json.loads(self.output.read_text(encoding="utf-8"))
        return report


def run_command(arguments: list[str], output: Path) -> None:
    """`tuition` with arguments; what it writes goes to two files."""
    with output.open("wb") as out, output.with_suffix(".err").open("wb") as err:
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(err.fileno(), sys.stderr.fileno())
    sys.argv = ["tuition", *arguments]
    main_of_tuition()


def disturb(
    folder: Path, size: Size, kills: int, seconds: float, rng: random.Random
) -> tuple[list[Search], Counter[str]]:
    """Kill until so many kills (or seconds) are done; the searches that were disturbed, and what was killed."""
    begun = len(list(folder.glob("disturbed/studies/*")))
    searches = [Search(folder, "disturbed", seed, size) for seed in range(max(1, begun))]
    counts: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while counts["kills"] < kills and time.monotonic() < until:
        search = searches[-1]
        if search.process is None or not search.process.is_alive():
            if search.process is not None and search.process.exitcode == 0:
                counts["studies finished under fire"] += 1
                searches.append(search := Search(folder, "disturbed", search.seed + 1, size))
            search.start()
            counts["starts"] += 1
        time.sleep(rng.uniform(1.0, size.longest_wait))
        if search.process is None or not search.process.is_alive():
            continue
        parent = psutil.Process(search.process.pid)
        family = [parent, *parent.children(recursive=True)]
        victim = rng.choice(family)
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
        counts["kills"] += 1
        counts["parents killed" if victim == parent else "workers and graders killed"] += 1
        if victim == parent:
            search.process.join()
            _, orphans = psutil.wait_procs(family[1:], timeout=30)
            counts["orphans"] += len(orphans)
        print(dict(counts), flush=True)
    for search in searches:
        if search.process is not None and search.process.pid is not None and search.process.is_alive():
            os.kill(search.process.pid, signal.SIGINT)
            search.process.join()
    return searches, counts


def compare(folder: Path, searches: list[Search]) -> Counter[str]:
    """Finish everything, disturbed and undisturbed, and count what agrees."""
    found: Counter[str] = Counter()
    finished = [(one, one.finish(), Search(folder, "undisturbed", one.seed, one.size).finish()) for one in searches]
    scenario = Scenario.load(str(folder / "small.yaml"))
    for search, disturbed, undisturbed in finished:
        theirs = {t["allocation"]: t["score"] for t in undisturbed["trials"] if t["score"]}
        for trial in disturbed["trials"]:
            found[f"trials {trial['state']}"] += 1
            if trial["score"] and trial["allocation"] in theirs:
                same = trial["score"] == theirs[trial["allocation"]]
                found["scores identical" if same else "SCORES DIFFER"] += 1
        if search.size.workers == 1:  # several propose in the order in which they finish
            proposed = [[(t["number"], t.get("allocation")) for t in run["trials"]] for run in (disturbed, undisturbed)]
            found["proposals identical" if proposed[0] == proposed[1] else "PROPOSALS DIFFER"] += 1
        ledger = Ledger(search.results / "ledger.sqlite")
        for text in {t["allocation"] for t in disturbed["trials"] if t["score"]}:
            route = compile_route(Allocation.parse(text), scenario.recipe, search.seed)
            booked = ledger.trained(disturbed["study"], search.seed, f"{route.allocation.id}:{route.final}")
            found["routes booked right" if booked == len(route.labels_trained) else "ROUTES BOOKED WRONG"] += 1
        found["blocks trained"] += disturbed["blocks"]["executed"]
        found["distinct blocks"] += disturbed["blocks"]["distinct"]
    store = BlockStore(searches[0].results / "store")
    keys = [path.name for path in store.folder.glob("[0-9a-f][0-9a-f]/*") if not path.name.startswith(".")]
    found["blocks whole"] = sum(store.state(key) is not CheckpointState.absent for key in keys)
    found["blocks in the store"] = len(keys)
    return found


def main() -> None:
    """Disturb, compare, print the counts; exit 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description="Kill a search again and again.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=7200, help="stop killing after this many seconds")
    parser.add_argument("--trials", type=int, default=12, help="of a search")
    parser.add_argument("--workers", type=int, default=2, help="of a search")
    parser.add_argument("--sampler", default="random", help="structural also scores checkpoints on the way")
    parser.add_argument("--longest-wait", type=float, default=20.0, help="seconds before a kill; it is 1 or more")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    parser.add_argument("--folder", type=Path, help="keep everything here; if killed itself, it resumes here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "small.yaml").write_text(yaml.safe_dump(small_scenario_file()))
        size = Size(arguments.trials, arguments.workers, arguments.longest_wait, arguments.sampler)
        searches, counts = disturb(folder, size, arguments.kills, arguments.seconds, random.Random(arguments.seed))
        counts += compare(folder, searches)
    print(json.dumps(counts, indent=1))
    broken = counts["SCORES DIFFER"] + counts["PROPOSALS DIFFER"] + counts["ROUTES BOOKED WRONG"] + counts["orphans"]
    sys.exit(1 if broken or counts["blocks whole"] != counts["blocks in the store"] else 0)


if __name__ == "__main__":
    main()
