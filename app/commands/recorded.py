"""`tuition recorded`; `tuition.app.recordings.table_summary` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import JsonOption


def recorded(
    table: Annotated[str, typer.Argument(help="A table written by `tuition record`, or the name of one that ships.")],
    json: JsonOption = False,
) -> None:
    """Check a recorded table and summarize it."""
    from tuition.benchmarks.tables.shipped import find_table

    path = find_table(table)  # a name that is wrong is told before the imports, which take seconds
    from tuition.app.processes.terminal import print_json
    from tuition.app.recordings.recording_tables import show_recorded
    from tuition.app.recordings.table_summary import describe_table

    document = describe_table(path)
    print_json(document) if json else show_recorded(document)
