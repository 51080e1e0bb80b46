"""The wheel: what is in it, and that a search runs from it outside of the checkout.

Built without a network, and installed into a new environment that sees the packages of this one; a whole installation
with exact versions from requirements.lock is tried by hand (docs/reliability.md).
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.runners.conftest import tiny_scenario_file

from tuition.runners.scenarios.scenario_file import BUILT_IN

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "runners" / "scenarios"
PACKAGES = ("app", "benchmarks", "planner", "runners")  # folders of the repository, subpackages of `tuition`
# Without what an earlier build has left in the checkout: setuptools would take it along.
SOURCES = (*PACKAGES, "src", "tests", "docs", "pyproject.toml", "README.md", "LICENSE")


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / "source" / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(source, folder / "source" / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, folder / "source")
    [built] = folder.glob("*.whl")
    return built


def test_it_holds_the_packages_with_all_scenarios_and_checkpoints_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {info.filename: info.file_size for info in archive.infolist()}
    expected = {
        f"tuition/{path.relative_to(ROOT).as_posix()}": path.stat().st_size
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and (path.suffix == ".py" or SCENARIOS in path.parents) and "__pycache__" not in path.parts
    } | {
        f"tuition/{path.relative_to(ROOT).as_posix()}": path.stat().st_size
        # The paper's rows, the HTML page, leaderboards, and recorded tables.
        for pattern in (
            "reported/*.yaml",
            "boards/exports/*.j2",
            "measured_boards/*/leaderboard.json",
            "measured_boards/*/entries/*.json",
            "measured_boards/*/samples/*.parquet",
            "measured_planners/*/*.parquet",
            "recorded_tables/*.parquet",
        )
        for path in (ROOT / "benchmarks").glob(pattern)
    }
    expected |= {
        f"tuition/{name}": (ROOT / "src" / "tuition" / name).stat().st_size for name in ("__init__.py", "py.typed")
    }
    scenarios = "tuition/runners/scenarios"
    assert {f"{scenarios}/micro.yaml", f"{scenarios}/micro/teacher/model.safetensors"} <= expected.keys()
    assert {name: size for name, size in held.items() if ".dist-info/" not in name} == expected


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it; `run` starts one of its programs in an empty folder outside the checkout.

    `site` names what lies at the top of its site-packages.
    """

    folder: Path
    site: frozenset[str]
    run: Callable[..., str]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    environment, work = folder / "environment", folder / "work"
    work.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip("--python", environment / "bin" / "python", "install", "--no-deps", "--no-index", "--no-compile", wheel)
    [site] = environment.glob("lib/python*/site-packages")
    at_top = frozenset(path.name for path in site.iterdir())
    # Its .pth files are not read from there, so an editable installation of the checkout stays out of sight.
    others = {sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")}
    (site / "others.pth").write_text("\n".join(sorted(others)))
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(program: str, *arguments: str) -> str:
        command = [environment / "bin" / program, *arguments]
        result = subprocess.run(command, cwd=work, env=variables, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return Installed(work, at_top, run)


def test_only_tuition_lies_at_the_top_of_site_packages(installed: Installed) -> None:
    [information] = [name for name in installed.site if name.endswith(".dist-info")]
    assert information.startswith("tuition-") and installed.site == {"tuition", information}


PROGRAM = """
import io, json, os, runpy, sys
from contextlib import redirect_stdout
from pathlib import Path

import tuition
from tuition.runners.scenarios.scenario_file import BUILT_IN

command, scenario, built_in = sys.argv[1:]


def told(*arguments):
    # By the installed command, in this interpreter: another would import torch anew.
    sys.argv = [command, *arguments]
    with redirect_stdout(io.StringIO()) as output:
        try:
            runpy.run_path(command, run_name="__main__")
        except SystemExit as ended:
            assert not ended.code, ended.code
    return json.loads(output.getvalue())


assert told("doctor", "--json")["problems"] == []
assert os.listdir() == []

# Short blocks, but the wheel's own checkpoints.
Path("small.yaml").write_text(scenario.replace(built_in, str(BUILT_IN)))
searched = told("search", "-s", "small.yaml", "--sampler", "tpe", "--trials", "1", "--test-seeds", "0", "--json")
assert sorted(os.listdir()) == ["results", "small.yaml"]

# What the command has done, a program takes up.
scenario = tuition.load_scenario("small.yaml")
report = tuition.search("small.yaml", sampler="tpe", trials=1, test_seeds=0)
study = tuition.read_study(report.study)
[trial] = study.complete.itertuples()
done = tuition.run(trial.allocation, "small.yaml")
assert not any(use.executed for use in done.blocks), "the search has trained it"
assert tuition.plan("small.yaml", trials=1, test_seeds=0).search.to_train == 0
assert tuition.grade("7", r"\\boxed{7}").correct
assert len(tuition.read_table("micro@1")) > 600 and len(tuition.read_leaderboard("micro@1")) > 10
found = {"scenario": scenario.name, "state": trial.state, "executed": report.blocks.executed}
print(json.dumps({"places": [tuition.__file__, str(BUILT_IN)], "searched": searched, "program": found}))
"""


@pytest.mark.slow
def test_a_search_runs_from_the_wheel_in_an_empty_folder(installed: Installed) -> None:
    assert json.loads(installed.run("tuition", "scenarios", "micro", "--json"))["name"] == "micro"
    assert list(installed.folder.iterdir()) == []

    environment = installed.folder.parent / "environment"
    scenario = yaml.safe_dump(tiny_scenario_file(name="small"))
    assert str(ROOT) not in scenario.replace(str(BUILT_IN), "")
    told = installed.run("python", "-c", PROGRAM, str(environment / "bin" / "tuition"), scenario, str(BUILT_IN))
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    assert all(Path(place).is_relative_to(environment) for place in found["places"])

    report = found["searched"]
    assert report["trials"][0]["state"] == "complete"
    assert report["blocks"]["executed"] == report["blocks"]["distinct"] > 0
    stored = list(installed.folder.glob("results/store/[0-9a-f][0-9a-f]/*/record.json"))
    assert len(stored) == report["blocks"]["executed"]
    assert found["program"] == {"scenario": "small", "state": "complete", "executed": len(stored)}
