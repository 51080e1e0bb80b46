"""`tuition grade`; `tuition.app.scoring.graded_outputs` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import PolicyOption
from tuition.benchmarks.grading.policies import DEFAULT_POLICY


def grade(
    file: Annotated[
        str,
        typer.Argument(
            help='JSONL (or .jsonl.gz, or - for standard input). Each line is an object with "gold" and either '
            '"completion" (a full response) or "prediction" (an extracted answer); other fields are passed through.',
        ),
    ],
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Worker processes; default: one per core, at most 8.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, max=86_400, help="Time limit per answer, in seconds.")] = 5.0,
    policy: PolicyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write to this file instead of standard output (.gz: compressed). It appears only when complete."
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="With --out: print the summary as one JSON document on standard output.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Grade saved outputs: add verdict, extracted answer and seconds to each line, in the order of the input.

    The summary goes to standard error. A file is checked first: a bad line is reported with exit code 2.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.graded_outputs import default_workers, grade_file, show_summary

    if json and out is None:
        raise typer.BadParameter("--json needs --out: without it, standard output carries the graded lines")
    summary = grade_file(file, out, workers or default_workers(), timeout, quiet, policy or DEFAULT_POLICY)
    print_json(summary) if json else show_summary(summary)
