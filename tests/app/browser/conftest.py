"""One server over one real study for all browser tests, and a fresh page for each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.app.browser.served import CHROMIUM, PATIENCE_MS, Server, open_chromium, serve
from tests.runners import forked_command
from tests.runners.conftest import small_scenario_file

STUDY = "small-seed0"
SEARCH_SECONDS = 280.0


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
    """Micro's models and problems, with few short blocks and small suites."""
    content = small_scenario_file()
    content["labels"]["count"] = 2 * content["labels_per_block"]
    content["test"] = {"problems": {"micro": "test", "count": 24}, "samples": 4}
    path = tmp_path_factory.mktemp("scenario") / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def search_arguments(scenario: Path, results: Path, study: str, trials: int, *more: str) -> list[str]:
    """What `tuition` is told for a real search."""
    told = ["--scenario", str(scenario), "--results", str(results), "--study", study, "--trials", str(trials)]
    return ["search", *told, "--quiet", *more]


@pytest.fixture(scope="session")
def results(browser: Any, scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a real search leaves: its trials, its test, its report. Asked for after the browser: no search in vain."""
    folder = tmp_path_factory.mktemp("served") / "results"
    output = folder.with_name("output")
    searching = forked_command.start(search_arguments(scenario, folder, STUDY, 5), output)
    searching.join(SEARCH_SECONDS)
    searching.kill()  # should it not have ended
    assert searching.exitcode == 0, output.read_text()[-2000:]
    return folder


@pytest.fixture(scope="session")
def server(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(results, tmp_path_factory.mktemp("server") / "server.log") as running:
        yield running


@pytest.fixture(scope="session")
def context(browser: Any) -> Iterator[Any]:
    """A wide and light window, one for all tests: it keeps the pages' scripts, which take seconds to be compiled."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """A page of its own. It must ask this machine alone, and open no dialogue."""
    hosts: set[str] = set()
    dialogues: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    refused: list[str] = []
    page.on("console", lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("dialog", lambda dialogue: (dialogues.append(dialogue.message), dialogue.dismiss()))
    yield page
    for opened in context.pages:
        opened.close()
    assert hosts <= {"localhost", ""}, f"the page asked {hosts}"
    assert not dialogues
    assert not refused, "the page needs what its policy forbids"
