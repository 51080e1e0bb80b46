"""What is tried in a copy of the repository that has an addition: `python -m tests.docs.tried_in_copy stage refine`."""

import json
import sys
from typing import Any

import optuna

from tuition.planner.allocation import Allocation
from tuition.planner.route import Label, Recipe, compile_route
from tuition.planner.sampler import SeededSampler
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STAGES
from tuition.runners.scenarios.settings import StageSettings

ROUTE = "teacher=big teacher_rl=1 warmup=1 opd=1 student_rl=1"
SPACE = SearchSpace(teachers=("big",), num_label_blocks=4, max_warmup=2, max_opd=0)


def made_recipe() -> Recipe:
    """A recipe of hashes that are made up, with settings for every stage."""
    labels = tuple(Label(str(number), f"problem {number}", f"content {number}") for number in range(4))
    settings = {stage.name: {"revision": stage.revision} for stage in STAGES}
    return Recipe("student", {"big": "teacher"}, labels, 1, "prompts", settings, {"device": "cpu"})


def keys(text: str) -> list[str]:
    """The keys of an allocation's blocks."""
    return [block.key for block in compile_route(Allocation.parse(text), made_recipe(), 0).blocks]


def tried_stage(name: str) -> dict[str, Any]:
    """A route with a block of the stage, and the route and the scenario without it."""
    route = compile_route(Allocation.parse(f"{ROUTE} {name}=1"), made_recipe(), 0)
    return {
        "stages": [block.stage for block in route.blocks],
        "keys": keys(ROUTE),
        "present": [stage.name for stage in StageSettings().present],
        "settings": type(StageSettings.model_validate({name: {}}).of(name)).__name__,
    }


def proposals(study: optuna.Study, sampler: str, count: int) -> list[str]:
    """The next proposals of a study that this process has just opened."""
    study.sampler = SeededSampler(sampler, 0)
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append(str(SPACE.suggest(trial)))
        study.tell(trial, len(found[-1]))
    return found


def tried_sampler(name: str) -> dict[str, Any]:
    """What a search proposes without a break, and with one."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    whole, broken = (optuna.create_study(direction="maximize") for _ in range(2))
    return {"whole": proposals(whole, name, 8), "broken": proposals(broken, name, 3) + proposals(broken, name, 5)}


if __name__ == "__main__":
    tried = {"stage": tried_stage, "sampler": tried_sampler}[sys.argv[1]]
    print(json.dumps(tried(sys.argv[2])))
