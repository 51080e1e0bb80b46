"""Who is let in: names, origins and tokens, asked of the door itself, with nothing behind it but one word."""

import asyncio
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tuition.app.dashboard.addresses import Address, Rules, public_url
from tuition.app.dashboard.gate import Gate

TOKEN = "0123456789abcdef"
LOCAL = Address("localhost", 8501)
PROXIED = Address("localhost", 8501, public_url("https://lab.example.org/tuition"))
EVERYWHERE = Address("0.0.0.0", 8501)
Message = MutableMapping[str, Any]


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """What the door guards."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"results"})


def ask(rules: Rules, kind: str = "http", path: str = "/", query: str = "", **headers: str) -> list[Message]:
    """What the door answers to one request."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": f"{kind}.connect" if kind == "websocket" else "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": "GET", "path": path, "query_string": query.encode(), "headers": raw}
    # In a thread of its own: a browser's fixture may have a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(Gate(behind, rules)(scope, receive, send))).result()
    return sent


def status(rules: Rules, **request: str) -> int:
    """The status of a page and of the WebSocket alike, 403 for one that is not accepted; -1 where they differ."""
    page = int(ask(rules, **request)[0]["status"])
    socket = ask(rules, "websocket", **request)[0]["type"]
    return page if (page == 200) == (socket == "websocket.accept") else -1


@pytest.mark.parametrize("host", ["localhost:8501", "LOCALHOST", "127.0.0.1:8501", "[::1]:8501", "localhost."])
def test_this_machine_is_let_in_by_its_own_names(host: str) -> None:
    assert status(LOCAL.rules(None), host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil@localhost", "localhost:x", "localhost/x", "", "10.0.0.7", "["],
)
def test_foreign_host_names_are_refused(host: str) -> None:
    assert status(LOCAL.rules(None), host=host) == 403


def test_a_request_names_one_host() -> None:
    assert not LOCAL.rules(None).known_host([])
    assert not LOCAL.rules(None).known_host(["localhost", "evil.example"])


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8501", 200),
        ("http://localhost:9999", 403),  # another program of this machine
        ("http://evil.example", 403),
        ("http://localhost:8501.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_of_other_origins_are_refused(origin: str, expected: int) -> None:
    assert status(LOCAL.rules(None), host="localhost:8501", origin=origin) == expected


def test_a_proxy_may_keep_the_host_name_or_put_its_own() -> None:
    rules = PROXIED.rules(TOKEN)
    known = {"authorization": f"Bearer {TOKEN}", "origin": "https://lab.example.org"}
    assert status(rules, host="lab.example.org", **known) == 200
    assert status(rules, host="127.0.0.1:8501", **known) == 200
    assert status(rules, host="evil.example", **known) == 403
    assert status(rules, host="lab.example.org", **{**known, "origin": "https://other.example.org"}) == 403


def test_numbers_are_let_in_where_it_listens_everywhere_and_names_are_not() -> None:
    rules = EVERYWHERE.rules(TOKEN)
    for host, expected in {"10.0.0.7:8501": 200, "[fd00::7]:8501": 200, "evil.example": 403, "0.0.0.0.x": 403}.items():
        assert status(rules, host=host, authorization=f"Bearer {TOKEN}") == expected, host


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"cookie": "tuition-token-8501=0123456789abcdeX"}, 401),
        ({"cookie": f"tuition-token-8502={TOKEN}"}, 401),
        ({"cookie": f"tuition-token-8501={TOKEN}"}, 200),
        ({"authorization": f"bearer {TOKEN}"}, 200),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer \u00e9"}, 401),
    ],
)
def test_without_the_token_nothing_is_shown(headers: dict[str, str], expected: int) -> None:
    assert status(LOCAL.rules(TOKEN), host="localhost", **headers) == expected


def test_the_token_leaves_the_address_for_a_cookie_that_scripts_cannot_read() -> None:
    query = f"study=%230&token={TOKEN}&with="
    (started, _) = ask(PROXIED.rules(TOKEN), path="//evil.example/", query=query, host="lab.example.org")
    headers = {name.decode(): value.decode() for name, value in started["headers"]}
    assert started["status"] == 303 and headers["location"] == "?study=%230&with="
    assert headers["set-cookie"] == f"tuition-token-8501={TOKEN}; HttpOnly; Path=/tuition; SameSite=lax; Secure"
    assert status(PROXIED.rules(TOKEN), query="token=wrong", host="lab.example.org") == 401


def test_every_answer_forbids_the_browser_to_ask_other_servers() -> None:
    for host in ("localhost", "evil.example"):
        headers = dict(ask(LOCAL.rules(None), host=host)[0]["headers"])
        assert headers[b"content-security-policy"].startswith(b"default-src 'self'; ")
        assert b"http" not in headers[b"content-security-policy"] and b"*" not in headers[b"content-security-policy"]


def test_a_token_is_needed_wherever_others_could_ask() -> None:
    assert LOCAL.rules(None).token is None and Address("127.0.0.1", 1).rules(None).token is None
    made = [address.rules(None).token for address in (EVERYWHERE, PROXIED, Address("10.0.0.7", 1), EVERYWHERE)]
    assert all(token and len(token) >= 32 for token in made) and len(set(made)) == 4
    assert LOCAL.rules(TOKEN).token == TOKEN
    for weak in ("short", "x" * 15, "0123456789abcde;", "0123456789 abcdef"):
        with pytest.raises(ValueError, match="at least 16"):
            LOCAL.rules(weak)


@pytest.mark.parametrize(
    ("address", "link"),
    [
        (LOCAL, "http://localhost:8501/"),
        (Address("::1", 80), "http://[::1]:80/"),
        (Address("localhost", 8501, base_path="/user/me/proxy/8501/"), "http://localhost:8501/user/me/proxy/8501/"),
        (Address("localhost", 1, public_url("http://Lab:80/a/"), "b"), f"http://lab/a/?token={TOKEN}"),
        (Address("localhost", 1, public_url("https://lab:444"), "b"), f"https://lab:444/b/?token={TOKEN}"),
    ],
)
def test_the_printed_address_is_the_one_to_open(address: Address, link: str) -> None:
    assert address.link(address.rules(TOKEN if address.public else None)) == link


@pytest.mark.parametrize(
    "url", ["lab.example.org", "ftp://lab", "https://", "https://a@lab", "https://lab/?x", "http://[", "http://x:y"]
)
def test_a_proxys_address_is_whole(url: str) -> None:
    with pytest.raises(ValueError, match="no address such as"):
        public_url(url)
