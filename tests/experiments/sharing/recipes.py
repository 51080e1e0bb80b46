"""What blocks cost one stage on labels, by recipe: all labels on one model, in blocks and as one ordinary run.

How to run (half a minute to a minute of a core for each run; what is in the results folder is kept):
    python -m tests.experiments.sharing.recipes --scenario micro --stage student_rl --steps 30 60 --share 0 0.5

Scores are of the validation suite, seeds 0, 1, 2: recipes are chosen on these. `--share` is `new_labels_first`.
"""

import argparse
import tempfile
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np

from tests.experiments.scarcity.cells import SEEDS, validation_outcomes
from tuition.app.processes.libraries import silence_libraries
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.route import compile_checkpoint
from tuition.planner.stages import STAGE
from tuition.runners.scenarios.scenario import Scenario

STUDY = "recipes"


def trained(scenario: Scenario, stage: str) -> Checkpoint:
    """The model that a stage trains on all labels."""
    blocks = scenario.num_label_blocks
    if STAGE[stage].model == "teacher":
        return TeacherCheckpoint(teacher=scenario.default_teacher, stage=stage, blocks=blocks)
    return Allocation(student_rl=blocks)


def score(scenario: Scenario, stage: str, seed: int, ordinary: bool, results: Path) -> float:
    """Validation score of the model that a stage trained on all labels."""
    route = compile_checkpoint(trained(scenario, stage), scenario.recipe, seed, ordinary=ordinary)
    return float(validation_outcomes(scenario, route, results, STUDY).mean())


def line(scenario: Scenario, stage: str, seeds: Iterable[int], results: Path) -> str:
    """A row of the table."""
    pairs = [[100 * score(scenario, stage, s, ordinary, results) for ordinary in (False, True)] for s in seeds]
    blocks, ordinary = np.array(pairs).T
    gaps = blocks - ordinary
    error = gaps.std(ddof=1) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
    return f"{blocks.mean():.1f} | {ordinary.mean():.1f} | {gaps.mean():+.1f} ± {error:.1f} |"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro", help="a built-in name or a YAML file")
    parser.add_argument("--stage", choices=("teacher_rl", "student_rl"), default="student_rl")
    parser.add_argument("--steps", type=int, nargs="+", help="of a block; default: the scenario's")
    parser.add_argument("--share", type=float, nargs="+", help="default: the scenario's")
    parser.add_argument("--rates", type=float, nargs="+", help="learning rates; default: the scenario's")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--results", type=Path, help="keeps what is trained; default: nothing is kept")
    arguments = parser.parse_args()
    silence_libraries()
    scenario, stage = Scenario.load(arguments.scenario), arguments.stage
    shipped = getattr(scenario.file.stages, stage)
    print("| steps | first on new labels | rate | blocks, % | ordinary, % | gap, points ± over seeds |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="tuition-") as scratch:
        for steps, share, rate in product(
            arguments.steps or [shipped.steps],
            [shipped.new_labels_first] if arguments.share is None else arguments.share,
            arguments.rates or [shipped.learning_rate],
        ):
            stages = scenario.file.stages.changed(stage, steps=steps, new_labels_first=share, learning_rate=rate)
            row = line(scenario.with_stages(stages), stage, arguments.seeds, arguments.results or Path(scratch))
            print(f"| {steps} | {share:g} | {rate:g} | {row}", flush=True)


if __name__ == "__main__":
    main()
