"""How often the steps of typical routes train on each label and each prompt: computed before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from rich import box
from rich.table import Table

from tuition.app.processes.terminal import terminal
from tuition.app.studies.search_run import scenario_baselines
from tuition.benchmarks.baselines import DIRECT, UPSTREAM
from tuition.planner.route import compile_route
from tuition.planner.stages import STAGE
from tuition.runners.draws import stage_draws
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import RLSettings
from tuition.runners.store.block_record import Draws

ROUTES = (DIRECT, UPSTREAM, "half")
SEEN = "never / once / twice / more, %"
UNTRAINED_SHARE = 0.1
"""Our choice: from this share on, bought labels that are never trained on are worth a note."""


@dataclass(frozen=True)
class StagePasses:
    """How often all blocks of one stage of a route draw the items of their pool."""

    route: str
    stage: str
    blocks: int
    items: int
    of: Literal["labels", "prompts"]
    never: float
    """Share of the items; as are the next three."""
    once: float
    twice: float
    more: float
    passes: tuple[float, ...]
    """Mean draws of an item of each label block, in the order in which the blocks are bought; one for prompts."""
    note: str | None
    """What to change where many bought labels are never trained on."""


def plan_passes(scenario: Scenario, seed: int) -> tuple[StagePasses, ...]:
    """The passes of direct GRPO, of all labels upstream and of the half split; a row that repeats another is left out.

    Where a filter or a model's correct samples decide what is drawn, the stage has no row.
    """
    found: dict[tuple[str, Draws], StagePasses] = {}
    for name in ROUTES:
        route = compile_route(scenario_baselines(scenario)[name], scenario.recipe, seed)
        for stage, draws in stage_draws(route, scenario).items():
            row = StagePasses(
                route=name,
                stage=stage,
                blocks=sum(block.stage == stage for block in route.blocks),
                items=draws.items,
                of="labels" if STAGE[stage].buys_labels else "prompts",
                never=draws.never / draws.items,
                once=draws.once / draws.items,
                twice=draws.twice / draws.items,
                more=draws.more / draws.items,
                passes=draws.passes,
                note=_note(scenario, stage, draws),
            )
            found.setdefault((stage, draws), row)
    return tuple(found.values())


def _note(scenario: Scenario, stage: str, draws: Draws) -> str | None:
    settings, share = scenario.file.stages.of(stage), draws.never / draws.items
    if share < UNTRAINED_SHARE or not isinstance(settings, RLSettings):
        return None
    never = f"{stage} never trains on {share:.0%} of the {draws.items:,} labels that it buys"
    new = scenario.file.labels_per_block
    if settings.new_labels_first < 1 and settings.steps * settings.prompts_per_step >= new:
        return f"{never}: set stages.{stage}.new_labels_first: 1, so that each block draws the {new:,} that it buys"
    enough = ceil((new if settings.new_labels_first else draws.items) / settings.prompts_per_step)
    return f"{never}: raise stages.{stage}.steps ({settings.steps} now; {enough} are enough), or lower labels_per_block"


def percentages(draws: Draws) -> str:
    """Shares of a pool's items: "25 / 50 / 25 / 0"."""
    counts = (draws.never, draws.once, draws.twice, draws.more)
    return " / ".join(f"{100 * count / draws.items:.0f}" for count in counts)


def show_passes(rows: Sequence[StagePasses]) -> None:
    """The passes as a table, and what to change."""
    table = Table(title="how often labels and prompts are trained on", box=box.SIMPLE_HEAD)
    for column in ("route", "blocks", "draw from", SEEN, "passes, by label block"):
        table.add_column(column)
    for row in rows:
        shares = " / ".join(f"{100 * share:.0f}" for share in (row.never, row.once, row.twice, row.more))
        passes = " ".join(f"{number:.1f}" for number in row.passes)
        table.add_row(row.route, f"{row.stage}={row.blocks}", f"{row.items:,} {row.of}", shares, passes)
    console = terminal()
    console.print(table)
    notes = {row.stage: row.note for row in reversed(rows) if row.note}  # the first of each stage is of all labels
    for note in notes.values():
        console.print(f"Note: {note}.", markup=False, soft_wrap=True)
