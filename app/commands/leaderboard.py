"""`tuition leaderboard`; the modules of `tuition.app.boards` do the work."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    DataOption,
    JsonOption,
    QuietOption,
    ResultsOption,
    ScenarioOption,
)

leaderboard_app = typer.Typer(
    help="Leaderboards whose measured numbers can all be recomputed.", no_args_is_help=True, rich_markup_mode=None
)


class Format(StrEnum):
    """How a leaderboard is written."""

    md = "md"
    html = "html"
    csv = "csv"
    json = "json"
    latex = "latex"
    bibtex = "bibtex"


BoardArgument = Annotated[str, typer.Argument(help="A leaderboard folder or a shipped leaderboard.")]
ScenarioFilesOption = Annotated[
    list[str] | None,
    typer.Option("--scenario", "-s", help="A scenario of entries that is not built in, by its file; may be repeated."),
]
MixOption = Annotated[
    bool,
    typer.Option(
        "--mix-presets", help="Put different decoding presets and parts of a suite into one table, with a note."
    ),
]


@leaderboard_app.command("show", epilog="Example: tuition leaderboard show micro-seed0")
def leaderboard_show(
    what: Annotated[
        str | None,
        typer.Argument(
            help="A tested study of the results folder, a leaderboard folder, or a shipped leaderboard. Default: list "
            "the names."
        ),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    mix_presets: MixOption = False,
    json: JsonOption = False,
) -> None:
    """Show the leaderboard of a tested study, or a leaderboard folder with ranks, errors and reported numbers."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.study_leaderboard import load_leaderboard, show_leaderboard, tested_studies
    from tuition.benchmarks.measured_boards import find_board, is_board, shipped_boards

    if what is None:
        names, shipped = tested_studies(results), list(shipped_boards())
        if json:
            print_json({"studies": names, "shipped": shipped})
        else:
            typer.echo("\n".join(names) or f"no tested study in {results}")
            typer.echo(f"shipped leaderboards: {', '.join(shipped) or 'none'}")
        return
    if is_board(what):
        from tuition.app.boards.board_tables import board_document, show_board

        folder = find_board(what)
        print_json(board_document(folder, mix_presets)) if json else show_board(folder, mix_presets)
        return

    document = load_leaderboard(results, what)
    print_json(document) if json else show_leaderboard(document)


@leaderboard_app.command("new", epilog="Example: tuition leaderboard new boards/micro --scenario micro --seeds 3")
def leaderboard_new(
    folder: Annotated[Path, typer.Argument(help="The folder of the new leaderboard.")],
    scenario: ScenarioOption = "micro",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Training seeds that every entry must have.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The --seed of the studies whose rows will be added.")] = 0,
    title: Annotated[str | None, typer.Option(help="Title of the leaderboard.")] = None,
    url: Annotated[str | None, typer.Option(help="Where the leaderboard will be published.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a leaderboard that declares, before its first entry, how every entry is trained, drawn and graded.

    Its protocol names the scenario, the training seeds, the suite, the decoding, the samples and the grading policy.
    It cannot change later.
    """
    from tuition.app.boards.new_board import new_board
    from tuition.app.processes.terminal import print_json
    from tuition.benchmarks.one_line import printable

    document = new_board(folder, scenario, seeds, seed, title, url)
    if json:
        print_json(document)
        return
    (protocol,) = document["protocols"]
    trained = ", ".join(map(str, protocol["training_seeds"]))
    typer.echo(
        f"{printable(folder)}: {protocol['suite']}, {protocol['num_samples']} samples a problem "
        f"({protocol['preset']['name']}), graded by {protocol['grader']};"
        f" training seeds {trained}.\nHead of the changelog: {document['head']}"
    )


@leaderboard_app.command("add", epilog="Example: tuition leaderboard add boards/micro --study micro-baselines")
def leaderboard_add(
    folder: Annotated[Path, typer.Argument(help="A leaderboard folder, created if needed.")],
    study: Annotated[list[str] | None, typer.Option(help="A tested study of the results folder.")] = None,
    row: Annotated[list[str] | None, typer.Option(help="Only these rows of the studies; may be repeated.")] = None,
    score: Annotated[
        list[str] | None, typer.Option(help="A score of `tuition bench`: its key or the start of it.")
    ] = None,
    reported: Annotated[
        list[str] | None, typer.Option(help="Reported numbers that ship with Tuition: arxiv-2605.12483.")
    ] = None,
    entry: Annotated[list[Path] | None, typer.Option(help="A JSON file with one reported entry.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of a new leaderboard.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Where the weights can be had; {row} and {seed} in it stand for those of each run."),
    ] = None,
    contamination: Annotated[
        str | None,
        typer.Option(
            help="What else is known of test problems in the training data, beside what the scenario's check found."
        ),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Add entries. Measured ones are recomputed from their samples first; adding twice changes nothing."""
    from tuition.app.boards.additions import Sources, add
    from tuition.app.processes.terminal import print_json
    from tuition.benchmarks.one_line import printable

    sources = Sources(
        study or (), row or (), score or (), reported or (), entry or (), weights=weights, contamination=contamination
    )
    document = add(folder, results, sources, title)
    if json:
        print_json(document)
        return
    for id in document["added"]:
        typer.echo(f"added {id}")
    known = f", {len(document['known'])} already there" if document["known"] else ""
    replaced = f", {len(document['replaced'])} replaced" if document["replaced"] else ""
    typer.echo(
        f"{printable(folder)}: version {document['version']}, {len(document['added'])} entries added{known}{replaced}."
    )


@leaderboard_app.command("verify", epilog="Example: tuition leaderboard verify boards/micro")
def leaderboard_verify(
    what: Annotated[
        str | None,
        typer.Argument(help="A leaderboard folder or a shipped leaderboard. Default: all shipped ones."),
    ] = None,
    regrade: Annotated[
        bool | None,
        typer.Option(
            "--regrade/--no-regrade",
            help="Also fetch suites that are not at hand, from the Hub; or grade nothing. Default: what is at hand.",
        ),
    ] = None,
    data_dir: DataOption = None,
    problems: Annotated[
        list[Path] | None,
        typer.Option(
            help="JSONL file with `id`, `answer` and, if possible, `problem`, of your own suites; may be repeated."
        ),
    ] = None,
    scenario: ScenarioFilesOption = None,
    head: Annotated[
        str | None, typer.Option(help="A hash of the changelog that you know: entries of before must all be there.")
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Compute every measured entry again, and grade every completion again by the policy that the entry names.

    Exit code 0: all that files can show is right. 1: something is wrong. 3: something could not be told, such as a
    verdict on which the grader runs out of time, a suite that is not at hand, or what an older format does not say.
    """
    from tuition.app.boards.board_verification import VerifyRequest, exit_code, show_verified, verify
    from tuition.app.processes.terminal import print_json

    if regrade is False and (problems or data_dir is not None):
        raise typer.BadParameter("--no-regrade grades nothing: leave out --problems and --data-dir")
    request = VerifyRequest(what, regrade, tuple(problems or ()), data_dir, results, tuple(scenario or ()), head)
    document = verify(request)
    print_json(document) if json else show_verified(document)
    raise typer.Exit(exit_code(document))


@leaderboard_app.command(
    "check-submission", epilog="Example: tuition leaderboard check-submission board --base main/board"
)
def leaderboard_check_submission(
    folder: Annotated[Path, typer.Argument(help="The leaderboard folder with the new entries.")],
    base: Annotated[Path, typer.Option(help="The folder as it was before, from the branch that is merged into.")],
    data_dir: DataOption = None,
    problems: Annotated[
        list[Path] | None, typer.Option(help="JSONL file with the answers of suites of one's own; may be repeated.")
    ] = None,
    scenario: ScenarioFilesOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Check a pull request's leaderboard: only new entries, all of which verify and can be sampled again.

    Exit codes as of `tuition leaderboard verify`: accept a submission at 0 only.
    """
    from tuition.app.boards.board_verification import VerifyRequest, check_submission, exit_code, show_verified
    from tuition.app.processes.terminal import print_json

    request = VerifyRequest(str(folder), None, tuple(problems or ()), data_dir, results, tuple(scenario or ()))
    document = check_submission(request, base)
    print_json(document) if json else show_verified(document)
    raise typer.Exit(exit_code(document))


@leaderboard_app.command("resample", epilog="Example: tuition leaderboard resample e323028bef61 --problems 20")
def leaderboard_resample(
    entry: Annotated[str, typer.Argument(help="A measured entry: its id, the start of it, or its name.")],
    board: Annotated[
        str | None, typer.Option(help="A leaderboard folder or a shipped leaderboard. Default: all shipped ones.")
    ] = None,
    problems: Annotated[int, typer.Option(min=1, help="Number of problems, chosen by chance.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Repeat the problems and draws of an earlier call.")] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", "-s", help="Scenario with the entry's suite. Default: the entry's.")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train the allocation where its weights are not in the store.")
    ] = False,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw an entry's samples again on a few problems, and compare: this shows invented completions.

    Exit code 0: they agree. 1: they differ. 3: weights are not at hand.
    """
    from tuition.app.boards.resampling import ResampleRequest, resample, show_resampled
    from tuition.app.processes.terminal import print_json

    document = resample(ResampleRequest(entry, board, problems, seed, scenario, train, results, quiet))
    print_json(document) if json else show_resampled(document)
    raise typer.Exit({"agrees": 0, "differs": 1}.get(document["status"], 3))


@leaderboard_app.command(
    "export", epilog="Example: tuition leaderboard export boards/micro --format html --out micro.html"
)
def leaderboard_export(
    what: BoardArgument,
    format: Annotated[Format, typer.Option("--format", "-f", help="Output format.")] = Format.md,
    out: Annotated[Path | None, typer.Option(help="Output file; default: standard output.")] = None,
    mix_presets: MixOption = False,
) -> None:
    """Write a leaderboard as Markdown, one HTML page, CSV, JSON, LaTeX or BibTeX."""
    from tuition.benchmarks.artefacts import write_text
    from tuition.benchmarks.boards.exports.formats import export
    from tuition.benchmarks.boards.loaded_board import load_board
    from tuition.benchmarks.measured_boards import find_board
    from tuition.benchmarks.one_line import printable

    text = export(load_board(find_board(what)), format.value, mix_presets)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    typer.echo(f"wrote {printable(out)} ({len(text.encode()):,} bytes)", err=True)
