"""`tuition micro build`; `tuition.runners.base_models.micro_build` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.processes.libraries import silence_libraries

micro_app = typer.Typer(help="The built-in test benches.", no_args_is_help=True, rich_markup_mode=None)


@micro_app.command("build")
def micro_build(
    out: Annotated[Path, typer.Option(help="Folder to write the base checkpoints to, one folder each.")],
    model: Annotated[
        list[str] | None, typer.Option(help="Only this checkpoint, such as micro/student; may be repeated.")
    ] = None,
) -> None:
    """Rebuild the base checkpoints of `micro`, `micro-b` and `micro-c` from scratch (about 4 minutes on 2 cores)."""
    from tuition.runners.base_models.micro_build import build

    silence_libraries()
    build(out, model)
