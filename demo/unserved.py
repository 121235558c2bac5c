"""Pages that Gradio serves by itself and that this program does not want to serve."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse

PAGES = ("/openapi.json",)


class Unserved:
    """ASGI middleware: 404 for `PAGES`, under whatever prefix."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith(PAGES):
            await PlainTextResponse("Not found", status_code=404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
