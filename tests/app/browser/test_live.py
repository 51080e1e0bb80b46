"""A search seen progressing in a real browser, while it runs."""

import re
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.browser.conftest import search_arguments
from tests.app.browser.served import Server, open_page
from tests.runners import forked_command

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

LIVE = "live"
PATIENCE_SECONDS = 150.0


@pytest.fixture
def searching(results: Path, scenario: Path, tmp_path: Path) -> Iterator[BaseProcess]:
    """A search in the folder that is being served, with blocks of so many steps that the page sees them."""
    content = yaml.safe_load(scenario.read_text())
    content["stages"] = {name: {**settings, "steps": 20} for name, settings in content["stages"].items()}
    longer = tmp_path / "longer.yaml"
    longer.write_text(yaml.safe_dump(content))
    process = forked_command.start(search_arguments(longer, results, LIVE, 40, "--seed", "5"), tmp_path / "search.log")
    yield process
    process.kill()
    process.join()


def test_a_running_search_is_seen_progressing(server: Server, searching: BaseProcess, results: Path, page: Any) -> None:
    wait_for(lambda: (results / "studies" / LIVE / "study.db").is_file(), searching)
    open_page(page, server.url("live", study=LIVE), "Live")
    page.evaluate("window.stayed = true")
    page.get_by_text(re.compile(r"Trial #\d+")).first.wait_for()
    page.get_by_text(re.compile(r"Block \d+ of \d+")).first.wait_for()
    page.get_by_text(re.compile(r"step \d+ of \d+")).first.wait_for()
    seen = [finished(page)]
    wait_for(lambda: seen.append(finished(page)) or seen[-1] > seen[0], searching)
    assert seen == sorted(seen)
    assert page.evaluate("window.stayed"), "the page was loaded anew"
    assert page.get_by_test_id("stException").count() == 0


def finished(page: Any) -> int:
    """Finished trials, as the page says."""
    text = page.get_by_text(re.compile(r"\d+( of \d+)? trials? finished")).first.inner_text()
    return int(text.split()[0])


def wait_for(condition: Any, searching: BaseProcess) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert searching.is_alive(), "the search has ended"
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        time.sleep(0.5)
