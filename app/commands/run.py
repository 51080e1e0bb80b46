"""`tuition run`: `tuition.run` on the command line."""

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
    from tuition.app.api import training
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.study_tables import show_run

    done = training.run(
        allocation,
        scenario,
        seed=seed,
        results=results,
        test=test,
        mix_versions=mix_versions,
        track=track,
        trust_remote_code=trust_remote_code,
        quiet=quiet,
    )
    print_json(done.document()) if json else show_run(done)
