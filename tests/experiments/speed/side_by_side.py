"""What two processes save on teacher rollouts and scores: python -m tests.experiments.speed.side_by_side

The teacher of `micro` draws rollouts, and the student is scored on the test suite, by one process and by two. A
ratio is of seconds with two processes to seconds with one: on the wall's clock, and of the processor, of the busier
process. Other programs change the first; the second is what the first comes to on two free cores. Opening the model is
in both, starting a process in neither.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuition.benchmarks.scoring.sampling import encode_prompts, render_prompt, training_rollouts
from tuition.runners.drawing import SideBySide
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.training.checkpoint import load_tokenizer


class Timed:
    """Wall seconds from an engine's first request to its end, and processor seconds of the busiest process."""

    def __init__(self, runner: RouteRunner):
        self.runner, self.opened = runner, runner.trainer.opened
        runner.trainer.opened = self._noted  # type: ignore[method-assign]

    @contextmanager
    def _noted(self, reference: str) -> Iterator[Any]:
        began, processor = time.perf_counter(), time.process_time()
        with self.opened(reference) as engine:
            if several := isinstance(engine, SideBySide):  # whose processes open the model when they are first asked
                began = time.perf_counter()
            yield engine
            self.wall = time.perf_counter() - began
            self.busiest = max(engine.processor.values()) if several else time.process_time() - processor

    def seconds(self, work: Callable[[], object]) -> tuple[float, float]:
        """Of the engine that `work` opens."""
        work()
        return self.wall, self.busiest


def scenario_of(name: str, processes: int) -> Scenario:
    """A scenario with so many processes."""
    file, beside = ScenarioFile.read(name)
    hardware = file.hardware.model_copy(update={"processes": processes})
    return Scenario(file.model_copy(update={"hardware": hardware}), beside)


def measure(name: str, processes: int, sequences: int) -> dict[str, tuple[float, float]]:
    """Seconds of the two kinds of work, in a results folder of their own."""
    scenario = scenario_of(name, processes)
    texts = [render_prompt(problem.problem, scenario.decoding) for problem in scenario.labels]
    ids = encode_prompts(load_tokenizer(scenario.base_folder("student")), texts, scenario.file.template)
    prompts = [ids[row % len(ids)] for row in range(sequences)]
    limit = training_rollouts(scenario.file.stages.of("warmup").max_completion_tokens)
    with tempfile.TemporaryDirectory() as folder:
        runner = RouteRunner(scenario, Path(folder))
        timed, teacher = Timed(runner), scenario.recipe.teachers[scenario.default_teacher]
        seconds = {
            "teacher rollouts": timed.seconds(lambda: runner.trainer.generate(teacher, prompts, limit, 0)),
            "scores": timed.seconds(lambda: runner.score(scenario.recipe.student, "test", "speed")),
        }
        runner.close()
    return seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro")
    parser.add_argument("--sequences", type=int, default=8192, help="teacher rollouts")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    pairs = [
        [measure(given.scenario, processes, given.sequences) for processes in (1, 2)] for _ in range(given.repeats)
    ]
    print("| two processes to one, median (min, max) | wall seconds | processor seconds, the busier process |")
    print("|---|---:|---:|")
    for work in pairs[0][0]:
        cells = []
        for kind in (0, 1):
            ratios = [two[work][kind] / one[work][kind] for one, two in pairs]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})")
        print(f"| {work} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
