"""What a closing block buys: one more block at the end of a stage on labels, which draws the labels drawn least so far.

How to run (two to four minutes of a core for each seed; what is in the results folder is kept):
    python -m tests.experiments.sharing.closing --scenario micro --stage student_rl

Scores are of the validation suite. Compared: the stage's blocks; the same with a closing block; an ordinary run as long
as each. The closing block is a leaf: no other route goes on from it, so each route pays for its own, and its checkpoint
is no longer one that a longer route passes.
"""

import argparse
import random
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.experiments.scarcity.cells import SEEDS, validation_outcomes
from tests.experiments.sharing.recipes import STUDY, trained
from tuition.app.processes.libraries import silence_libraries
from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.planner.route import Block, Route, compile_checkpoint, derive_seed
from tuition.runners import draws
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import RLSettings


def least_drawn(before: Counter[str], pool: list[str], count: int, seed: int) -> list[str]:
    """`count` labels in random order that bring those drawn least to one level."""
    rng, times, chosen = random.Random(seed), Counter(before), list[str]()
    for _ in range(count):
        label = min(rng.sample(pool, len(pool)), key=lambda one: times[one])
        times[label] += 1
        chosen.append(label)
    rng.shuffle(chosen)
    return chosen


def closed(route: Route) -> Route:
    """A route of one stage with one block more."""
    last = route.blocks[-1]
    index = last.index + 1
    seed = derive_seed(last.run_seed, last.stage, "closing", index)
    key = f"{derive_seed(last.key, 'closing'):064x}"
    block = replace(last, key=key, index=index, parent=last.key, new_labels=(), entering=(), seed=seed)
    return replace(route, blocks=(*route.blocks, block), final=key)


def longer(route: Route) -> Route:
    """An ordinary run of one stage that is one block longer."""
    (only,) = route.blocks
    key = f"{derive_seed(only.key, 'longer'):064x}"
    return replace(route, blocks=(replace(only, key=key, merged=only.merged + 1),), final=key)


def draws_of(route: Route, scenario: Scenario, block: Block) -> list[str]:
    """What a block of a closed route draws: the last evens out what the others drew."""
    settings = scenario.file.stages.of(block.stage)
    assert isinstance(settings, RLSettings)
    if block.key != route.final:
        return draws.labels_drawn(block, settings, block.pool)
    before = Counter(label for other in route.blocks[:-1] for label in draws_of(route, scenario, other))
    return least_drawn(before, list(block.pool), settings.steps * settings.prompts_per_step, block.seed)


def closed_outcomes(scenario: Scenario, route: Route, results: Path) -> Any:
    """Validation outcomes of the model that a closed route ends at."""
    target = "tuition.runners.training.rows.labels_drawn"
    with patch(target, lambda block, settings, labels: draws_of(route, scenario, block)):
        return validation_outcomes(scenario, route, results, STUDY)


def line(scenario: Scenario, stage: str, seeds: list[int], results: Path) -> str:
    """A row of the table: mean scores, and the gaps without and with a closing block."""
    scores: dict[str, list[Any]] = {"blocks": [], "closed": [], "ordinary": [], "longer": []}
    checkpoint = trained(scenario, stage)
    for seed in seeds:
        blocks = compile_checkpoint(checkpoint, scenario.recipe, seed)
        ordinary = compile_checkpoint(checkpoint, scenario.recipe, seed, ordinary=True)
        scores["blocks"].append(validation_outcomes(scenario, blocks, results, STUDY))
        scores["closed"].append(closed_outcomes(scenario, closed(blocks), results))
        scores["ordinary"].append(validation_outcomes(scenario, ordinary, results, STUDY))
        scores["longer"].append(validation_outcomes(scenario, longer(ordinary), results, STUDY))
    means = " | ".join(f"{100 * np.mean([one.mean() for one in several]):.1f}" for several in scores.values())
    gaps = []
    for shared, run in (("blocks", "ordinary"), ("closed", "ordinary"), ("closed", "longer")):
        gap = paired_difference(scores[shared], scores[run])
        gaps.append(f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]")
    return f"| {scenario.name} | {stage} | {len(seeds)} | {means} | {' | '.join(gaps)} |"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="micro", help="a built-in name or a YAML file")
    parser.add_argument("--stage", choices=("teacher_rl", "student_rl"), default="student_rl")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--results", type=Path, help="keeps what is trained; default: nothing is kept")
    arguments = parser.parse_args()
    silence_libraries()
    print(
        "| scenario | stage | seeds | blocks, % | with a closing block, % | ordinary, % | ordinary, a block longer, % "
        "| blocks - ordinary | closing - ordinary | closing - a block longer |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="tuition-") as scratch:
        results = arguments.results or Path(scratch)
        print(line(Scenario.load(arguments.scenario), arguments.stage, arguments.seeds, results), flush=True)


if __name__ == "__main__":
    main()
