"""`tuition app`: serve the dashboard of a results folder."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS

LOCALHOST = "localhost"


def dashboard(
    results: Annotated[Path, typer.Argument(help="Results folder to show.")] = DEFAULT_RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines connect.")] = LOCALHOST,
) -> None:
    """Open the dashboard in the browser, during a search or after. It only reads."""
    if not results.is_dir():
        raise typer.BadParameter(f"{results} is not a folder: give a results folder, or run a search first")
    serve(results.absolute(), port, host)


def serve(results: Path, port: int, host: str) -> None:
    """Serve until interrupted. Anybody who reaches the port can read the results."""
    from streamlit.web import bootstrap

    import tuition.app.dashboard.main  # noqa: F401  (now, and not while the first reader waits)
    from tuition.app.dashboard.prepare import prepare

    entry = Path(__file__).parents[1] / "dashboard" / "entry.py"
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        "browser.serverAddress": host,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "runner.magicEnabled": False,
        "logger.level": "warning",
    }
    flags = {name.replace(".", "_"): value for name, value in options.items()}
    sys.argv = [str(entry), str(results)]
    bootstrap.load_config_options(flag_options=flags)
    typer.echo(f"Reading {results} …", err=True)
    prepare(results)
    bootstrap.run(str(entry), False, [str(results)], flags)
