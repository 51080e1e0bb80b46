"""`tuition evidence`; `tuition.app.recordings.evidence_report` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import JsonOption


def evidence(
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            "-t",
            help="A table written by `tuition record`, or the name of one that ships; may be repeated. "
            "Default: the newest of every bench that ships.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "--figure", help="Also write a figure to this .png, .pdf or .svg file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Hold what the paper says against recorded tables, and show the curve over the teacher's share, as Markdown.

    Every difference is paired and has a 95 % interval. The best splits are selected on validation scores of draw seeds
    and compared on test scores of judge seeds only.
    """
    from tuition.benchmarks.tables.shipped import find_table

    for name in table or []:
        find_table(name)  # a name that is wrong is told before the imports, which take seconds
    from tuition.app.processes.terminal import print_json
    from tuition.app.recordings.evidence_report import make_evidence

    document, text = make_evidence(table or [], out)
    print_json(document) if json else typer.echo(text, nl=False)
