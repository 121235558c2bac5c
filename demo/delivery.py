"""Knows which answers are still on their way, so that the program does not end before they have arrived."""

from __future__ import annotations

import time
from typing import Any

STREAMS = ("/queue/data", "/call/")
"""Parts of the paths whose answers last until the picture is there: for the page, and for other programs."""


class Delivery:
    """ASGI middleware, when called with an application, that counts its open streams of events."""

    def __init__(self) -> None:
        self.open = 0

    def __call__(self, app: Any) -> Any:
        async def counted(scope: Any, receive: Any, send: Any) -> None:
            stream = scope["type"] == "http" and any(part in scope["path"] for part in STREAMS)
            self.open += stream
            try:
                await app(scope, receive, send)
            finally:
                self.open -= stream

        return counted

    def wait(self, longest_s: float) -> None:
        """Until none is open, or so many seconds have passed."""
        end = time.monotonic() + longest_s
        while self.open and time.monotonic() < end:
            time.sleep(0.05)
