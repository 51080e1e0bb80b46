"""The door of the dashboard: it refuses foreign sites and whoever lacks the token, before Streamlit sees a request.

What: `Gate` is an ASGI middleware before all of Streamlit's routes: pages, files and the WebSocket, which carries the
results. It refuses foreign Host headers (a site whose name was pointed at this machine) and foreign Origins (a site
that connects from a reader's browser) and, where a token is set, whoever does not have it. The address that is printed
carries the token; the first answer puts it into a cookie and takes it out of the address. Each answer forbids the
browser to ask other servers.

Simplified: one token for all readers, valid until the server ends.
"""

from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuition.app.dashboard.addresses import Rules

TOKEN = "token"
HEADERS = {
    # Streamlit's pages set styles, and compile code, while they are shown.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
UNKNOWN_HOST = "Unknown host name: start `tuition app` with --public-url and the address in your browser.\n"
OTHER_SITE = "Requests of other sites are refused.\n"
NO_TOKEN = "This dashboard needs its token: open the address that `tuition app` has printed.\n"


class Gate:
    """The middleware: a request that breaks a rule never reaches Streamlit."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, redirect or refuse one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        answer = self._answer(HTTPConnection(scope))
        if answer is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # not yet accepted: the browser is told 403
        else:
            await answer(scope, receive, _with_headers(send))

    def _answer(self, asked: HTTPConnection) -> Response | None:
        rules, headers = self.rules, asked.headers
        if not rules.known_host(headers.getlist("host")):
            return PlainTextResponse(UNKNOWN_HOST, 403)
        if not rules.known_origins(headers.getlist("origin"), headers["host"]):
            return PlainTextResponse(OTHER_SITE, 403)
        if rules.token is None:
            return None
        if TOKEN in asked.query_params and rules.admits(asked.query_params[TOKEN]):
            return self._into_cookie(asked, rules.token)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if rules.admits(asked.cookies.get(rules.cookie)) or (scheme.lower() == "bearer" and rules.admits(bearer)):
            return None
        return PlainTextResponse(NO_TOKEN, 401, {"WWW-Authenticate": "Bearer"})

    def _into_cookie(self, asked: HTTPConnection, token: str) -> Response:
        rest = [(name, value) for name, value in asked.query_params.multi_items() if name != TOKEN]
        # Relative: the same page behind any proxy, and no path in the request can lead elsewhere.
        response = RedirectResponse(f"?{urlencode(rest)}", 303)
        secure = (self.rules.origin or "").startswith("https:")
        response.set_cookie(
            self.rules.cookie, token, path=self.rules.path, secure=secure, httponly=True, samesite="lax"
        )
        return response


def _with_headers(send: Send) -> Send:
    """The same, with HEADERS in each answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sent
