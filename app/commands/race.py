"""`tuition race`; `tuition.app.recordings.race_report` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, JsonOption, QuietOption, ResultsOption


def race(
    table: Annotated[
        str | None,
        typer.Option("--table", "-t", help="A table written by `tuition record`, or the name of one that ships."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            "-f",
            help="Simulated problems with an exact truth: matched, interference, falling-transfer, smooth, u-shapes, "
            "two-peaks, lookup or wide.",
        ),
    ] = None,
    planners: Annotated[
        str,
        typer.Option(
            help="Planners by name or pattern, separated by commas, or `all`: structural (ours), "
            "structural-no-IDEA (ours without structure, counter-forms, residual, flat-members, scores-on-the-way, "
            "teacher-scores or reserve), structural-eeipu, structural-gittins (ours with other rules of what to buy), "
            "structural-direct (ours after direct GRPO), structural-warm-right, structural-warm-wrong (ours with the "
            "scores of a proxy that is like it, or lies), "
            "random, tpe, qmc, gp (each also with -named, as ours), tpe-scratch, tpe-told, gp-ei, halving, rule, half, "
            "direct. Default: all but gp and variants of ours."
        ),
    ] = "",
    repeats: Annotated[int, typer.Option(min=1, help="Searches of each planner on each problem or recording.")] = 5,
    problems: Annotated[int, typer.Option(min=1, help="Problems of the family.")] = 24,
    budgets: Annotated[
        str, typer.Option(help="Budgets in R, what the dearest single route costs: such as 1R,2R.")
    ] = "0.5R,0.75R,1R,1.5R,2R,3R,5R",
    tuning: Annotated[
        bool,
        typer.Option("--tuning", help="Play the problems on which planners may be tuned (numbers below 1000)."),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(help="Folder of the results, one file a planner; default: planners/NAME in the results folder."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Also write a figure to this .png, .pdf or .svg file.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that play.")] = 1,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Race planners at equal budgets, without training: what each loses to the best split, against what it has spent.

    On a recorded table they search the draw seeds and are judged by the judge seeds' test; on a family of simulated
    problems they are judged by the truth. If interrupted, rerun the same command to resume with the next planner.
    """
    from tuition.benchmarks.tables.shipped import find_table

    if table is not None:
        find_table(table)  # a name that is wrong is told before the imports of a race, which take seconds
    from tuition.app.processes.terminal import print_json
    from tuition.app.recordings.race_report import RaceRequest, run_race

    request = RaceRequest(table, family, planners, repeats, problems, budgets, tuning, to, figure, workers, results)
    document, text = run_race(request, quiet or json)
    print_json(document) if json else typer.echo(text, nl=False)
