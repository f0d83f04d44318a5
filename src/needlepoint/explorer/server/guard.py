"""Who may ask what: the token, the Host and Origin of a request, its size, and the answer's policy.

A page of another site can make a browser send requests to an address of this machine. It is kept
out by the Host header (a name that was pointed here), by the Origin and a header of our own
(requests that change something), and by a policy that lets nothing of another site into a page.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-needlepoint"
"""Every request that changes something has it; a page of another site cannot send it."""
MOST_BYTES = 4 * 1024 * 1024
"""Longest body of a request."""
TOO_LARGE = f"the request is too large; up to {MOST_BYTES // 2**20} MiB are read."
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Access:
    """Where the application listens, and the token that those who ask must have."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str = ""
    """Empty if none is asked for."""

    @classmethod
    def at(cls, host: str, port: int, *, always: bool = False) -> Access:
        """What is right for a host: a fresh token unless only this machine can reach it."""
        needed = always or not is_loopback(host)
        return cls(host, port, secrets.token_urlsafe(32) if needed else "")

    @property
    def url(self) -> str:
        """The address to open, with its token."""
        everywhere = self.host in ("0.0.0.0", "::")
        host = socket.gethostname() if everywhere else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token; browsers share cookies between ports."""
        return f"needlepoint-{self.port}"

    def knows(self, host: str) -> bool:
        """Whether a Host header names this application.

        Example:
            >>> here = Access()
            >>> here.knows("localhost:8765"), here.knows("evil.example:8765")
            (True, False)
        """
        try:
            parts = urlsplit(f"//{host}")
            name, port = (parts.hostname or "").lower(), parts.port or 80
        except ValueError:
            return False
        if port != self.port:
            return False
        if is_loopback(self.host):
            return name in _LOOPBACK or name == self.host.lower()
        own = {self.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        return name in own or name in _LOOPBACK or _is_address(name)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Guard:
    """Lets a request through to the application, or answers it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _headers(scope)
        answer = self._refusal(scope, headers)
        if answer is not None:
            await answer(scope, receive, _with_headers(send))
            return
        await self.app(scope, _bounded(receive), _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """The answer to a request that may not pass, or None."""
        if not self.access.knows(headers.get("host", "")):
            return PlainTextResponse("The explorer is not at this address.", 400)
        if self.access.token:
            answer = self._stranger(scope, headers)
            if answer is not None:
                return answer
        if scope["method"] not in ("GET", "HEAD"):
            if not _own(headers):
                return _error("requests that change something must come from its own pages.", 403)
            if not _short(headers):
                return _too_large()
        return None

    def _stranger(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """The answer to one who has no token, or comes with it for the first time."""
        if _equal(_cookie(headers.get("cookie", ""), self.access.cookie), self.access.token):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in query if name == "token"), "")
        if not _equal(given, self.access.token):
            return PlainTextResponse(
                "The explorer asks for its token: open the address that it printed when it "
                "started.",
                401,
            )
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # relative to this server, whatever the path begins with
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self.access.cookie, self.access.token, httponly=True, samesite="strict")
        return answer


def _own(headers: dict[str, str]) -> bool:
    """Whether a request comes from a page of this application."""
    if HEADER not in headers:
        return False
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin == f"http://{headers.get('host', '')}"


def _short(headers: dict[str, str]) -> bool:
    length = headers.get("content-length", "0")
    return length.isdecimal() and int(length[:20]) <= MOST_BYTES


def _bounded(receive: Receive) -> Receive:
    """Reads a body, but not more of it than there may be, whatever its length was said to be."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BYTES:
            raise HTTPException(413, TOO_LARGE)
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    """Adds the policy to an answer that has none of its own."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", ())}
            extra = [
                (name.encode(), value.encode())
                for name, value in HEADERS.items()
                if name.encode() not in there
            ]
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return sending


def _headers(scope: Scope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _error(sentence: str, status: int) -> Response:
    return JSONResponse({"error": sentence}, status)


def _too_large() -> Response:
    return _error(TOO_LARGE, 413)
