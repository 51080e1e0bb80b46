"""A results folder served by `tuition app`, and Debian's Chromium to look at it with."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
START_SECONDS = 280.0  # our choice: a busy machine imports for minutes
PATIENCE_MS = 60_000
REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Server:
    """A running `tuition app`."""

    address: str
    pid: int

    def url(self, page: str = "", **query: str) -> str:
        """A page's address."""
        return f"{self.address}/{page}" + (f"?{urlencode(query)}" if query else "")

    def peak_memory_bytes(self) -> int:
        """The most memory that its process has held so far."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port: int = listener.getsockname()[1]
        return port


def command(*arguments: str) -> list[str]:
    """`tuition` with arguments, of this working tree."""
    return [sys.executable, "-m", "tuition.app.cli", *arguments]


@contextmanager
def serve(results: Path, log: Path, *options: str, **environment: str) -> Iterator[Server]:
    """Serve a results folder until the end of the block; what the server writes goes to `log`."""
    port = free_port()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command("app", str(results), "--port", str(port), *options), cwd=REPOSITORY, stdout=file,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, stderr=subprocess.STDOUT,
        )  # fmt: skip
    server = Server(f"http://localhost:{port}", process.pid)
    try:
        _wait_until_ready(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.address}/_stcore/health", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it refuses whoever asks like this
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"tuition app did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")


@contextmanager
def open_chromium() -> Iterator[Any]:
    """A Playwright browser on Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def open_page(page: Any, url: str, title: str) -> None:
    """Open an address and wait for its page: its heading is there and the script has come to its end."""
    page.goto(url)
    page.get_by_role("heading", name=title, exact=True, level=1).wait_for(timeout=PATIENCE_MS)
    settle(page)


def settle(page: Any) -> None:
    """Wait until the script of the page has run and its elements, some of which load late, are there."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=PATIENCE_MS)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')", timeout=PATIENCE_MS)
