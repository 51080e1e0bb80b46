"""The command `tuition`. Heavy imports wait until a command needs them, so that help is instant.

Exit codes: 0 done, 1 failed, 2 wrong input (one line on standard error, nothing written).
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tuition.app.commands import grade as grade_command
from tuition.app.commands.bench import bench, suites_app
from tuition.app.commands.dashboard import dashboard
from tuition.app.commands.leaderboard import leaderboard_app
from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    DryRunOption,
    JsonOption,
    MixOption,
    QuietOption,
    ResultsOption,
    ScenarioOption,
    SeedOption,
    TrackOption,
    TrustOption,
    WorkersOption,
    study_name,
)
from tuition.app.commands.power import power
from tuition.app.commands.record import evidence, planners, record, recorded
from tuition.app.commands.scenarios import scenarios_app
from tuition.app.commands.smol import smol_app
from tuition.app.commands.store import export, store_app
from tuition.app.processes.silence import silence_libraries
from tuition.benchmarks.results_folder import ResultsFolder

# Before torch is imported: small models run best on one thread a process, and a search does not phone home.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# Standard output is for results.
os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")

app = typer.Typer(
    name="tuition",
    help="What should each label teach: the teacher or the student? Searches the split, runs every split for real, and "
    "shows what each label bought against direct GRPO and a replay control.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
micro_app = typer.Typer(help="The built-in test bench.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(micro_app, name="micro")
app.add_typer(smol_app, name="smol")
app.add_typer(scenarios_app, name="scenarios")
app.add_typer(store_app, name="store")
app.command(epilog="Example: tuition export half --study micro-seed0 --to my-model")(export)
app.add_typer(suites_app, name="suites")
app.command(epilog="Example: tuition bench --model base:student --suite micro --samples 4")(bench)
app.add_typer(leaderboard_app, name="leaderboard")
app.command(epilog="Example: tuition record --scenario micro --seeds 4 --workers 2")(record)
app.command(epilog="Example: tuition recorded micro.parquet")(recorded)
app.command("app", epilog="Example: tuition app results --port 8501")(dashboard)
app.command(epilog="Example: tuition evidence --table micro.parquet --figure evidence.png")(evidence)
app.command(epilog="Example: tuition planners --table micro.parquet --figure planners.png")(planners)

TYPER_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt


@app.command(epilog="Example: tuition search --scenario micro --trials 24")
def search(
    scenario: ScenarioOption = "micro",
    trials: Annotated[int | None, typer.Option(min=1, help="Stop when the study has so many trials in all.")] = 12,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds of this call.")] = None,
    gpu_seconds: Annotated[
        float | None, typer.Option(help="Stop when the study has spent so many GPU-seconds (CPU-seconds on a CPU).")
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    study: Annotated[
        str | None, typer.Option(help="Name of the study; default: scenario and seed. The same name goes on with it.")
    ] = None,
    seed: SeedOption = 0,
    test_seeds: Annotated[
        int, typer.Option(min=0, help="Seeds on which finalists and baselines are retrained and tested; 0: no test.")
    ] = 1,
    sampler: Annotated[str, typer.Option(help="tpe or random.")] = "tpe",
    storage: Annotated[
        str | None, typer.Option(help="Database URL of the study; default: a SQLite file in the results folder.")
    ] = None,
    mix_versions: MixOption = False,
    track: TrackOption = None,
    trust_remote_code: TrustOption = False,
    max_store: Annotated[
        str | None,
        typer.Option(
            help="Keep the store within this size (as 500MB or 20GB) while searching: the blocks that are cheapest to "
            "make again for their size go first, never those in use or behind a finalist. Default: keep everything."
        ),
    ] = None,
    json: JsonOption = False,
    workers: WorkersOption = 1,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search allocations, then test the finalists and the baselines on seeds that the search never used.

    Stopped or killed, the same command goes on where it was; done, it trains nothing again.
    """
    from tuition.runners.scenarios.sources import confirm_trust

    confirm_trust(trust_remote_code)
    if dry_run:
        plan(scenario, trials or 12, results, seed, test_seeds, json)
        return
    from tuition.app.processes.progress import print_json
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.storage.store_upkeep import parse_size
    from tuition.app.studies.search_run import SearchRequest, run_search
    from tuition.app.terminal_tables import show_search
    from tuition.planner.study import StudyLimits
    from tuition.runners.training.tracking import start_tracking

    silence_libraries()
    start_tracking(track, ResultsFolder(results).tracking)
    limits = StudyLimits(trials=trials, seconds=seconds, gpu_seconds=gpu_seconds)
    limit_bytes = None if max_store is None else parse_size(max_store)
    configuration = RunConfiguration(scenario, results, mix_versions, workers, limit_bytes, quiet)
    result = run_search(SearchRequest(configuration, study_name(study), seed, limits, sampler, storage, test_seeds))
    if json:
        print_json(result.report.document())
    else:
        show_search(result.report, result.folder)


@app.command(
    epilog='Example: tuition run "teacher=big teacher_rl=4 warmup=1 opd=2 student_rl=2" --scenario micro --test'
)
def run(
    allocation: Annotated[
        str,
        typer.Argument(
            help='Block counts, as "teacher=big teacher_rl=4 warmup=1 opd=2", or a name of `tuition scenarios micro`.'
        ),
    ],
    scenario: ScenarioOption = "micro",
    seed: SeedOption = 0,
    results: ResultsOption = DEFAULT_RESULTS,
    test: Annotated[
        bool, typer.Option("--test", help="Score the test suite as well. Do this once you have stopped choosing.")
    ] = False,
    mix_versions: MixOption = False,
    track: TrackOption = None,
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train one allocation with one seed and score it."""
    from tuition.app.processes.progress import print_json
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.studies.single_run import run_single
    from tuition.app.terminal_tables import show_run
    from tuition.runners.scenarios.sources import confirm_trust
    from tuition.runners.training.tracking import start_tracking

    silence_libraries()
    confirm_trust(trust_remote_code)
    start_tracking(track, ResultsFolder(results).tracking)
    document = run_single(RunConfiguration(scenario, results, mix_versions, quiet=quiet), allocation, seed, test)
    print_json(document) if json else show_run(document)


@app.command(epilog="Example: tuition baselines --scenario micro --seeds 3 --only half --only direct-compute")
def baselines(
    scenario: ScenarioOption = "micro",
    seeds: Annotated[int, typer.Option(min=1, help="Number of training seeds.")] = 1,
    results: ResultsOption = DEFAULT_RESULTS,
    study: Annotated[str | None, typer.Option(help="Name under which labels are booked and the table is kept.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A baseline; repeat it for more. Default: all. Direct GRPO is always there."),
    ] = None,
    compute_of: Annotated[
        str, typer.Option(help="Entry whose GPU-seconds direct-compute is given.")
    ] = "teacher-upstream",
    finalists_of: Annotated[
        str | None,
        typer.Option(help="Name of a tested search: its finalists and their replay controls join the table."),
    ] = None,
    dry_run: DryRunOption = False,
    mix_versions: MixOption = False,
    track: TrackOption = None,
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
    workers: WorkersOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Train the baselines on fresh seeds and compare each with direct GRPO on the test suite.

    All have the labels of direct GRPO or fewer; direct-compute has the compute of another route as well.
    """
    from tuition.app.processes.progress import print_json
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.studies.baseline_runs import BaselinesRequest, plan_baselines, run_baselines
    from tuition.app.terminal_tables import show_baselines_plan, show_leaderboard
    from tuition.runners.scenarios.sources import confirm_trust
    from tuition.runners.training.tracking import start_tracking

    silence_libraries()
    request = BaselinesRequest(
        RunConfiguration(scenario, results, mix_versions, workers, quiet=quiet),
        seeds,
        study_name(study),
        tuple(only or ()),
        compute_of,
        study_name(finalists_of),
    )
    confirm_trust(trust_remote_code)
    if not dry_run:
        start_tracking(track, ResultsFolder(results).tracking)
    document = plan_baselines(request) if dry_run else run_baselines(request)
    if json:
        print_json(document)
    elif dry_run:
        show_baselines_plan(document)
    else:
        show_leaderboard(document)


@app.command(epilog="Example: tuition shuffled --scenario micro --seeds 3")
def shuffled(
    scenario: ScenarioOption = "micro",
    seeds: Annotated[int, typer.Option(min=1, help="Number of training seeds.")] = 3,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare training in blocks with one ordinary shuffled run: the price of sharing prefixes."""
    from tuition.app.processes.progress import print_json
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.studies.shuffled_runs import compare_shuffled
    from tuition.app.terminal_tables import show_shuffled

    silence_libraries()
    document = compare_shuffled(RunConfiguration(scenario, results, quiet=quiet), seeds)
    print_json(document) if json else show_shuffled(document)


@app.command(epilog="Example: tuition plan --scenario micro --trials 24")
def plan(
    scenario: ScenarioOption = "micro",
    trials: Annotated[int, typer.Option(min=1, help="Trials of the search to be priced.")] = 12,
    results: ResultsOption = DEFAULT_RESULTS,
    seed: SeedOption = 0,
    test_seeds: Annotated[int, typer.Option(min=0, help="Seeds of the test that follows.")] = 1,
    json: JsonOption = False,
) -> None:
    """Price a search before it runs: blocks, seconds, memory, peak disk, labels. Trains, writes and fetches nothing."""
    from tuition.app.processes.progress import print_json
    from tuition.app.studies.search_plan import plan_search
    from tuition.app.terminal_tables import show_plan

    document = plan_search(scenario, trials, results, seed, test_seeds)
    print_json(document) if json else show_plan(document)


app.command(epilog="Example: tuition power --difference 2 --problems 500 --samples 16   (solves for --seeds)")(power)


@micro_app.command("build")
def micro_build(
    out: Annotated[Path, typer.Option(help="Folder for the base checkpoints, one folder each.")],
    model: Annotated[list[str] | None, typer.Option(help="Only these, as micro/student or micro-b/teacher.")] = None,
) -> None:
    """Rebuild the base checkpoints of `micro` and `micro-b` from scratch (about 3 minutes on 2 cores)."""
    from tuition.runners.base_models.micro_build import build

    silence_libraries()
    build(out, model)


app.command(epilog=grade_command.EPILOG)(grade_command.grade)


@app.command(epilog="Example: tuition doctor --results /data/results")
def doctor(
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            "-s",
            help="Whether this scenario fits here: memory of every stage, hours, disk, what to change.",
        ),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Print versions, devices, threads and disk, what is wrong and the fix; or whether a scenario fits this machine.

    The exit code is 1 when a search cannot run.
    """
    from json import dumps

    from tuition.app.scenarios.doctor_installation import examine, show

    if scenario is not None:
        from tuition.app.scenarios.doctor_scenario import examine_scenario, show_examined

        silence_libraries()
        document, show = examine_scenario(scenario, results), show_examined
    else:
        document = examine(results)
    typer.echo(dumps(document, indent=1)) if json else show(document)
    if document["problems"]:
        raise typer.Exit(1)


def _disk_trouble(error: Exception) -> str:
    """What the operating system refused, on which file, and what to do."""
    import errno

    number = error.errno if isinstance(error, OSError) else None
    fixes = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space or raise the quota",
        errno.EROFS: "make the file system writable, or name another folder with --results",
        errno.EACCES: "mend the permissions, or name another folder with --results",
        errno.EPERM: "mend the permissions, or name another folder with --results",
    }
    if number not in fixes or not isinstance(error, OSError):
        return " ".join(str(error).split())
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{where}: {fixes[number]}; the same command goes on where it was"


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


def main() -> None:
    """Entry point: wrong input ends in one line and exit code 2, failures in one line and 1."""
    from typer.exceptions import TyperException

    try:
        code: Any = app(standalone_mode=False)
        if code == TYPER_INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except TyperException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(1)
    except (ValueError, RuntimeError, OSError) as error:
        # Our own errors say in one line what is wrong and how to mend it. Anything else is our fault: show it all.
        ours = type(error).__module__.partition(".")[0] == "tuition"
        if not ours and not isinstance(error, OSError):
            raise
        print(f"error: {error if ours else _disk_trouble(error)}", file=sys.stderr)
        sys.exit(2 if ours and isinstance(error, ValueError) else 1)


if __name__ == "__main__":
    main()
