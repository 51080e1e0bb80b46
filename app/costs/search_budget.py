"""The budget of a search in GPU-seconds: from R or GPU-hours, refused where a cost is unknown.

R is fixed when a study first needs it: costs are measured while it runs, and a budget must not move with them.
"""

import re
from pathlib import Path

import optuna

from tuition.app.costs.route_prices import RoutePrices
from tuition.app.processes.cost_words import basis_text
from tuition.app.processes.terminal import time_text
from tuition.planner.cost import SECONDS_PER_HOUR
from tuition.planner.storage import StudyError

DEAREST = "dearest_route"  # attribute of a study: {"allocation", "gpu_seconds"}


def parse_multiple_of_r(text: str) -> float:
    """1.0 of "1R". StudyError for another text."""
    found = re.fullmatch(r"([0-9]+|[0-9]*\.[0-9]+)R", text.strip())
    if found is None or float(found[1]) <= 0:
        raise StudyError(f"--budget {text!r}: write it in R, the cost of the dearest route, such as 1R or 0.5R")
    return float(found[1])


def check_budget(budget: str | None, gpu_hours: float | None) -> None:
    """StudyError for a budget that cannot be read, or two of them."""
    if budget is not None and gpu_hours is not None:
        raise StudyError(f"--budget {budget} and --gpu-hours {gpu_hours:g} are both budgets: give one")
    if budget is not None:
        parse_multiple_of_r(budget)
    if gpu_hours is not None and not 0 < gpu_hours < float("inf"):
        raise StudyError(f"--gpu-hours {gpu_hours:g}: give a number above 0")


def unknown_costs(prices: RoutePrices, scenario: str, results: Path) -> str | None:
    """Why a budget cannot be kept where a part of a route's cost is unknown, with the command that measures it."""
    if not prices.unknown:
        return None
    return (
        f"a budget needs known costs, and nothing is known of {', '.join(prices.unknown)}: run "
        f"`tuition measure --scenario {scenario} --results {results}` first"
    )


def in_gpu_seconds(r: float, budget: str | None, gpu_hours: float | None) -> float:
    """A budget in GPU-seconds, given R; infinite where there is none."""
    if budget is not None:
        return parse_multiple_of_r(budget) * r
    return float("inf") if gpu_hours is None else gpu_hours * SECONDS_PER_HOUR


def dearest_gpu_seconds(study: optuna.Study, prices: RoutePrices) -> tuple[float, str]:
    """R of a study, and what it is in words."""
    kept = study.user_attrs.get(DEAREST)
    if kept is None:
        dearest = prices.dearest()
        kept = {
            "allocation": str(dearest.allocation),
            "gpu_seconds": dearest.total.at_least,
            "basis": basis_text(dearest.total.basis()),
        }
        study.set_user_attr(DEAREST, kept)
    seconds = float(kept["gpu_seconds"])
    return seconds, f"R is {time_text(seconds)} ({kept['allocation']} and its score, {kept['basis']})"


def budget_gpu_seconds(
    study: optuna.Study, prices: RoutePrices, budget: str | None, gpu_hours: float | None
) -> tuple[float, str]:
    """GPU-seconds that the search may spend, and a line that says so."""
    seconds, what_r_is = dearest_gpu_seconds(study, prices)
    spend = in_gpu_seconds(seconds, budget, gpu_hours)
    multiple = f"{spend / seconds:.2g} R" if seconds > 0 else "no R"
    test = "its test is not in it (`tuition plan` prices it)"
    return spend, f"budget of the search: {time_text(spend)} = {multiple}; {what_r_is}; {test}"
