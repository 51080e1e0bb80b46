"""`tuition doctor`: versions, devices, threads, disk, what is wrong and the fix.

A problem is what a search cannot run with; a warning is what may spoil one later. Everything is tried, not looked up:
the results folder is written to, locked and given a database, an answer is graded, the built-in scenarios are loaded.
Nothing stays behind. Works in a broken installation as well: only Python's own library is imported before the packages
have been looked at.

Simplified: no model is trained, and a GPU is named but not used; whether several hosts see each other's locks cannot be
told from one of them.
"""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

TRIED_PYTHONS = ("3.11", "3.12", "3.13")
# Our choices. A micro search of 12 trials writes 160 MB, and a worker of it takes half a gigabyte.
LEAST_FREE_BYTES, SCANTY_FREE_BYTES = 500 * 10**6, 2 * 10**9
LEAST_MEMORY_BYTES = 2 * 10**9
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs", "lustre", "gpfs", "beegfs")
# Read by math-verify, and too hard for the grader's shortcut.
GOLD, COMPLETION = r"\frac{3}{4}", r"The answer is \boxed{0.75}."


@dataclass
class Examination:
    """What was found: facts by name; problems and warnings, each one line with its fix."""

    facts: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def examine(results: Path) -> dict[str, Any]:
    """Facts about this machine, installation and results folder, and lists of problems and warnings, as JSON values."""
    found = Examination()
    found.facts["platform"] = platform.platform()
    folder = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    _python_and_packages(found)
    if not found.problems:
        _processor(found)
        _libraries(found)
        _file_system(found, folder)
    _disk(found, results, folder)
    if not found.problems:
        _grader(found)
        _scenarios(found)
    return asdict(found)


def show(document: dict[str, Any]) -> None:
    """Print it without any package that may be missing."""
    for name, value in document["facts"].items():
        typer.echo(f"{name:>18}  {value}")
    for kind in ("warning", "problem"):
        for line in document[f"{kind}s"]:
            typer.echo(f"{kind}: {line}")
    if document["problems"]:
        typer.echo("a search cannot run until the problems above are fixed")
    else:
        typer.echo("a search can run" + (", but see the warnings" if document["warnings"] else "; no problems found"))


def _python_and_packages(found: Examination) -> None:
    """The interpreter, and each package that Tuition names, held against the versions that it admits."""
    here = platform.python_version()
    found.facts["python"] = f"{here} ({sys.executable})"
    try:
        from packaging.requirements import Requirement
        from packaging.specifiers import SpecifierSet

        requirements, pythons = requires("tuition") or [], SpecifierSet(metadata("tuition")["Requires-Python"])
    except (ImportError, PackageNotFoundError) as error:
        missing = "packaging" if isinstance(error, ImportError) and error.name == "packaging" else "tuition"
        found.problems.append(f"the package {missing} is not installed: install Tuition as described in its README.md")
        return
    if not pythons.contains(here, prereleases=True):
        found.problems.append(
            f"this is Python {here}, but Tuition needs {pythons}: create an environment with such a version"
        )
    elif here.rpartition(".")[0] not in TRIED_PYTHONS:
        found.warnings.append(f"Python {here} is untested; tested versions: {', '.join(TRIED_PYTHONS)}")
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name, admitted = requirement.name, requirement.specifier
        try:
            installed = version(name)
        except PackageNotFoundError:
            found.facts[name] = "missing"
            found.problems.append(f"{name} is not installed: pip install '{requirement}'")
            continue
        found.facts[name] = f"{installed} (needs {admitted})"
        if not admitted.contains(installed, prereleases=True):
            found.problems.append(f"{name} is {installed}, but Tuition needs {admitted}: pip install '{requirement}'")


def _processor(found: Examination) -> None:
    """Cores, threads and memory."""
    import psutil

    cores, threads = len(psutil.Process().cpu_affinity()), os.environ.get("OMP_NUM_THREADS")
    found.facts["cores"] = f"{cores} for this process, {psutil.cpu_count()} in total: use them with --workers {cores}"
    found.facts["threads"] = f"OMP_NUM_THREADS={threads}; on a CPU, blocks always train on one thread"
    memory = psutil.virtual_memory()
    found.facts["memory"] = f"{memory.available / 1e9:.1f} GB available of {memory.total / 1e9:.1f} GB"
    if memory.available < LEAST_MEMORY_BYTES:
        found.warnings.append(
            f"{memory.available / 1e9:.1f} GB of memory are available, but each worker of micro needs about 0.5 GB: "
            "end other programs, or use fewer --workers"
        )


def _libraries(found: Examination) -> None:
    """Import what trains, and name the GPUs; vLLM is optional."""
    try:
        from trl import DistillationTrainer, GRPOTrainer

        found.facts["trainers"] = f"{GRPOTrainer.__name__} and {DistillationTrainer.__name__} can be imported"
    except Exception as error:  # a broken library raises anything
        found.problems.append(
            f"torch or trl cannot be imported ({_named(error)}): reinstall both, in the versions above"
        )
        return
    _gpus(found)
    _vllm(found)


def _gpus(found: Examination) -> None:
    import torch

    build = f"PyTorch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "PyTorch is built without CUDA"
    if not torch.cuda.is_available():
        found.facts["gpu"] = f"none; {build}; scenarios with hardware.device cpu run"
        if Path("/proc/driver/nvidia/version").exists():
            found.warnings.append(
                f"there is an NVIDIA driver, but PyTorch finds no GPU ({build}): install a CUDA build of "
                f"torch {torch.__version__.partition('+')[0]} that this driver supports, or check CUDA_VISIBLE_DEVICES"
            )
        return
    for index in range(torch.cuda.device_count()):
        try:
            device = torch.cuda.get_device_properties(index)
            free_bytes, _ = torch.cuda.mem_get_info(index)
        except RuntimeError as error:
            found.warnings.append(
                f"cuda:{index} cannot be used ({_named(error)}): exclude it with CUDA_VISIBLE_DEVICES, or fix it"
            )
            continue
        memory = f"{free_bytes / 1e9:.1f} GB free of {device.total_memory / 1e9:.1f} GB"
        found.facts[f"cuda:{index}"] = f"{device.name}, {memory}; {build}"


def _vllm(found: Examination) -> None:
    if find_spec("vllm") is None:
        found.facts["vllm"] = "not installed; only scenarios with hardware.engine vllm need it"
        return
    try:
        import vllm  # type: ignore[import-not-found,unused-ignore]

        found.facts["vllm"] = str(vllm.__version__)
    except Exception as error:
        found.warnings.append(
            f"vllm is installed but cannot be imported ({_named(error)}): install the vllm that was built for "
            f"torch {version('torch')}, or use hardware.engine transformers"
        )


def _disk(found: Examination, results: Path, folder: Path) -> None:
    """The results folder, or the `folder` in which it would be made: space, writing, locks, SQLite."""
    another = "choose another folder with --results"
    free_bytes = shutil.disk_usage(folder).free
    found.facts["results"] = f"{results.absolute()}, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < LEAST_FREE_BYTES:
        found.problems.append(
            f"{free_bytes / 1e9:.2f} GB are free for {results.absolute()}: free disk space, or {another}"
        )
    elif free_bytes < SCANTY_FREE_BYTES:
        found.warnings.append(
            f"{free_bytes / 1e9:.2f} GB are free for {results.absolute()}: see what `tuition plan` needs, or {another}"
        )
    try:
        with _probe(folder) as probe:
            _locks(found, probe, another)
            _sqlite(found, probe, another)
    except OSError as error:
        found.problems.append(f"{folder} cannot be written ({error.strerror}): fix the permissions, or {another}")
    try:
        with _probe(Path(tempfile.gettempdir())) as probe:
            found.facts["scratch"] = f"{probe.parent}, {shutil.disk_usage(probe).free / 1e9:.1f} GB free"
    except OSError as error:
        found.problems.append(f"no temporary file can be written ({error.strerror}): set TMPDIR to a writable folder")


@contextmanager
def _probe(folder: Path) -> Iterator[Path]:
    """A folder inside of another, in which a file could be written and a folder renamed, as publishing a block does."""
    with tempfile.TemporaryDirectory(prefix=".tuition-doctor-", dir=folder) as name:
        probe = Path(name)
        (probe / "partial").mkdir()
        with (probe / "partial" / "file").open("wb") as file:
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
        os.rename(probe / "partial", probe / "whole")
        yield probe


def _locks(found: Examination, probe: Path, another: str) -> None:
    """Whether the kernel's file locks work there; without them nothing keeps two processes off one block."""
    import fcntl

    with (probe / "lock").open("w") as holder, (probe / "lock").open("w") as other:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            found.problems.append(f"files in {probe.parent} cannot be locked ({error.strerror}): {another}")
            return
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.problems.append(f"file locks in {probe.parent} do not exclude each other: {another}")
        except OSError:
            found.facts["file locks"] = "work"


def _file_system(found: Examination, folder: Path) -> None:
    """Warn of a network file system under the results."""
    import psutil

    mounts = {partition.mountpoint: partition.fstype for partition in psutil.disk_partitions(all=True)}
    folder = folder.resolve()
    kind = next((mounts[str(path)] for path in (folder, *folder.parents) if str(path) in mounts), "unknown")
    if kind in NETWORK_FILE_SYSTEMS:
        found.warnings.append(
            f"{folder} is on a network file system ({kind}): use it from one host at a time, or choose another folder "
            "with --results; studies shared by several hosts need a database (--storage)"
        )


def _sqlite(found: Examination, probe: Path, another: str) -> None:
    try:
        with closing(sqlite3.connect(probe / "study.db", timeout=1)) as database:
            database.executescript("BEGIN IMMEDIATE; CREATE TABLE t (x); INSERT INTO t VALUES (1); COMMIT;")
        found.facts["sqlite"] = f"{sqlite3.sqlite_version}, works in the results folder"
    except sqlite3.Error as error:
        found.problems.append(f"SQLite {sqlite3.sqlite_version} does not work in {probe.parent} ({error}): {another}")


def _grader(found: Examination) -> None:
    from tuition.benchmarks.grading.grader import Grader

    try:
        with closing(Grader()) as grader:
            grade = grader.grade(GOLD, COMPLETION)
    except RuntimeError as error:
        found.problems.append(f"answers cannot be graded: {_named(error)}")
        return
    if grade.correct:
        found.facts["grading"] = f"works: math-verify accepts {COMPLETION!r} for {GOLD!r}"
    else:
        found.problems.append(
            f"math-verify does not accept {COMPLETION!r} for {GOLD!r} ({grade.verdict}): reinstall it with its antlr4 "
            "runtime, pip install 'math-verify[antlr4-13-2]'"
        )


def _scenarios(found: Examination) -> None:
    """Load the built-in scenarios that need nothing from the Hub, and read the files of the others."""
    from tuition.benchmarks.suites.micro import MIXES
    from tuition.runners.scenarios.model_checks import check_models
    from tuition.runners.scenarios.scenario import Scenario
    from tuition.runners.scenarios.scenario_file import ScenarioFile, built_in_scenarios
    from tuition.runners.scenarios.sources import MissingModelError, ScenarioError

    for name in built_in_scenarios():
        try:
            file, _ = ScenarioFile.read(name)
            if file.hub_models or file.hub_data:
                found.facts[f"scenario {name}"] = "its file is valid; its models and data are on the Hub"
            else:
                check_models(Scenario.load(name))
                found.facts[f"scenario {name}"] = "loads"
        except ScenarioError as error:
            if isinstance(error, MissingModelError) and name not in MIXES:  # the bases of those ship with Tuition
                found.facts[f"scenario {name}"] = f"its file is valid; {error}"
            else:
                found.problems.append(f"scenario {name}: {_named(error)}")


def _named(error: BaseException) -> str:
    """The error on one line."""
    from tuition.planner.error_lines import named_line  # not before all packages are known to be there

    return named_line(error)
