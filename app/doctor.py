"""`tuition doctor`: versions, devices, threads, disk, what is wrong and the fix."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from runners.scenario import Scenario, ScenarioError, built_in_scenarios

NEEDED = ("torch", "transformers", "trl", "optuna", "math-verify", "peft", "datasets", "pandas")
LEAST_FREE_BYTES = 2 * 10**9


def examine() -> dict[str, Any]:
    """Facts about this machine and installation, and a list of problems, each with its fix."""
    facts: dict[str, Any] = {"python": sys.version.split()[0], "platform": platform.platform()}
    problems: list[str] = []
    for package in NEEDED:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "missing"
            problems.append(f"{package} is not installed: pip install -r requirements.lock")
    if not problems:
        import torch

        facts["devices"] = (
            torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores, no GPU"
        )
        facts["threads"] = f"{torch.get_num_threads()} a process (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')})"
    free = shutil.disk_usage(Path.cwd()).free
    facts["free disk"] = f"{free / 1e9:.1f} GB in {Path.cwd()}"
    if free < LEAST_FREE_BYTES:
        problems.append(f"only {free / 1e9:.1f} GB free in {Path.cwd()}: free some or work in another folder")
    if not os.access(Path.cwd(), os.W_OK):
        problems.append(f"{Path.cwd()} is not writable: change the folder or give --results")
    for name in built_in_scenarios():
        try:
            Scenario.load(name)
            facts[f"scenario {name}"] = "loads"
        except ScenarioError as error:
            problems.append(str(error))
    return {"facts": facts, "problems": problems}
