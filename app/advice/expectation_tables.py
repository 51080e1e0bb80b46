"""What a search is expected to find out, on the terminal."""

from rich import box
from rich.table import Table

from tuition.app.advice.expectation import Expectation, Foreseen, ForeseenSearch, Mean
from tuition.app.processes.terminal import terminal, time_text
from tuition.planner.planning.planner import POINTS


def show_expectation(found: Expectation) -> None:
    """Scores and regrets of what a search would hand over, beside named routes; and what that rests on."""
    console = terminal()
    table = Table(title=f"what the search is expected to find out ({found.worlds} worlds)", box=box.SIMPLE_HEAD)
    for column in ("", "spent", "score, % ± s.e.", "regret, points ± s.e."):
        table.add_column(column, justify="right" if column else "left")
    for search in found.searches:
        for answer, what in ((search.named, "the split that it names"), (search.trained, "the best that it trained")):
            _row(table, f"search of {search.budget:g} R: {what}", answer)
    for one in found.alone:
        _row(table, f"{one.name}, without a search", one)
    table.add_row("the best split of each world", "", _share(found.best), "0")
    console.print(table)
    for search in found.searches:
        console.print(_sentence(search), soft_wrap=True)
    console.print(_basis(found), soft_wrap=True, markup=False)


def _row(table: Table, name: str, one: Foreseen | None) -> None:
    if one is None:
        table.add_row(name, "", "none in some worlds", "")
    else:
        table.add_row(name, time_text(one.gpu_seconds), _share(one.score), _text(one.regret_points))


def _text(mean: Mean) -> str:
    return f"{mean.mean:.1f} ± {mean.error:.1f}"


def _share(mean: Mean) -> str:
    return f"{POINTS * mean.mean:.1f} ± {POINTS * mean.error:.1f}"


def _sentence(search: ForeseenSearch) -> str:
    ahead, undecided = search.ahead_points, search.no_decision
    return (
        f"{search.budget:g} R: {search.routes.mean:.1f} routes and {search.scores.mean:.0f} scores on the mean. The "
        f"split that it names is {ahead.mean:+.1f} ± {ahead.error:.1f} points from {search.best_alone}, the best of "
        f'these routes. It ends with "no decision possible" with a probability of {undecided.mean:.0%} ± '
        f"{undecided.error:.0%}."
    )


def _basis(found: Expectation) -> str:
    stated = ", ".join(f"{name} at {POINTS * score:g}%" for name, score in found.untrained.items())
    bases = [f"stated ({stated})"] if stated else []
    if found.drawn:
        bases.append(f"drawn as well ({', '.join(found.drawn)}; --untrained states them)")
    return (
        "These worlds are drawn from the planner's own prior, by which it also searches: the figures are only as good "
        f"as that prior, and rather too good for the search. Base models' scores are {', '.join(bases)}. Errors are "
        "over worlds."
    )
