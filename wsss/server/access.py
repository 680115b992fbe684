"""Access control for a local page: a token in its address, the Host header, and the Origin of requests that write.

Any page that is open in the user's browser can send requests to this machine. Such requests are refused: they lack the
token, their Host header is not an allowed name (DNS rebinding), and JSON from another origin needs a CORS preflight,
which fails.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse

from wsss.io.text.printable import one_line

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every response: only this server's own files are loaded, and no Referer header is sent."""


def new_token() -> str:
    """Return a random token of 128 bits for an address."""
    return secrets.token_urlsafe(16)


class RequireToken:
    """Middleware below a route with the path parameter ``token``: 404 without the right token, as for any other path.

    The Origin header, if present, must match the host and port of the Host header, whose name is validated earlier.
    The port is that of the browser, which differs from the server's behind a forwarded port (``ssh -L``).
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        token = scope.get("path_params", {}).get("token", "")
        headers = Headers(scope=scope)
        origin, expected = headers.get("origin"), f"http://{headers.get('host', '')}"
        if not secrets.compare_digest(token.encode(errors="replace"), self.token):
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        elif origin is not None and origin.lower() != expected.lower():
            reason = f"Invalid Origin header: {one_line(origin)}; expected {one_line(expected)}."
            await JSONResponse({"error": reason}, status_code=403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class SecurityHeaders:
    """Middleware that adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)
