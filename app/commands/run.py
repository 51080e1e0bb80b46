"""`tuition run`; `tuition.app.studies.single_run` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    JsonOption,
    MixOption,
    QuietOption,
    ResultsOption,
    ScenarioOption,
    SeedOption,
    TrackOption,
    TrustOption,
)
from tuition.app.processes.silence import silence_libraries
from tuition.benchmarks.results_folder import ResultsFolder


def run(
    allocation: Annotated[
        str,
        typer.Argument(
            help='Block counts, as in "teacher=big teacher_rl=4 warmup=1 opd=2", or a name from `tuition scenarios`.'
        ),
    ],
    scenario: ScenarioOption = "micro",
    seed: SeedOption = 0,
    results: ResultsOption = DEFAULT_RESULTS,
    test: Annotated[
        bool, typer.Option("--test", help="Also score the test suite. Do this only when you are done choosing.")
    ] = False,
    mix_versions: MixOption = False,
    track: TrackOption = None,
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train one allocation with one seed and score it."""
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.single_run import run_single
    from tuition.app.studies.study_tables import show_run
    from tuition.runners.scenarios.sources import confirm_trust
    from tuition.runners.training.tracking import start_tracking

    silence_libraries()
    confirm_trust(trust_remote_code)
    start_tracking(track, ResultsFolder(results).tracking)
    done = run_single(RunConfiguration(scenario, results, mix_versions, quiet=quiet), allocation, seed, test)
    print_json(done.document()) if json else show_run(done)
