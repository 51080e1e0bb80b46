"""Where the dashboard is found, and who may ask it there.

What: `Address` is where it listens and what a proxy in front of it shows; `rules` says by which names, from which
pages and with which token it may be asked, and `link` what to open. `gate.py` enforces the rules.
"""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlencode, urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = ("0.0.0.0", "::")
TOKEN_PATTERN = re.compile(r"[A-Za-z0-9._~-]{16,}")  # our choice: nobody guesses 16 letters through a network
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Rules:
    """What a request must show.

    `hosts` are names and addresses of this server, without ports; with `any_address` every address in numbers passes
    as well, since no site can point its name at one and keep it. `origin` is that of a proxy in front, `path` where
    the pages are (begins with "/"), `cookie` the name under which browsers keep the token.
    """

    hosts: frozenset[str]
    any_address: bool
    origin: str | None
    path: str
    token: str | None
    cookie: str

    def known_host(self, headers: Sequence[str]) -> bool:
        """Whether these are one Host header, with a name or an address of this server."""
        name = _host_name(headers[0]) if len(headers) == 1 else None
        return name is not None and (name in self.hosts or (self.any_address and _is_address(name)))

    def known_origins(self, headers: Sequence[str], host: str) -> bool:
        """Whether each Origin (none is common) is this server's own or the proxy's."""
        own = {self.origin, f"http://{host}", f"https://{host}"}
        return all(origin in own for origin in headers)

    def admits(self, presented: str | None) -> bool:
        """Whether this is the token, or none is needed."""
        if self.token is None:
            return True
        return presented is not None and hmac.compare_digest(presented.encode(), self.token.encode())


@dataclass(frozen=True)
class Address:
    """Where the dashboard listens, and the parts of the URL where a proxy shows it (None without one).

    `base_path` is the path under which it answers if that URL has none.
    """

    host: str
    port: int
    public: SplitResult | None = None
    base_path: str = ""

    @property
    def path(self) -> str:
        """The path of the pages: "" or "/tuition"."""
        inside = ((self.public.path if self.public else "") or self.base_path).strip("/")
        return f"/{inside}" if inside else ""

    @property
    def name(self) -> str:
        """The host name in the browser."""
        if self.public is not None and self.public.hostname:
            return self.public.hostname
        return socket.gethostname() if self.host in EVERYWHERE else self.host

    def rules(self, token: str | None) -> Rules:
        """Who may ask; with a new token where others could reach it and none is given. ValueError for a weak one."""
        if token is not None and not TOKEN_PATTERN.fullmatch(token):
            raise ValueError("give a token of at least 16 letters, digits, '.', '_', '~' and '-'")
        if token is None and (self.public is not None or not _is_loopback(self.host)):
            token = secrets.token_urlsafe(32)
        return Rules(
            hosts=LOOPBACK | {self.name.lower(), self.host.lower()} - {*EVERYWHERE},
            any_address=self.host in EVERYWHERE,
            origin=f"{self.public.scheme}://{self.public.netloc}" if self.public else None,
            path=self.path or "/",
            token=token,
            cookie=f"tuition-token-{self.port}",
        )

    def link(self, rules: Rules) -> str:
        """What to open in the browser, with the token."""
        origin = rules.origin or f"http://{f'[{self.name}]' if ':' in self.name else self.name}:{self.port}"
        query = f"?{urlencode({'token': rules.token})}" if rules.token else ""
        return f"{origin}{self.path}/{query}"


def public_url(url: str) -> SplitResult:
    """The parts of a proxy's URL, without a port that goes without saying; ValueError for what is no such URL."""
    refused = ValueError(f"{url!r} is no address such as https://lab.example.org/tuition")
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        raise refused from None
    if parts.scheme not in PORTS or not name or "@" in parts.netloc or parts.query or parts.fragment:
        raise refused
    shown = f"[{name}]" if ":" in name else name
    return parts._replace(netloc=shown if port in (None, PORTS[parts.scheme]) else f"{shown}:{port}")


def _host_name(header: str) -> str | None:
    """The name or address in a Host header, in lower case; None where it holds more than host and port."""
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # ValueError for what is no port
    except ValueError:
        return None
    if parts.netloc != header or "@" in header:
        return None
    return (parts.hostname or "").rstrip(".") or None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
