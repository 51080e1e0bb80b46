"""A command in a process of its own, to be killed. It is forked: to import torch anew takes longer than it trains."""

import os
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from tuition.app.cli import main
from tuition.runners import fork_server


def start(arguments: list[str], output: Path, prepare: Callable[[], None] | None = None) -> BaseProcess:
    """Start `tuition ARGUMENTS`, after `prepare`; `output` is the file that takes what it writes."""
    process = fork_server.forked().Process(target=_run, args=(arguments, output, prepare, dict(os.environ)))
    fork_server.start(process)
    return process


def _run(arguments: list[str], output: Path, prepare: Callable[[], None] | None, environment: dict[str, str]) -> None:
    with output.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    fork_server.enter(environment)
    os.environ["TMPDIR"] = tempfile.tempdir = str(output.parent)  # one that is killed leaves what is there
    sys.argv = ["tuition", *arguments]
    if prepare is not None:
        prepare()
    main()
