"""What the shipped scenarios say of passes over labels and prompts is what their blocks draw."""

import re

import pytest

from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.draws import stage_draws
from tuition.runners.scenarios.outline import load_to_plan
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.store.block_record import Draws

PAPER = ("qwen3-8b-to-1.7b", "qwen3-14b-to-1.7b", "llama-70b-to-8b")
LORA = "qwen3-4b-to-0.6b-lora"
PAID = ("qwen3-8b-to-1.7b-week", "qwen3-4b-to-0.6b-proxy")
each_with_numbers = pytest.mark.parametrize("name", [*PAPER, *PAID, LORA])


def stated(name: str, pattern: str) -> tuple[str, ...]:
    """What a scenario's comments say, by a pattern that occurs in them once."""
    comments = " ".join(re.findall(r"^ *# ?(.*)$", (BUILT_IN / f"{name}.yaml").read_text(), re.MULTILINE))
    (found,) = re.finditer(pattern, comments)
    return found.groups()


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def draws(scenario: Scenario, stage: str, **counts: int) -> Draws:
    allocation = Allocation(teacher=scenario.default_teacher, prompts=scenario.file.search.prompts, **counts)
    return stage_draws(compile_route(allocation, scenario.recipe, 0), scenario)[stage]


@each_with_numbers
def test_passes_over_labels_are_those_of_its_blocks(name: str) -> None:
    scenario = load_to_plan(name)
    (said,) = stated(name, r"Passes over the labels of blocks 1 to 8 with all bought: ([\d. ]*\d)[.;]")
    assert numbers(said) == pytest.approx(draws(scenario, "teacher_rl", teacher_rl=8, opd=1).passes, abs=0.11)
    if name != LORA:
        (said,) = stated(name, r"; with 4: ([\d. ]*\d)\.")
        assert numbers(said) == pytest.approx(draws(scenario, "teacher_rl", teacher_rl=4, opd=1).passes, abs=0.11)


def test_a_block_that_draws_as_many_labels_as_it_buys_leaves_none_out() -> None:
    draws_of = draws(load_to_plan(LORA), "teacher_rl", teacher_rl=8, opd=1)
    assert (draws_of.never, draws_of.once) == (0, draws_of.items)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PAPER, *PAID])
def test_passes_of_the_bridge_are_those_of_its_blocks(name: str) -> None:
    scenario = load_to_plan(name)
    blocks, of, said = stated(name, r"Passes of (\d) blocks over the problems of ([\d, and]+) label blocks: ([\d ]+)\.")
    for bought, passes in zip(re.findall(r"\d", of), numbers(said), strict=True):
        for stage in ("warmup", "opd"):
            found = draws(scenario, stage, teacher_rl=int(bought), **{stage: int(blocks)})
            assert found.passes == (passes,)
            # One stream: no prompt comes more often than another.
            assert max(found.never, found.once, found.twice, found.more) == found.items


def test_passes_over_the_prompt_pool_are_those_of_its_blocks() -> None:
    scenario = load_to_plan(LORA)
    blocks, prompts, said = stated(LORA, r"Passes of ([\d, and]+) blocks over the ([\d,]+) prompts: ([\d. ]*\d)\.")
    for count, passes in zip(re.findall(r"\d", blocks), numbers(said), strict=True):
        found = draws(scenario, "opd", opd=int(count))
        assert found.passes == (passes,) and found.items == int(prompts.replace(",", ""))
