"""`tuition tune`; `tuition.app.tuning.tuning_run` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    DryRunOption,
    JsonOption,
    MixOption,
    QuietOption,
    ResultsOption,
    ScenarioOption,
    TrackOption,
    TrustOption,
    WorkersOption,
)


def tune(
    scenario: ScenarioOption = "micro",
    stage: Annotated[
        list[str] | None,
        typer.Option(help="A stage to tune; may be repeated. Default: all, each with as many tries."),
    ] = None,
    rates: Annotated[
        str,
        typer.Option(help="Learning rates, separated by commas: factors of the stage's own (2x), or values (1e-5)."),
    ] = "0.5x,1x,2x,4x",
    steps: Annotated[
        str, typer.Option(help="Steps of one block: factors of the stage's own (0.5x), or values (30).")
    ] = "0.5x,1x",
    seeds: Annotated[
        int,
        typer.Option(min=1, max=100, help="Training seeds of every try: 0, 1, ... With one, no setting is judged."),
    ] = 2,
    results: ResultsOption = DEFAULT_RESULTS,
    study: Annotated[str | None, typer.Option(help="Name of its folder in studies; default: SCENARIO-tune.")] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the scenario with the better settings to this new file.")
    ] = None,
    dry_run: DryRunOption = False,
    mix_versions: MixOption = False,
    track: TrackOption = None,
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
    workers: WorkersOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Tune learning rate and steps of every stage on the validation suite, direct GRPO included.

    Each stage is given the same grid around its own settings and the same number of tries, so that no baseline is
    undertuned. A try changes one stage. It is scored after the route that uses the stage, with all labels: a teacher's
    stage on the teacher, student_rl as direct GRPO, the bridge and transfer_sft after a teacher trained by GRPO.

    A setting is changed only where the best try is distinguishable from the current one. If interrupted, rerun the
    same command to resume; with more values or seeds it adds what is missing.
    """
    from tuition.app.api.arguments import as_command, make_configuration
    from tuition.app.processes.terminal import print_json
    from tuition.app.tuning.tuning_plan import TuningRequest, plan_tuning

    with as_command(results, track, trust_remote_code):
        configuration = make_configuration(scenario, results, mix_versions, workers, quiet=quiet)
        request = TuningRequest(configuration, tuple(stage or ()), rates, steps, seeds, study)
        if dry_run:
            from tuition.app.tuning.tuning_tables import show_tuning_plan

            plan = plan_tuning(request)
            print_json(plan.document()) if json else show_tuning_plan(plan)
            return
        from tuition.app.tuning.tuning_run import refuse_existing, run_tuning, write_tuned
        from tuition.app.tuning.tuning_tables import show_tuning

        refuse_existing(write)
        result = run_tuning(request)
        print_json(result.report.document()) if json else show_tuning(result.report)
        result.refuse_failures()
        if write is not None:
            typer.echo(write_tuned(result, scenario, write), err=True)
