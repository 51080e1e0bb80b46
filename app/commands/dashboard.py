"""`tuition app`: serve the dashboard of a results folder."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS
from tuition.app.dashboard.addresses import Address, Rules, public_url

TOKEN_VARIABLE = "TUITION_APP_TOKEN"
# In which JupyterHub and others that put programs behind a path name it.
PATH_VARIABLE = "STREAMLIT_SERVER_BASE_URL_PATH"


def dashboard(
    results: Annotated[Path, typer.Argument(help="Results folder to show.")] = DEFAULT_RESULTS,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines connect, with a token.")
    ] = "localhost",
    public: Annotated[
        str | None,
        typer.Option("--public-url", help="Where a proxy shows it, for example https://lab.example.org/tuition."),
    ] = None,
) -> None:
    """Open the dashboard in the browser, during a search or after. It only reads.

    Where others could reach it, it asks for a token: open the printed address. TUITION_APP_TOKEN sets one of your own.
    """
    if not results.is_dir():
        raise typer.BadParameter(f"{results} is not a folder: give a results folder, or run a search first")
    try:
        shown = public_url(public) if public is not None else None
        address = Address(host, port, shown, os.environ.get(PATH_VARIABLE, ""))
        rules = address.rules(os.environ.get(TOKEN_VARIABLE) or None)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    serve(results.absolute(), address, rules)


def serve(results: Path, address: Address, rules: Rules) -> None:
    """Serve until interrupted, to those whom the rules admit."""
    from starlette.middleware import Middleware
    from streamlit.starlette import App

    import tuition.app.dashboard.main  # noqa: F401  (now, and not while the first reader waits)
    from tuition.app.dashboard.gate import Gate
    from tuition.app.dashboard.prepare import prepare

    options = {
        "server.address": address.host,
        "server.port": address.port,
        "server.baseUrlPath": address.path.strip("/"),
        "server.headless": True,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        # Streamlit compares an Origin with this name first; for one it does not know it asks an outside server.
        "browser.serverAddress": address.name,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        # Streamlit's own CSV of a table, and its clipboard, hand formulas in names to the spreadsheet; ours does not.
        "client.disableDataExport": True,
        "runner.magicEnabled": False,
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
    }
    entry = Path(__file__).parents[1] / "dashboard" / "entry.py"
    sys.argv = [str(entry), str(results)]
    typer.echo(f"Reading {results} …", err=True)
    app = App(entry, middleware=[Middleware(Gate, rules=rules)])
    prepare(results)
    typer.echo(f"Open {address.link(rules)}", err=True)
    app.run(config=options)
