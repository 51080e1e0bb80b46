"""One server over one real study for all browser tests, and a fresh page for each."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.browser.served import CHROMIUM, PATIENCE_MS, REPOSITORY, Server, command, open_chromium, serve
from tests.runners.conftest import small_scenario_file

STUDY = "small-seed0"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; tests that need it are skipped where it is not installed."""
    if CHROMIUM is None:
        pytest.skip("no chromium: .ci/install-browser installs Debian's (root, apt)")
    pytest.importorskip("playwright", reason="no playwright: make setup installs it")
    with open_chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Micro's models and problems, with short blocks and small suites."""
    content = small_scenario_file()
    content["test"] = {"problems": {"micro": "test", "count": 24}, "samples": 4}
    path = tmp_path_factory.mktemp("scenario") / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="session")
def results(browser: Any, scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a real search leaves: its trials, its test, its report. Asked for after the browser: no search in vain."""
    folder = tmp_path_factory.mktemp("served") / "results"
    searching = command(
        "search", "--scenario", str(scenario), "--trials", "5", "--results", str(folder), "--study", STUDY, "--quiet"
    )
    ended = subprocess.run(searching, cwd=REPOSITORY, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return folder


@pytest.fixture(scope="session")
def server(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(results, tmp_path_factory.mktemp("server") / "server.log") as running:
        yield running


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of its own, wide and light."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()
