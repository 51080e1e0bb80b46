"""Predicted against measured peak memory of every stage: python -m tests.experiments.speed.memory --scenario micro

Each block is trained in a process of its own, whose peak resident memory is what is measured; on a GPU it would be what
PyTorch allocated (`make gpu-check` does that). Blocks have two steps: memory does not grow after the second.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.memory import predict_stage
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile

ROUTES = (
    "teacher={teacher} teacher_rl=1 warmup=1 opd=1 student_rl=1",
    "teacher={teacher} teacher_sft=1 transfer_sft=1",
)


def short_scenario(name: str) -> Scenario:
    """A scenario whose blocks have two steps."""
    file, folder = ScenarioFile.read(name)
    stages = {stage: settings.model_copy(update={"steps": 2}) for stage, settings in file.stages}
    return Scenario(file.model_copy(update={"stages": file.stages.model_copy(update=stages)}), folder)


def routes(scenario: Scenario) -> list[Route]:
    """The routes that go through all stages."""
    texts = [text.format(teacher=scenario.default_teacher) for text in ROUTES]
    return [compile_route(Allocation.parse(text), scenario.recipe, 0) for text in texts]


def train_one(name: str, results: Path, key: str) -> None:
    """Train one block in this process and print its peak."""
    scenario = short_scenario(name)
    runner = RouteRunner(scenario, results)
    for route in routes(scenario):
        for block in route.blocks:
            if block.key == key:
                answers = {label.id: label.answer for label in scenario.labels}
                record, _ = runner.trainer.ensure(block, answers)
                print(json.dumps(record.peak_memory_bytes))
                runner.close()
                return


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro")
    parser.add_argument("--stages", nargs="+", help="only these; default: all")
    parser.add_argument("--block", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.block:
        train_one(given.scenario, given.results, given.block)
        return
    scenario = short_scenario(given.scenario)
    print(f"| stage of {scenario.name} | measured, MiB | predicted, MiB | predicted / measured | largest part |")
    print("|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as results:
        for route in routes(scenario):
            for block in route.blocks:
                if given.stages and block.stage not in given.stages:
                    continue
                command = [sys.executable, "-m", "tests.experiments.speed.memory", "--scenario", given.scenario]
                command += ["--block", block.key, "--results", results]
                output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
                measured = int(output.splitlines()[-1])
                predicted = predict_stage(scenario, block.stage)
                part, size = max(predicted.parts.items(), key=lambda item: item[1])
                print(
                    f"| {block.stage} | {measured / 2**20:,.0f} | {predicted.total / 2**20:,.0f} | "
                    f"{predicted.total / measured:.2f} | {predicted.moment}: {part} {size / 2**20:,.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
