"""`tuition doctor` through the command: what is there, and faults that are really produced or that packages claim."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest
import torch

from tests.app.conftest import Command
from tuition.app.scenarios.doctor_scenario import examine_drawing, examine_host
from tuition.runners.scenarios.outline import load_to_plan
from tuition.runners.scenarios.sources import Shape

ROOT = Path(__file__).parents[3]


def examined(tuition: Command, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = tuition("doctor", "--json", *arguments)
    assert result.stderr == ""
    return result.returncode, json.loads(result.stdout)


def test_a_sound_installation_has_no_problem_and_leaves_nothing_behind(tmp_path: Path, tuition: Command) -> None:
    code, document = examined(tuition)
    assert (code, document["problems"]) == (0, [])
    facts = document["facts"]
    assert facts["python"].startswith(platform.python_version())
    assert facts["torch"].startswith(importlib.metadata.version("torch")) and ">=" in facts["trl"]
    assert facts["file locks"] == "work" and facts["grading"].startswith("works")
    assert facts["scenario micro"] == "loads" and str(tmp_path / "results") in facts["results"]
    assert "OMP_NUM_THREADS=" in facts["threads"] and "GB available" in facts["memory"]
    assert {"cores", "trainers", "sqlite", "scratch", "vllm"} <= facts.keys()
    assert "gpu" in facts or "cuda:0" in facts
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_for_a_person(tuition: Command) -> None:
    result = tuition("doctor")
    assert result.returncode == 0 and "a search can run" in result.stdout.splitlines()[-1]


@pytest.fixture
def broken(tuition: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command without its costly part, where only what comes before it is looked at."""
    monkeypatch.setattr("tuition.app.scenarios.doctor_installation._libraries", lambda found: None)
    monkeypatch.setattr("tuition.app.scenarios.doctor_installation._grader", lambda found: None)
    yield tuition


def test_a_file_in_place_of_the_folder(tmp_path: Path, broken: Command) -> None:
    (tmp_path / "results").write_text("not a folder")
    code, document = examined(broken)
    [problem] = document["problems"]
    assert code == 1 and f"{tmp_path / 'results'} cannot be written" in problem and "--results" in problem
    assert (tmp_path / "results").read_text() == "not a folder"
    assert "problem: " in broken("doctor").stdout


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc, where nobody can make a folder")
def test_a_folder_in_which_nobody_can_write(broken: Command) -> None:
    code, document = examined(broken, "--results", "/proc/results")
    assert code == 1 and any("/proc cannot be written" in problem for problem in document["problems"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_ours_to_write(tmp_path: Path, broken: Command) -> None:
    (tmp_path / "results").mkdir(mode=0o500)
    code, document = examined(broken)
    assert code == 1 and "Permission denied" in document["problems"][0]


def test_a_file_system_that_was_made_read_only_or_is_full(tmp_path: Path, broken: Command) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small]).returncode:
        pytest.skip("may not mount a file system")
    try:
        code, document = examined(broken, "--results", str(small / "results"))
        assert code == 1 and any("0.00 GB are free" in problem for problem in document["problems"])
        (small / "full").write_bytes(b"x" * shutil.disk_usage(small).free)
        code, document = examined(broken, "--results", str(small))
        assert code == 1 and any("cannot be written (No space left" in problem for problem in document["problems"])
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        code, document = examined(broken, "--results", str(small))
        assert code == 1 and any("Read-only file system" in problem for problem in document["problems"])
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize(
    ("package", "claims", "message"),
    [
        ("trl", "1.15.0", "trl is 1.15.0, but Tuition needs <1.17,>=1.16: pip install 'trl<1.17,>=1.16'"),
        ("transformers", "6.0.0", "transformers is 6.0.0, but Tuition needs <5.18,>=5.10.4: pip install"),
        ("torch", None, "torch is not installed: pip install 'torch>=2.11'"),
        ("math-verify", None, "math-verify is not installed: pip install 'math-verify[antlr4-13-2]<0.10,>=0.9'"),
    ],
)
def test_packages_of_other_versions(
    broken: Command, monkeypatch: pytest.MonkeyPatch, package: str, claims: str | None, message: str
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name != package:
            return real(name)
        if claims is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return claims

    monkeypatch.setattr("tuition.app.scenarios.doctor_installation.version", version)
    code, document = examined(broken)
    [problem] = document["problems"]
    assert code == 1 and problem.startswith(message)


@pytest.mark.parametrize(
    ("here", "kind", "message"),
    [("3.10.4", "problems", "this is Python 3.10.4, but Tuition needs >=3.11"), ("3.14.0", "warnings", "is untested")],
)
def test_other_pythons(broken: Command, monkeypatch: pytest.MonkeyPatch, here: str, kind: str, message: str) -> None:
    monkeypatch.setattr("tuition.app.scenarios.doctor_installation.platform.python_version", lambda: here)
    code, document = examined(broken)
    assert code == (1 if kind == "problems" else 0) and message in document[kind][0]


def test_trouble_that_does_not_stop_a_search_is_a_warning(broken: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mount(NamedTuple):
        mountpoint: str
        fstype: str

    class Memory(NamedTuple):
        total: int
        available: int

    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [Mount("/", "nfs4")])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(4 * 10**9, 10**9))
    code, document = examined(broken)
    assert code == 0 and document["problems"] == []
    memory, network = document["warnings"]
    assert "1.0 GB of memory" in memory and "network file system (nfs4)" in network


def test_each_gpu_is_named_and_one_that_is_broken_is_a_warning(
    tuition: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Device(NamedTuple):
        name: str
        total_memory: int

    def memory(index: int) -> tuple[int, int]:
        if index == 1:
            raise RuntimeError("CUDA error: uncorrectable ECC error")
        return 60 * 10**9, 80 * 10**9

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Device("A GPU", 80 * 10**9))
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr("tuition.app.scenarios.doctor_installation._scenarios", lambda found: None)
    code, document = examined(tuition)
    assert code == 0 and document["facts"]["cuda:0"].startswith("A GPU, 60.0 GB free of 80.0 GB; PyTorch is built")
    [warning] = document["warnings"]
    assert "cuda:1 cannot be used" in warning and "ECC" in warning and "CUDA_VISIBLE_DEVICES" in warning


def test_a_vllm_that_cannot_be_imported_is_a_warning(
    tmp_path: Path, tuition: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packages" / "vllm").mkdir(parents=True)
    (tmp_path / "packages" / "vllm" / "__init__.py").write_text("raise ImportError('built for another torch')")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    code, document = examined(tuition)
    assert code == 0 and "built for another torch" in document["warnings"][0]


def test_it_runs_where_nothing_is_installed() -> None:
    """With typer and what that needs alone, as after an installation that broke off."""
    code = "import sys, importlib.abc\n" + (
        "class Nothing(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'trl', 'numpy', 'psutil', 'packaging', 'yaml'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "from tuition.app.cli import main\n"
        "sys.argv = ['tuition', 'doctor']\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 1 and "problem: the package packaging is not installed" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_more_processes_than_gpus_are_a_problem(tuition: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("tuition.app.scenarios.doctor_scenario.device_memory", lambda device: ("a GPU", 80 * 10**9))
    code, document = examined(tuition, "--scenario", "qwen3-8b-to-1.7b")
    problem = next(problem for problem in document["problems"] if "hardware.processes=" in problem)
    assert (
        code == 1 and "processes=8 needs one GPU per process, but 2 are visible" in problem and "set it to 2" in problem
    )


@pytest.mark.parametrize(("gigabytes", "lacking"), [(100, 1), (200, 0)])
def test_too_little_memory_of_the_machine_is_a_problem(
    gigabytes: int, lacking: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=gigabytes * 10**9))
    facts: dict[str, str] = {}
    problems = examine_host(load_to_plan("qwen3-8b-to-1.7b"), ["opd", "student_rl"], facts)
    assert facts["host memory"].startswith("up to 142.9 GB in opd (models are read: teacher 131.0 GB")
    assert len(problems) == lacking and all("opd needs 142.9 GB of the machine's memory" in one for one in problems)


@pytest.mark.parametrize(
    ("gigabytes", "fix"),
    [
        (80, "tensor_parallel: 2 on it, with hardware.engine: vllm"),
        (20, "tensor_parallel: 8 on it, with hardware.engine: vllm"),
        (10, "more hardware.processes"),
    ],
)
def test_doctor_says_over_how_many_devices_a_model_is_to_be_split(gigabytes: int, fix: str) -> None:
    scenario = load_to_plan("qwen3-8b-to-1.7b")
    large = Shape(layers=64, width=8192, mlp=22016, query=8192, key=1024, vocabulary=152064)
    teacher = scenario.file.teachers["8b"].model_copy(update={"shape": large})
    scenario.file = scenario.file.model_copy(update={"teachers": {"8b": teacher}})
    (problem,) = examine_drawing(scenario, gigabytes * 10**9)
    assert problem.startswith("to draw from 8b, each device needs 91.1 GB for its weights") and problem.endswith(fix)
