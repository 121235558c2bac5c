"""Requests that Gradio fails on instead of refusing them: unknown events, nameless uploads, NaN, hang-ups."""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import JSONResponse

WORDS = "This request cannot be read. /?view=api says what one looks like."

log = logging.getLogger(__name__)


class Malformed:
    """ASGI middleware: such a request is answered in words (400), and takes one line of the log."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        has_begun = False

        async def noted(message: Any) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if has_begun:
                raise
            log.warning("A request to %s could not be read: %s", scope["path"], repr(error)[:200])
            await JSONResponse({"detail": WORDS}, status_code=400)(scope, receive, send)
