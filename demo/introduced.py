"""What other sites show of a link to the page. Gradio's own page introduces Gradio."""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

TITLE = "MCM: draw it"
DESCRIPTION = "Draw it, and a frozen diffusion model paints it: the picture follows drawing and words."
TAGS = "".join(
    f'<meta {kind}="{name}" content="{content}" />'
    for kind, name, content in (
        ("name", "description", DESCRIPTION),
        ("property", "og:type", "website"),
        ("property", "og:title", TITLE),
        ("property", "og:description", DESCRIPTION),
        ("name", "twitter:card", "summary"),
        ("name", "twitter:title", TITLE),
        ("name", "twitter:description", DESCRIPTION),
    )
)
THEIRS = re.compile(r'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>')


class Introduced:
    """ASGI middleware: the page's metadata of its own in place of what its framework says."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].endswith("/"):
            return await self.app(scope, receive, send)
        start: dict[str, Any] = {}
        body = b""

        async def rewritten(message: Any) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            if not _is_page(start):
                return await send(message)
            if message["type"] == "http.response.body":
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await _send_page(start, body, send)

        await self.app(scope, receive, rewritten)


def _is_page(start: Any) -> bool:
    headers = Headers(raw=start["headers"])
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers


async def _send_page(start: Any, body: bytes, send: Any) -> None:
    page = THEIRS.sub("", body.decode("utf-8")).replace("</head>", f"{TAGS}</head>", 1).encode("utf-8")
    MutableHeaders(scope=start)["content-length"] = str(len(page))
    await send(start)
    await send({"type": "http.response.body", "body": page})
