"""Who may speak to the page, under which name, and how much may be uploaded, before Gradio sees any of it."""

from __future__ import annotations

import ipaddress
import os
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from .asking import SPACE

UPLOADS_AT_MOST = 512 * 2**20
"""Bytes of uploads in an hour from one address. Behind the proxy of a Space all come from one."""
ALL_UPLOADS_AT_MOST = 16 * UPLOADS_AT_MOST
"""Bytes of uploads in an hour from everywhere: so much room they take on the disk at once, and no more."""
HOUR_S, MINUTE_S = 3600.0, 60.0
FRAMES = "'self' https://huggingface.co https://*.hf.space"
POLICY = "; ".join(
    [
        "default-src 'self'",
        # Gradio makes functions of its components' scripts, and sizes its frame on a Space by one from there.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' https://cdnjs.cloudflare.com",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        f"frame-ancestors {FRAMES}",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


def _host(address: str) -> str:
    """The name in an address, "" where it has none or is no address."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


class Guard:
    """ASGI middleware. Addresses and `localhost` are names of the page that no stranger can give to another
    machine; other host names must be in `hosts`, or be the Space's (else a foreign page could reach a page on
    the reader's own machine by a name of its own: DNS rebinding). What changes something must come from the
    page itself.
    """

    def __init__(self, app: Any, hosts: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = {host.lower() for host in (*hosts, os.environ.get(SPACE, "")) if host}
        self._uploads = Uploads()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal is not None:
            status, text = refusal
            return await PlainTextResponse(text, status_code=status)(scope, receive, send)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, self._counted(scope, receive), with_headers)

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        """Status and text, where a request may not pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = _host(f"//{host}")
        if not self._is_ours(name):
            return (
                421,
                f"This page does not go by the name {name!r:.80}: start it with --allow-host {name:.80}",
            )
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and origin is not None:
            theirs = origin.partition("://")[2].lower()
            if theirs != host.lower() and _host(f"//{theirs}") not in self.hosts:
                return 403, "This comes from another page: open this one and try again there."
        if _uploads(scope) and self._uploads.are_spent(_address(scope)):
            return 429, "Too much was uploaded in the last hour: try again later."
        return None

    def _is_ours(self, name: str) -> bool:
        if name in self.hosts or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _counted(self, scope: Any, receive: Any) -> Any:
        """`receive`, which counts the bytes of an upload."""
        if not _uploads(scope):
            return receive

        async def counted() -> Any:
            message = await receive()
            self._uploads.add(_address(scope), len(message.get("body", b"")))
            return message

        return counted


class Uploads:
    """Bytes of the last hour by address, minute by minute: who sent nothing for an hour is forgotten."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[float, Counter[str]]] = deque()

    def __len__(self) -> int:
        """The numbers that are kept."""
        return sum(len(sent) for _, sent in self._minutes)

    def add(self, address: str, size: int) -> None:
        now = time.monotonic()
        self._forget(now)
        if not self._minutes or now >= self._minutes[-1][0] + MINUTE_S:
            self._minutes.append((now, Counter()))
        self._minutes[-1][1][address] += size

    def are_spent(self, address: str) -> bool:
        """Whether this address, or all together, may upload nothing more for now."""
        self._forget(time.monotonic())
        own = sum(sent[address] for _, sent in self._minutes)
        return own >= UPLOADS_AT_MOST or sum(sent.total() for _, sent in self._minutes) >= ALL_UPLOADS_AT_MOST

    def _forget(self, now: float) -> None:
        while self._minutes and self._minutes[0][0] < now - HOUR_S:
            self._minutes.popleft()


def _uploads(scope: Any) -> bool:
    return scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/upload")


def _address(scope: Any) -> str:
    return scope["client"][0] if scope.get("client") else ""
