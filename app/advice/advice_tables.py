"""Advice on the terminal: one sentence first, then what it rests on."""

from rich import box
from rich.table import Table

from tuition.app.advice.next_routes import NextRoutes
from tuition.app.advice.recommendation import Recommendation
from tuition.app.advice.what_if import Predicted, WhatIf
from tuition.app.processes.terminal import terminal, time_text
from tuition.planner.planning.advice import LEVEL


def bounds(spread: tuple[float, float, float]) -> str:
    """Points with their interval."""
    mean, low, high = spread
    return f"{mean:.1f} [{low:+.1f}, {high:+.1f}]"


def show_recommendation(found: Recommendation) -> None:
    """The sentence, the split's numbers, what is as good and cheaper, and what to spend on next."""
    console, decision = terminal(), found.decision
    console.print(decision.sentence, soft_wrap=True, markup=False)
    for line in [*_split(found), *(f"Note: {note}." for note in found.notes)]:
        console.print(line, soft_wrap=True, markup=False)
    if found.alternatives:
        table = Table(title="cheaper or shorter, and not distinguished from it", box=box.SIMPLE_HEAD)
        columns = ("allocation", "", "score, %", f"behind, points [{LEVEL:.0%}]", "labels", "blocks", "full price")
        for column in columns:
            table.add_column(column, justify="left" if column in ("allocation", "") else "right")
        for one in found.alternatives:
            trained = "" if one.trained else " (not trained)"
            table.add_row(
                one.allocation + trained,
                ", ".join(one.why),
                f"{100 * one.mean:.1f}",
                bounds(one.behind_points),
                str(one.labels),
                str(one.blocks),
                time_text(one.gpu_seconds_full),
            )
        console.print(table)
    _show_plan(found)


def _split(found: Recommendation) -> list[str]:
    """What is known of the split to deploy."""
    decision = found.decision
    if decision.allocation is None or decision.probability_best is None or decision.expected_regret_points is None:
        return []
    assert found.gpu_seconds_full is not None and found.gpu_seconds_missing is not None
    assert found.luck_points is not None
    if decision.trained:
        price = "The study trained it"
    elif decision.outside:
        price = "It was trained elsewhere: there is no checkpoint of it here, and training it"
    else:
        price = "It is not trained; training it"
    if not decision.trained:
        price += f" costs {time_text(found.gpu_seconds_missing)} now"
    lines = [
        f"{price}; from scratch it costs {time_text(found.gpu_seconds_full)} and {found.labels} labels.",
        f"Probability of being the best of all: {decision.probability_best:.0%}. Expected regret of deciding now: "
        f"{decision.expected_regret_points:.1f} points. One training run differs from the expected score by "
        f"± {found.luck_points:.1f} points (s.d.).",
    ]
    if found.best_trained is not None and found.best_trained_behind_points is not None:
        behind = bounds(found.best_trained_behind_points)
        lines.append(f"The best that is trained: {found.best_trained}, behind it by {behind} points.")
    return lines


def _show_plan(found: Recommendation) -> None:
    console, asked = terminal(), f"{found.gpu_hours:g} GPU-hour{'' if found.gpu_hours == 1 else 's'}"
    if not found.plan:
        console.print(f"The next {asked}: no route that fits promises anything.")
        return
    table = Table(title=f"the next {asked} would be spent on", box=box.SIMPLE_HEAD)
    for column in ("allocation", "scores", "price", "expected gain, points"):
        table.add_column(column, justify="left" if column == "allocation" else "right")
    for step in found.plan:
        table.add_row(step.allocation, str(step.scores), time_text(step.gpu_seconds), f"{step.gain_points:+.2f}")
    console.print(table)
    console.print(
        f"Expected to gain {found.planned_gain_points:.1f} points for {time_text(found.planned_gpu_seconds)} "
        f"({len(found.plan)} route{'' if len(found.plan) == 1 else 's'}, each given those before)."
    )


def show_next(found: NextRoutes) -> None:
    """The candidates, best first, and how to run the first."""
    console = terminal()
    if not found.routes:
        console.print("Nothing new is left in the search space.")
        return
    table = Table(title=f"study {found.study}: what could be trained next", box=box.SIMPLE_HEAD)
    for column in ("", "allocation, and why", "price", "score, % ± s.d.", "gain, points", "points per GPU-hour"):
        table.add_column(column, justify="left" if column.startswith("allocation") else "right")
    for number, one in enumerate(found.routes, 1):
        table.add_row(
            str(number),
            f"{one.allocation}\n  {one.reason}",
            time_text(one.gpu_seconds),
            f"{100 * one.mean:.1f} ± {100 * one.sd:.1f}",
            f"{one.gain_points:.2f}",
            f"{one.points_per_gpu_hour:.3g}",
        )
    console.print(table)
    console.print(
        "Each is an alternative, valued by all scores that it would give; the first is what the search would train.\n"
        f'Trained elsewhere: tuition tell {found.study} "{found.routes[0].allocation}" --scores outcomes.jsonl',
        soft_wrap=True,
        markup=False,
    )


def show_what_if(found: WhatIf) -> None:
    """Predictions, what the next labels are worth, and what money would buy."""
    console = terminal()
    console.print(
        f"With {found.labels} labels the best would be {_prediction(found.best)}.", soft_wrap=True, markup=False
    )
    if found.predicted:
        table = Table(title=f"study {found.study}: what would be scored", box=box.SIMPLE_HEAD)
        for column in ("allocation", f"score, % [{LEVEL:.0%}]", "labels", "beyond what was scored"):
            table.add_column(column, justify="left" if column == "allocation" else "right")
        for one in found.predicted:
            score = f"{100 * one.mean:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"
            table.add_row(one.allocation, score, str(one.labels), _beyond(one))
        console.print(table)
    for block in found.next_blocks:
        console.print(
            f"{block.labels} more labels to {block.stage}: {bounds(block.gain_points)} points ({block.allocation}).",
            soft_wrap=True,
            markup=False,
        )
    needed = found.needed
    low, high = (f"more than {needed.furthest}" if end is None else str(end) for end in (needed.low, needed.high))
    if needed.labels is None:
        text = f"not expected with up to {needed.furthest} labels, as far as the scores say anything"
    else:
        text = f"{needed.labels} labels ({needed.allocation})"
    console.print(f"For {needed.gain_points:+g} points: {text}; {LEVEL:.0%} interval {low} to {high}.", soft_wrap=True)
    if found.best_use is not None:
        use = found.best_use
        console.print(
            f"{use.money:g} is best spent on {_prediction(use.predicted)}: {use.new_labels} new labels and "
            f"{time_text(use.gpu_seconds)} cost {use.cost:.4g}.",
            soft_wrap=True,
            markup=False,
        )
        if use.over_trained_points is not None:
            console.print(f"That is {bounds(use.over_trained_points)} points better than the best that is trained.")


def _prediction(one: Predicted) -> str:
    beyond = f"; {_beyond(one)}" if _beyond(one) else ""
    return f"{one.allocation} ({one.mean:.1%}, {LEVEL:.0%} interval {one.low:.1%} to {one.high:.1%}{beyond})"


def _beyond(one: Predicted) -> str:
    """How far the curves are followed beyond the scores; "" within them."""
    if one.extrapolation is None:
        return "no score of such labels"
    return f"{one.extrapolation:.2g} times" if one.extrapolation > 1 else ""
