"""`tuition suites`; `tuition.app.scoring.suite_listing` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, DataOption, JsonOption, ResultsOption
from tuition.app.processes.libraries import silence_libraries

NamesArgument = Annotated[list[str] | None, typer.Argument(help="Suites. Default: all.")]

suites_app = typer.Typer(help="The suites that checkpoints are scored on.", no_args_is_help=True, rich_markup_mode=None)


@suites_app.command("list", epilog="Example: tuition suites list")
def suites_list(results: ResultsOption = DEFAULT_RESULTS, json: JsonOption = False) -> None:
    """List the suites: version, number of problems, whether their rows are verified, and where they come from."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.suite_listing import list_suites, show_rows

    rows = list_suites(results)
    if json:
        print_json({"suites": rows})
    else:
        show_rows(rows, ("name", "suite", "num_problems", "verified", "hub", "split", "revision"))


@suites_app.command("check", epilog="Example: tuition suites check --data-dir data")
def suites_check(
    data_dir: Annotated[Path, typer.Option(help="Folder of local JSONL copies.")],
    names: NamesArgument = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Check local copies against the checksums. The exit code is 1 when one differs."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.suite_listing import check_suites, show_rows

    rows = check_suites(data_dir, names or [], results)
    print_json({"suites": rows}) if json else show_rows(rows, ("suite", "status", "detail"))
    if any(row["status"] == "wrong" for row in rows):
        raise typer.Exit(1)


@suites_app.command("lock", epilog="Example: tuition suites lock aime26")
def suites_lock(
    names: NamesArgument = None, results: ResultsOption = DEFAULT_RESULTS, json: JsonOption = False
) -> None:
    """Look up the newest revision of each data set on the Hub, check its rows, and pin it in the lock file."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.suite_listing import lock_suites, show_rows

    silence_libraries()
    path, rows = lock_suites(names or [], results)
    if json:
        print_json({"file": str(path), "suites": rows})
    else:
        show_rows(rows, ("suite", "verified", "repo", "revision"))
        typer.echo(str(path))


@suites_app.command(
    "contamination", epilog="Example: tuition suites contamination labels.jsonl math500 --data-dir data"
)
def suites_contamination(
    labels: Annotated[Path, typer.Argument(help="JSONL file with `id` and `problem`; answers are not read.")],
    names: NamesArgument = None,
    data_dir: DataOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Find problems of a label pool in the suites: equal text, or 13 consecutive words in common."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.suite_listing import find_contamination, show_rows

    silence_libraries()
    rows = find_contamination(labels, names or [], data_dir, results)
    print_json({"suites": rows}) if json else show_rows(rows, ("suite", "exact", "ngram", "detail"))
