"""`tuition evidence`; `tuition.app.recordings.evidence_report` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import JsonOption


def evidence(
    table: Annotated[
        str, typer.Option("--table", "-t", help="A table written by `tuition record`, or the name of one that ships.")
    ],
    figure: Annotated[Path | None, typer.Option(help="Also write a figure to this .png, .pdf or .svg file.")] = None,
    json: JsonOption = False,
) -> None:
    """Compare the named routes of a recorded table with paired intervals, as Markdown and as a figure.

    The best split is selected on validation scores of draw seeds and compared on test scores of judge seeds only.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.recordings.evidence_report import make_evidence
    from tuition.benchmarks.tables.shipped import find_table

    document, text = make_evidence(find_table(table), figure)
    print_json(document) if json else typer.echo(text, nl=False)
