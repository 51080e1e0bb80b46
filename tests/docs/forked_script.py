"""`python -m MODULE ARGUMENTS` in a fork of one process that has imported what trains, and computed nothing.

To import torch and TRL anew takes longer than most scripts do at a tiny size.
"""

import multiprocessing
import os
import runpy
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from tests.docs.documents import ROOT

PRELOADED = [
    "trl.trainer.grpo_trainer", "trl.trainer.sft_trainer", "peft", "datasets", "optuna", "sqlalchemy", "scipy.stats",
    "tuition.app.studies.search_run", "tuition.benchmarks.evidence.markdown", "tuition.benchmarks.planning.rivals",
    "tuition.runners.route_runner",
]  # fmt: skip
LIMIT_SECONDS = 240.0


@dataclass(frozen=True)
class Ended:
    """A script that has ended: its exit status, and all that it wrote to either stream."""

    status: int | None
    output: str


def run(module: str, arguments: list[str], output: Path) -> Ended:
    """Run a script to its end; after `LIMIT_SECONDS` it is killed. `output` is the file that takes what it writes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_as_script, args=(module, arguments, output))
    process.start()
    process.join(LIMIT_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    return Ended(process.exitcode, output.read_text(encoding="utf-8", errors="replace"))


def _as_script(module: str, arguments: list[str], output: Path) -> None:
    with output.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "src")])  # for processes of its own
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the sizes are for a processor
    sys.argv = [module, *arguments]
    warnings.simplefilter("ignore")
    runpy.run_module(module, run_name="__main__", alter_sys=True)
