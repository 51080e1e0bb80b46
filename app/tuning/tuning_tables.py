"""A tuning on the terminal: its price, its tries by stage, and what to change."""

import yaml
from rich import box
from rich.table import Table

from tuition.app.processes.cost_words import basis_text, seconds_text, total_text
from tuition.app.processes.terminal import percent, terminal
from tuition.app.studies.study_report import TriedSettings, TunedStage, TuningReport
from tuition.app.tuning.tuning_plan import TuningPlan
from tuition.app.tuning.tuning_verdicts import changes, verdict_text
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS


def price_line(plan: TuningPlan) -> str:
    """What is to be trained, and how long it will take."""
    blocks = sum(stage.blocks_to_train for stage in plan.stages)
    return (
        f"{plan.runs_to_do:,} runs to do, {blocks:,} blocks to train. Time: "
        f"{total_text(plan.gpu_seconds, plan.gpu_seconds_known)} with one worker, scoring on {plan.suite} included "
        f"({basis_text(plan.basis)})."
    )


def show_tuning_plan(plan: TuningPlan) -> None:
    """Estimated cost of a tuning."""
    console = terminal()
    table = Table(title=f"plan: {plan.study}, seeds {list(plan.seeds)}", box=box.SIMPLE_HEAD)
    for column in ("stage", "scored after", "tries", "runs", "done", "blocks to train", "GPU-s"):
        table.add_column(column, justify="left" if column in ("stage", "scored after") else "right")
    for row in plan.stages:
        numbers = (row.tries, row.runs, row.runs_done, row.blocks_to_train)
        table.add_row(row.stage, row.route, *(f"{number:,}" for number in numbers), seconds_text(row.gpu_seconds))
    console.print(table)
    console.print(price_line(plan), soft_wrap=True)


def show_tuning(report: TuningReport) -> None:
    """The tries of each stage, a verdict for each, and the settings to paste."""
    console = terminal()
    for stage in report.stages:
        console.print(_tries(stage))
        console.print(f"{stage.stage}: {verdict_text(stage, len(report.seeds))}\n", soft_wrap=True, markup=False)
    console.print(
        f"Scores are of {report.suite}, training seeds {', '.join(map(str, report.seeds))}; ± over seeds. "
        "The highest of several means is optimistic; no test suite was scored. Seed variance of a difference: "
        "moderated over the stage's tries.",
        soft_wrap=True,
    )
    if 1 < len(report.seeds) < RANKED_SEEDS:
        console.print(
            f"{len(report.seeds)} seeds find large differences only: --seeds {RANKED_SEEDS} adds to these runs."
        )
    if text := snippet(report):
        console.print(f"Settings to change in the scenario (or --write FILE):\n\n{text}", markup=False, soft_wrap=True)
    else:
        console.print("No setting is to be changed.")


def _tries(stage: TunedStage) -> Table:
    table = Table(title=f"{stage.stage}, scored after {stage.route}", box=box.SIMPLE_HEAD)
    for column in ("steps", "learning_rate", "validation, %", "GPU-s of a route", ""):
        table.add_column(column, justify="left" if not column else "right")
    for index, one in enumerate(stage.tries):
        marks = [word for word, place in (("current", stage.current), ("best", stage.best)) if place == index]
        seconds = "-" if one.gpu_seconds_full is None else f"{one.gpu_seconds_full:,.0f}"
        table.add_row(f"{one.steps:,}", f"{one.learning_rate:g}", _score(one), seconds, ", ".join(marks))
    return table


def _score(one: TriedSettings) -> str:
    if one.mean is None:
        return "failed"
    return percent(one.mean) + ("" if one.se_seeds is None else f" ± {percent(one.se_seeds)}")


def snippet(report: TuningReport) -> str:
    """The changed settings, as YAML to paste into the scenario; empty where none changes."""
    found = {
        stage: {"steps": one.steps, "learning_rate": one.learning_rate} for stage, one in changes(report.stages).items()
    }
    return yaml.safe_dump({"stages": found}, sort_keys=False) if found else ""
