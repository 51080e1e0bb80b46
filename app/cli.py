"""The command `tuition`. Heavy imports wait until a command needs them, so that help is instant.

Exit codes: 0 done, 1 failed, 2 wrong input (one line on standard error, nothing written).
"""

import sys
from typing import Annotated, Any

import typer

from tuition.app.commands.baselines import baselines
from tuition.app.commands.bench import bench
from tuition.app.commands.dashboard import dashboard
from tuition.app.commands.doctor import doctor
from tuition.app.commands.evidence import evidence
from tuition.app.commands.grade import grade
from tuition.app.commands.leaderboard import leaderboard_app
from tuition.app.commands.measure import measure
from tuition.app.commands.micro import micro_app
from tuition.app.commands.next import next_
from tuition.app.commands.plan import plan
from tuition.app.commands.power import power
from tuition.app.commands.race import race
from tuition.app.commands.recommend import recommend
from tuition.app.commands.record import record
from tuition.app.commands.recorded import recorded
from tuition.app.commands.run import run
from tuition.app.commands.scenarios import scenarios_app
from tuition.app.commands.search import search
from tuition.app.commands.shuffled import shuffled
from tuition.app.commands.smol import smol_app
from tuition.app.commands.store import export, store_app
from tuition.app.commands.suites import suites_app
from tuition.app.commands.tell import tell
from tuition.app.commands.tune import tune
from tuition.app.commands.what_if import what_if
from tuition.app.processes.libraries import set_environment
from tuition.benchmarks.secret_texts import word_without_secrets

set_environment()

app = typer.Typer(
    name="tuition",
    help="What should each label teach: the teacher or the student? Searches the split, runs every split for real, and "
    "shows what each label bought against direct GRPO and a replay control.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example: tuition plan --scenario micro --trials 24")(plan)
app.command(epilog="Example: tuition measure --scenario smol --steps 3")(measure)
app.command(epilog="Example: tuition tune --scenario mine.yaml --workers 2 --write tuned.yaml")(tune)
app.command(epilog="Example: tuition search --scenario micro --trials 24")(search)
app.command(epilog="Example: tuition recommend micro-seed0 --gpu-hours 1")(recommend)
app.command("what-if", epilog='Example: tuition what-if micro-seed0 "student_rl=8" --labels 72')(what_if)
app.command("next", epilog="Example: tuition next micro-seed0 --top 3")(next_)
app.command(epilog='Example: tuition tell micro-seed0 "student_rl=4" --scores outcomes.jsonl')(tell)
app.command(
    epilog='Example: tuition run "teacher=big teacher_rl=4 warmup=1 opd=2 student_rl=2" --scenario micro --test'
)(run)
app.command(epilog="Example: tuition baselines --scenario micro --seeds 3 --only half --only direct-compute")(baselines)
app.command(epilog="Example: tuition shuffled --scenario micro --seeds 3")(shuffled)
app.command(epilog="Example: tuition export half --study micro-seed0 --to my-model")(export)
app.command(epilog="Example: tuition bench --model base:student --suite micro --samples 4")(bench)
app.command(epilog="Example: tuition grade outputs.jsonl --workers 4 --out graded.jsonl")(grade)
app.command(epilog="Example: tuition power --difference 2 --problems 500 --samples 16   (solves for --seeds)")(power)
app.command(epilog="Example: tuition record --scenario micro --seeds 4 --workers 2")(record)
app.command(epilog="Example: tuition recorded micro.parquet")(recorded)
app.command(epilog="Example: tuition evidence --table micro@1 --out evidence.png")(evidence)
app.command(epilog="Example: tuition race --family matched --problems 8 --repeats 2 --figure race.png")(race)
app.command("app", epilog="Example: tuition app results --port 8501")(dashboard)
app.command(epilog="Example: tuition doctor --results /data/results")(doctor)
app.add_typer(leaderboard_app, name="leaderboard")
app.add_typer(scenarios_app, name="scenarios")
app.add_typer(store_app, name="store")
app.add_typer(suites_app, name="suites")
app.add_typer(micro_app, name="micro")
app.add_typer(smol_app, name="smol")

TYPER_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt


def _print_version(wanted: bool) -> None:
    from importlib.metadata import version

    if wanted:
        typer.echo(f"tuition {version('tuition')}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _print_error(message: str) -> None:
    from tuition.benchmarks.one_line import printable

    # Names of files may be strangers': line breaks of the messages' own are none of them.
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)


def main() -> None:
    """Entry point: wrong input ends in one line and exit code 2, failures in one line and 1."""
    from typer.exceptions import TyperException

    arguments = sys.argv[1:]
    # Libraries keep the arguments of the process as well: trackers of training curves do.
    sys.argv[1:] = map(word_without_secrets, arguments)
    try:
        code: Any = app(arguments, standalone_mode=False)
        if code == TYPER_INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except TyperException as error:
        _print_error(error.format_message())
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted; rerun the same command to resume", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        # Our own errors say in one line what is wrong and how to fix it.
        if type(error).__module__.partition(".")[0] == "tuition" and isinstance(error, (ValueError, RuntimeError)):
            _print_error(str(error))
            sys.exit(2 if isinstance(error, ValueError) else 1)
        from tuition.app.processes.machine_failures import machine_failure

        if (trouble := machine_failure(error)) is not None:
            _print_error(f"{trouble}, then rerun the same command to resume")
        elif isinstance(error, OSError):
            _print_error(str(error))
        else:  # our fault: show it all
            raise
        sys.exit(1)


if __name__ == "__main__":
    main()
