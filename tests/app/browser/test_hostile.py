"""What a model or a data set may have written, shown as the text that it is."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.app.browser.served import Server, open_page, serve
from tuition.benchmarks.artefacts import file_sha256

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

COMPLETION = r"""<script>window.hacked = 1</script><img src="http://attacker.invalid/a.png" onerror="window.hacked = 1">
[a link](javascript:window.hacked=1) <a href="javascript:window.hacked=1">another</a> http://attacker.invalid/b
![an image](http://attacker.invalid/c.png) $\href{javascript:window.hacked=1}{x}$ \(\url{http://attacker.invalid/d}\)
$\includegraphics{http://attacker.invalid/e.png}$ $\htmlStyle{color:red}{x}$ :red[colour] # heading **bold**
"""
EXTRACTED = "`</code><script>window.hacked = 1</script>`![x](http://attacker.invalid/f.png)"


@pytest.fixture(scope="module")
def hostile(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same study, with every completion and extracted answer replaced."""
    folder = tmp_path_factory.mktemp("hostile") / "results"
    shutil.copytree(results, folder)
    for path in (folder / "scores").rglob("samples.parquet"):
        frame = pd.read_parquet(path)
        frame["completion"], frame["extracted"] = COMPLETION, EXTRACTED
        frame.to_parquet(path)
        record = path.with_name("record.json")
        record.write_text(json.dumps({**json.loads(record.read_text()), "samples_sha256": file_sha256(path)}))
    with serve(folder, folder.parent / "server.log") as running:
        yield running


@pytest.mark.parametrize("raw", ["", "1"])
def test_completions_run_nothing_fetch_nothing_and_link_to_nothing(hostile: Server, page: Any, raw: str) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    link = hostile.url("compare", **{"with": "direct~opd-only", "ref": "direct", "raw": raw})
    open_page(page, link, "Compare")
    main = page.get_by_test_id("stMain")
    main.get_by_text("window.hacked").first.wait_for()
    assert page.evaluate("window.hacked === undefined")
    assert main.locator("script, iframe, object, embed, [onerror]").count() == 0
    assert main.locator("a[href^='javascript:'], a[href*=attacker], img[src*=attacker]").count() == 0
    assert not [url for url in requested if "attacker" in url]
    text = main.inner_text().replace("\u200b", "")
    for written in (
        "<script>window.hacked = 1</script>",
        "[a link](javascript:window.hacked=1)",
        r"\href{",
        "**bold**",
    ):
        assert written in text
