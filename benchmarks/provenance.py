"""Provenance: by which command, which code and on what device a result was made, as a leaderboard entry states it."""

import importlib.metadata
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tuition.benchmarks.secret_texts import word_without_secrets

ROOT = Path(__file__).resolve().parents[1]  # src/tuition links here


PROCESSOR = "cpu: "
"""How the name of a processor begins, as the device that trained; its model follows."""


def names_no_processor(accelerator: str) -> bool:
    """Whether a record says that a processor trained, and not which: earlier versions wrote "cpu x86_64" or "cpu"."""
    return accelerator.startswith("cpu") and not accelerator.startswith(PROCESSOR)


def command_line() -> str:
    """The command that runs now, as one could give it again; of a program that imports Tuition, the program's.

    Without passwords: PGPASSFILE or the like gives them again.
    """
    program = Path(sys.argv[0]).name
    # `tuition` is installed so; cli.py: python -m tuition.app.cli.
    called = ["tuition"] if program in ("tuition", "cli.py") else ["python", *filter(None, sys.argv[:1])]
    return shlex.join([*called, *map(word_without_secrets, sys.argv[1:])])


def without_folders(command: str) -> str:
    """The command with the names of files instead of their absolute paths, which say where somebody keeps them."""
    return shlex.join(re.sub(r"(?:(?<==)|^)[/~].*/", "", word) for word in shlex.split(command))


def _code_version() -> str:
    """The version; from a git checkout with its commit, and `.changed` where tracked files differ from it.

    "0.1.0", "0.1.0+g5355f2328b18", "0.1.0+g5355f2328b18.changed".
    """
    version = importlib.metadata.version("tuition")
    # An installed wheel may lie inside somebody else's repository, whose commit says nothing about our code.
    if not (ROOT / ".git").exists():
        return version
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+g{commit[:12]}{'.changed' if changed else ''}"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


# Read when the command begins: a checkout that moves on while a search runs must not lend it a later commit.
CODE_VERSION = _code_version()
