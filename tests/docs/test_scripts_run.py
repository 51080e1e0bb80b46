"""Every script that README or docs name is run: whole at a tiny size, or as far as its --help, with the reason.

A script that nothing runs breaks without a word when the code that it calls is changed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.documents import DOCUMENTS, ROOT, code_of
from tests.experiments.gpu.resume import check_in_memory, check_resume
from tests.runners.conftest import tiny_scenario_file

TINY: dict[str, list[str]] = {
    "tests.experiments.correction.mismatch": [
        "--model", "runners/scenarios/micro/student", "--completions", "1", "--length", "16",
    ],
    "tests.experiments.costs.fit": [],
    "tests.experiments.simulations.checkpoint_coverage": ["--repetitions", "2"],
    "tests.experiments.simulations.error_bars": [],
    "tests.experiments.simulations.score_coverage": ["--repetitions", "4"],
    "tests.experiments.speed.bookkeeping": ["--trials", "5", "10", "--measured", "2"],
    "tests.experiments.speed.memory": ["--scenario", "{tiny}", "--stages", "teacher_rl"],
    "tests.experiments.speed.small_things": [
        "--blocks", "20", "--study-trials", "20", "--pairs", "1", "--trials", "0",
    ],
    "tests.experiments.speed.stage_overhead": ["--pairs", "1", "--scenario", "{tiny}"],
    "tests.runners.training.pin_golden_curves": ["opd", "--out", "{folder}/golden.json"],
}  # fmt: skip
"""Arguments that make a script tiny; {tiny} is a scenario of one step a block, {folder} an empty folder."""

HELP = {
    "tests.experiments.dashboard_pictures": "needs a browser",
    "tests.experiments.gpu.check": "takes minutes without a GPU; what it calls is in tests/experiments/gpu and below",
    "tests.experiments.scarcity.label_curves": "trains a bench for tens of minutes",
    "tests.experiments.scarcity.sweep": "trains a bench for an hour",
    "tests.experiments.simulations.coverage": "three minutes; its parts are in tests/experiments/simulations",
    "tests.experiments.speed.dashboard": "needs a browser",
    "tests.experiments.speed.grading_throughput": "its data are not in the repository",
    "tests.experiments.speed.replay": "times databases for minutes; what it calls is in tests/benchmarks/tables",
    "tests.experiments.speed.synthetic_results": "is run by tests/experiments/speed/test_synthetic_results.py",
    "tests.faults.kill_search": "kills whole searches for minutes; single kills are in tests/app/processes",
}
"""Scripts that are not run here, and why; their --help is."""

TESTS = {"tests.benchmarks.grading.test_agreement", "tests.benchmarks.grading.test_hostile"}
"""Tests that also print a table when they are called as scripts."""


def named_scripts() -> set[str]:
    """The modules of `tests` that documents call."""
    found = set()
    for document in DOCUMENTS:
        for line in code_of(document.read_text()):
            for named in re.findall(r"python -m (tests[.\w]*(?:\|\w+)*)", line):
                first, *others = named.split("|")  # `python -m tests.a|b` names two
                found |= {first, *(f"{first.rpartition('.')[0]}.{other}" for other in others)}
            found |= {path.replace("/", ".") for path in re.findall(r"python (tests/[\w/]+)\.py", line)}
    return {module for module in found if (ROOT / f"{module.replace('.', '/')}.py").exists()}


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_every_script_that_documents_name_is_run() -> None:
    ours = TINY.keys() | HELP.keys() | TESTS
    assert named_scripts() - ours == set(), "say how it is run at a tiny size"
    assert "tests.experiments.speed.memory" in named_scripts() and not TINY.keys() & HELP.keys()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file()))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(TINY))
def test_a_script_runs_at_a_tiny_size(module: str, tiny: Path) -> None:
    arguments = [argument.format(tiny=tiny, folder=tiny.parent) for argument in TINY[module]]
    done = run(module, *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() or (tiny.parent / "golden.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(HELP))
def test_a_script_that_cannot_run_here_is_imported_and_shows_its_help(module: str) -> None:
    done = run(module, "--help")
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr[-2000:]


@pytest.mark.slow
def test_the_gpu_checks_resume_a_killed_block_and_train_in_memory(tmp_path: Path) -> None:
    scenario = tiny_scenario_file()
    scenario["stages"]["student_rl"] |= {"steps": 3, "lr_warmup_steps": 0}
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(scenario))
    for check in (check_resume, check_in_memory):
        told, is_so = check(file, tmp_path / "work", "student_rl=2")
        assert is_so and "undisturbed: bit for bit" in told, told
