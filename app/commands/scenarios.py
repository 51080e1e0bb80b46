"""`tuition scenarios`; `tuition.app.scenarios.scenario_summary` and `new_scenario` do the work."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tuition.app.commands.options import DataOption, JsonOption
from tuition.app.processes.libraries import silence_libraries


class ShowByDefault(TyperGroup):
    """`tuition scenarios NAME` means `tuition scenarios show NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named first, or else `show`."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


scenarios_app = typer.Typer(
    cls=ShowByDefault,
    invoke_without_command=True,
    rich_markup_mode=None,
    subcommand_metavar="[SCENARIO | COMMAND [ARGS]...]",
    epilog="Example: tuition scenarios micro",
)


@scenarios_app.callback()
def scenarios(context: typer.Context, json: JsonOption = False) -> None:
    """List the built-in scenarios; check and describe one; or create one for your own models and problems."""
    from tuition.app.processes.terminal import print_json
    from tuition.runners.scenarios.scenario_file import built_in_scenarios

    if context.invoked_subcommand is None:
        names = built_in_scenarios()
        print_json({"scenarios": names}) if json else typer.echo("\n".join(names))


@scenarios_app.command("show", epilog="Example: tuition scenarios micro")
def show(
    scenario: Annotated[str, typer.Argument(help="A built-in scenario or a YAML file.")],
    json: JsonOption = False,
) -> None:
    """Load, check and describe a scenario. Fetches no model; lists what needs the Hub. `show` may be omitted."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.scenarios.scenario_summary import describe_scenario
    from tuition.app.scenarios.scenario_tables import show_scenario

    silence_libraries()
    document = describe_scenario(scenario)
    print_json(document) if json else show_scenario(document)


@scenarios_app.command(
    "new",
    epilog="Example: tuition scenarios new mine.yaml --student models/small --teacher models/big --problems mine.jsonl",
)
def new(
    out: Annotated[Path, typer.Argument(help="The YAML file to write; an existing file is never overwritten.")],
    student: Annotated[str, typer.Option(help="The small model: a folder, or a Hub id such as owner/name.")],
    teacher: Annotated[str, typer.Option(help="The big model: a folder, or a Hub id such as owner/name.")],
    problems: Annotated[Path, typer.Option(help="JSONL file: one object with id, problem and answer per line.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 1024,
    data_dir: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Write a commented scenario for your own models and problems, and check both.

    Checks tokenizers, vocabularies, chat templates, lengths, answers that cannot be graded, repeats, and overlap with
    the suites. The exit code is 1 when a finding rules out the bridge or a stage.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.scenarios.new_scenario import make_scenario
    from tuition.app.scenarios.scenario_tables import show_new_scenario
    from tuition.app.scenarios.scenario_text import NewScenario

    silence_libraries()
    document = make_scenario(NewScenario(out, student, teacher, problems, data_dir, max_tokens))
    print_json(document) if json else show_new_scenario(document)
    if document["problems"]:
        raise typer.Exit(1)
