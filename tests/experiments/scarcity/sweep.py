"""The same tries for every stage of a test bench: four learning rates, each with two numbers of steps.

How to run (about an hour of two cores a scenario; what is in the results folder is kept):
    python -m tests.experiments.scarcity.sweep --scenario micro --results scarcity

Every cell changes one stage and leaves the others as shipped; avg@k of the validation suite after the route that uses
the stage. The bridge's stages and transfer_sft start from the teacher trained by GRPO on all labels.
"""

import argparse
from pathlib import Path

from tests.experiments.scarcity.cells import SEEDS, Cell, run_cells
from tests.experiments.scarcity.label_curves import mean_and_error
from tuition.planner.stages import STAGE
from tuition.runners.scenarios.scenario import Scenario

STEPS = (15, 30)
RATES = (2e-4, 4e-4, 8e-4, 1.6e-3)
STAGES = ("teacher_rl", "teacher_sft", "student_rl", "warmup", "opd", "transfer_sft")


def stage_cell(named: str, scenario: Scenario, stage: str, settings: tuple[int, float], seed: int) -> Cell:
    """The cell of one stage with these steps of a block and this rate. `named`: the scenario's name or file."""
    blocks, search = scenario.recipe.num_label_blocks, scenario.file.search
    teacher = f"teacher={scenario.default_teacher}"
    bridge = f"warmup={search.bridge_warmup} opd={search.bridge_opd}"
    routes = {
        "teacher_rl": f"{teacher} teacher_rl={blocks} opd=1",
        "teacher_sft": f"{teacher} teacher_sft={blocks} opd=1",
        "student_rl": f"student_rl={blocks}",
        "warmup": f"{teacher} teacher_rl={blocks} {bridge}",
        "opd": f"{teacher} teacher_rl={blocks} {bridge}",
        "transfer_sft": f"{teacher} teacher_rl={blocks} transfer_sft={search.bridge_warmup + search.bridge_opd}",
    }
    steps, rate = settings
    changes = ((stage, "steps", steps), (stage, "learning_rate", rate))
    return Cell(named, routes[stage], seed, changes, scored=STAGE[stage].model)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro", help="a built-in name or a YAML file")
    parser.add_argument("--stage", action="append", choices=STAGES, help="only these; default: all")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="two or more")
    parser.add_argument("--results", type=Path, default=Path("results/scarcity"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    named = arguments.scenario
    scenario = Scenario.load(named)
    tries = {
        (stage, steps, rate): [stage_cell(named, scenario, stage, (steps, rate), seed) for seed in arguments.seeds]
        for stage in arguments.stage or STAGES
        for steps in arguments.steps
        for rate in arguments.rates
    }
    found = run_cells([cell for cells in tries.values() for cell in cells], arguments.results, arguments.workers)
    print("| stage | steps of a block | rates | scores, % ± over seeds |")
    print("|---|---|---|---|")
    for stage in arguments.stage or STAGES:
        shipped = scenario.file.stages.of(stage)
        for steps in arguments.steps:
            scores = []
            for rate in arguments.rates:
                cells = tries[stage, steps, rate]
                text = mean_and_error([float(found[cell]["outcomes"].mean()) for cell in cells])
                chosen = (shipped.steps, shipped.learning_rate) == (steps, rate)
                scores.append(f"**{text}**" if chosen else text)
            print(
                f"| {stage} | {steps} | {', '.join(f'{r:g}' for r in arguments.rates)} | {', '.join(scores)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
