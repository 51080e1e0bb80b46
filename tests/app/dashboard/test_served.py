"""A real server behind a proxy's address: what its answers are, and that results reach nobody without the token."""

import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.app.browser.served import REPOSITORY, Server, free_port, serve

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("served")]

TOKEN = "a-token-of-the-tests"
HOST = "lab.example.org"
NGINX = shutil.which("nginx")
KNOWN = {"Host": HOST, "Origin": f"http://{HOST}", "Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def served(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """The small study under a proxy's address, and the server's log."""
    log = tmp_path_factory.mktemp("served") / "server.log"
    with serve(made, log, "--public-url", f"http://{HOST}/tuition", TUITION_APP_TOKEN=TOKEN) as server:
        yield server, log


def get(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def first_page(url: str, headers: dict[str, str]) -> str:
    """What the WebSocket sends of the first page, as the pages' own script asks for it."""
    parts = urlsplit(url)
    with connect(
        f"ws://{headers['Host']}{parts.path}/_stcore/stream", origin=headers.get("Origin"), subprotocols=["streamlit"],
        additional_headers={"Authorization": headers["Authorization"]}, max_size=None, open_timeout=60,
        sock=socket.create_connection((parts.hostname, parts.port)),
    ) as opened:  # fmt: skip
        request = BackMsg()
        request.rerun_script.query_string = ""
        opened.send(request.SerializeToString())
        said = []
        while True:
            message = ForwardMsg.FromString(opened.recv(timeout=120))
            said.append(str(message.delta))
            if message.WhichOneof("type") == "script_finished":
                return "\n".join(said)


def test_pages_and_results_are_served_below_the_path_to_whoever_has_the_token(served: tuple[Server, Path]) -> None:
    server, log = served
    assert get(f"{server.address}/tuition/_stcore/health", KNOWN)[0] == 200
    status, page = get(f"{server.address}/tuition/decision?study=x", KNOWN)
    script = re.search(r'src="\./(static/js/[^"]+)"', page)
    assert status == 200 and script is not None
    assert get(f"{server.address}/tuition/{script[1]}", KNOWN)[0] == 200
    assert get(f"{server.address}/_stcore/health", KNOWN)[0] == 404
    assert "Recommended: 16 labels to the teacher" in first_page(f"{server.address}/tuition", KNOWN)
    assert f"Open http://{HOST}/tuition/?token={TOKEN}" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Authorization": "Bearer another-token-of-them"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_others_get_neither_pages_nor_results(
    served: tuple[Server, Path], changes: dict[str, str], status: int
) -> None:
    server, _ = served
    for path in ("", "decision", "_stcore/health", "_stcore/metrics", "_stcore/host-config", "media/x.csv"):
        found, text = get(f"{server.address}/tuition/{path}", {**KNOWN, **changes})
        assert found == status and len(text) < 200, path
    with pytest.raises(InvalidStatus, match="HTTP 403"):
        first_page(f"{server.address}/tuition", {**KNOWN, **changes})


@contextmanager
def nginx(server: Server, folder: Path) -> Iterator[str]:
    """The configuration of docs/dashboard.md before the server; the address of the proxy."""
    documented = re.search(r"```nginx\n(.*?)```", (REPOSITORY / "docs/dashboard.md").read_text(encoding="utf-8"), re.S)
    assert documented is not None
    location = documented[1].replace("http://127.0.0.1:8501", server.address.replace("localhost", "127.0.0.1"))
    assert location != documented[1]
    port, temporary = (
        free_port(),
        "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\nserver {{ listen 127.0.0.1:{port};\n{location}}} }}\n"
    )
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.skipif(NGINX is None, reason="no nginx (Debian's package nginx-light)")
def test_the_documented_proxy_serves_pages_and_results(served: tuple[Server, Path], tmp_path: Path) -> None:
    with nginx(served[0], tmp_path) as proxy:
        for _ in range(100):
            try:
                found = get(f"{proxy}/tuition/", KNOWN)
                break
            except urllib.error.URLError:  # it has not bound its port yet
                time.sleep(0.1)
        assert found[0] == 200 and "<title>Streamlit</title>" in found[1]
        assert "Recommended: 16 labels to the teacher" in first_page(f"{proxy}/tuition", KNOWN)
        assert get(f"{proxy}/tuition/", {**KNOWN, "Authorization": ""})[0] == 401
        assert get(f"{proxy}/tuition/", {**KNOWN, "Host": "evil.example"})[0] == 403
