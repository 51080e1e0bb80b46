"""Predicted and measured memory of a machine whose processes train together.

Run it: python -m tests.experiments.speed.host_memory

Two CPU processes train two GRPO blocks with a KL term of a model that is wide enough to be seen, each process whole
(DDP) and sharded (FSDP2); the second block takes up the first one's optimizer. Measured is the largest sum, over this
process and all that it started, of what each holds: pages that several share (libraries, files) count once (PSS).
"""

import argparse
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from transformers import AutoConfig, AutoModelForCausalLM, set_seed

from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.events import Event
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.host_memory import predict_host
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN, ScenarioFile

MIB = 2**20


class Peak:
    """The largest memory of this process and its descendants while the context lasts.

    `parts` is that by process; `by_event` the largest before each event of the runner.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval

    def __enter__(self) -> "Peak":
        self.total, self.parts, self._ended = 0, dict[int, int](), threading.Event()
        self.by_event: list[tuple[str, int]] = []
        self._since = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def hear(self, event: Event) -> None:
        """Note what was largest since the event before."""
        self.by_event.append((type(event).__name__, self._since))
        self._since = 0

    def _watch(self) -> None:
        here = psutil.Process()
        while not self._ended.wait(self.interval):
            parts: dict[int, int] = {}
            for process in [here, *here.children(recursive=True)]:
                with suppress(psutil.Error):
                    parts[process.pid] = process.memory_full_info().pss
            total = sum(parts.values())
            self._since = max(total, self._since)
            if total > self.total:
                self.total, self.parts = total, parts


def wide_student(folder: Path, layers: int, width: int) -> Path:
    """micro's student with more and wider layers, from random numbers."""
    student = BUILT_IN / "micro" / "student"
    shutil.copytree(student, folder)
    config = AutoConfig.from_pretrained(student)
    config.update({"hidden_size": width, "intermediate_size": 3 * width, "head_dim": width // 4})
    config.update({"num_hidden_layers": layers, "layer_types": ["full_attention"] * layers})
    set_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def wide_scenario(student: Path, sharding: str) -> Scenario:
    """micro with this student in two processes, short blocks and a KL term."""
    file, beside = ScenarioFile.read("micro")
    document: dict[str, Any] = file.model_dump(mode="json", exclude_none=True)
    document["student"] = {"path": str(student)}
    document["hardware"] |= {"processes": 2, "sharding": sharding}
    document["stages"]["student_rl"] |= {"steps": 2, "prompts_per_step": 2, "generations": 2, "kl_coef": 0.1}
    document["stages"]["student_rl"] |= {"micro_batch": 2, "max_completion_tokens": 8}
    return Scenario(ScenarioFile.model_validate(document), beside)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--sharding", nargs="+", default=["none", "fsdp2"])
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between two looks")
    parser.add_argument("--parts", action="store_true", help="also the memory of each process at the peak")
    given = parser.parse_args()
    print("| two processes | measured, MiB | predicted, MiB | predicted / measured |")
    print("|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        student = wide_student(folder / "student", given.layers, given.width)
        for sharding in given.sharding:
            scenario = wide_scenario(student, sharding)
            predicted = predict_host(scenario, "student_rl")
            assert predicted is not None
            runner = RouteRunner(scenario, folder / sharding)
            with Peak(given.interval) as peak:
                runner.hear = peak.hear
                runner.run(compile_route(Allocation.parse("student_rl=2"), scenario.recipe, 0), "memory")
            runner.close()
            words = {"none": "each holds all", "fsdp2": "sharded"}[sharding]
            print(
                f"| {words} | {peak.total / MIB:,.0f} | {predicted.total / MIB:,.0f} | "
                f"{predicted.total / peak.total:.2f} |",
                flush=True,
            )
            if given.parts:
                print([(event, round(size / MIB)) for event, size in peak.by_event])
                print({pid: round(size / MIB) for pid, size in peak.parts.items()})
                print(predicted.moment, {part: round(size / MIB) for part, size in predicted.parts.items()})


if __name__ == "__main__":
    main()
