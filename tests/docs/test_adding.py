"""docs/adding.md lists all files that an addition touches: its changes, made in a copy of the repository, suffice."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.adding import ADDING, section
from tests.docs.documents import ROOT
from tests.docs.tried_in_copy import ROUTE, keys
from tuition.benchmarks.suites.catalog import MICRO, SUITES
from tuition.runners.scenarios.settings import StageSettings

SECTIONS = {
    "A stage": ("tests/runners/training/golden_curves.json",),
    "A suite": ("docs/suites.md",),
    "A sampler": (),
    "An engine": (),
}
"""The sections, each with the files that it lists and shows no change of."""

TUITION = ("-m", "tuition.app.cli")

Run = Callable[..., str]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository's code, compiled as it is here; what another process is just compiling stays behind."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("app", "benchmarks", "planner", "runners", "tests", "src"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def run(copy: Path) -> Run:
    """Run Python in the copy, on the copy's code; its standard output."""

    def _run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return _run


def apply(title: str, copy: Path) -> None:
    """Make a section's changes."""
    read = section(title)
    for change in read.changes:
        change.apply(copy)
    for path, text in read.data.items():
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_text(text)


def test_the_sections_are_those_that_are_tested() -> None:
    titles = [line for line in ADDING.read_text().splitlines() if line.startswith("## ")]
    assert titles == [f"## {title}" for title in SECTIONS]


@pytest.mark.parametrize(("title", "beside"), SECTIONS.items())
def test_the_changes_can_be_made_and_touch_the_files_that_are_listed(
    title: str, beside: tuple[str, ...], copy: Path
) -> None:
    read = section(title)
    assert read.listed == (*dict.fromkeys(change.path for change in read.changes), *beside)
    apply(title, copy)


def test_a_stage(copy: Path, run: Run) -> None:
    apply("A stage", copy)
    tried = json.loads(run("-m", "tests.docs.tried_in_copy", "stage", "refine"))
    assert tried["stages"] == ["teacher_rl", "warmup", "opd", "refine", "student_rl"]
    assert tried["settings"] == "TransferSettings"
    assert tried["keys"] == keys(ROUTE), "routes without the stage stay what they are"
    assert tried["present"] == [stage.name for stage in StageSettings().present], "and so do scenarios"


PIN_AND_TEST = """
import runpy, sys
import pytest
cases, sys.argv[1:] = sys.argv[1:], ["refine"]
runpy.run_module("tests.runners.training.pin_golden_curves", run_name="__main__")
sys.exit(pytest.main(cases))
"""


@pytest.mark.slow
def test_a_stage_trains(copy: Path, run: Run) -> None:
    """Its curves are pinned, and then all tests hold whose cases are the stages."""
    apply("A stage", copy)
    computes, pinned = "test_a_stage_computes_what_its_revision_computed[refine]", "test_every_stage_has_golden_curves"
    cases = ["tests/planner/test_stages.py", "tests/runners/scenarios/test_settings.py", "tests/runners/test_keys.py"]
    cases += [f"tests/runners/training/test_stages.py::{test}" for test in (computes, pinned)]
    # In one interpreter: another would import torch anew.
    told = run("-c", PIN_AND_TEST, "-p", "no:cacheprovider", *cases)
    assert re.search(r"^\d+ passed", told, re.MULTILINE), told
    assert "refine" in json.loads((copy / "tests/runners/training/golden_curves.json").read_text())


def test_a_suite(copy: Path, run: Run) -> None:
    apply("A suite", copy)
    (checked,) = json.loads(run(*TUITION, "suites", "check", "clocks", "--data-dir", "data", "--json"))["suites"]
    assert (checked["suite"], checked["status"]) == ("clocks@1", "matches")


def test_every_suite_has_a_row_in_its_document() -> None:
    rows = [line for line in (ROOT / "docs" / "suites.md").read_text().splitlines() if line.startswith("| `")]
    assert {*SUITES, *MICRO} <= {row.split("`")[1] for row in rows}


def test_a_sampler(copy: Path, run: Run) -> None:
    apply("A sampler", copy)
    tried = json.loads(run("-m", "tests.docs.tried_in_copy", "sampler", "genetic"))
    assert tried["broken"] == tried["whole"] and len(set(tried["whole"])) > 1
    assert "genetic" in run(*TUITION, "search", "--help"), "people find it"


@pytest.mark.slow
def test_an_engine(copy: Path, run: Run) -> None:
    apply("An engine", copy)
    bench = "bench --engine constant --model base:student --suite micro --limit 4 --samples 2 --json --quiet"
    (score,) = json.loads(run(*TUITION, *bench.split()))["scores"]
    assert score["suite"] == "micro-test@1/384[:4]" and score["verdicts"]["no_answer"] == 0
