"""Knows which answers are being read: a run without a reader ends, the program only after its readers."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

from gradio.context import LocalContext

from mcm_core.engine import Cancel

READ_AGAIN_S = 30.0
"""So long a run goes on although nobody reads what it says: a browser may come back to it."""


class Delivery:
    """ASGI middleware, when called with an application, that counts its open streams of events.

    A stream lasts until the picture is there. For the page it is /queue/data?session_hash=SESSION, for other
    programs /call/NAME/EVENT. Gradio begins an event when it is posted, and goes on whether or not somebody
    opens its stream.
    """

    def __init__(self, patience_s: float = READ_AGAIN_S) -> None:
        self.patience_s = patience_s
        self._open: Counter[str] = Counter()
        self._left: dict[str, float] = {}

    @property
    def open(self) -> int:
        """Streams that are open now."""
        return self._open.total()

    def __call__(self, app: Any) -> Any:
        async def counted(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            scope["mcm.delivery"] = self
            reader = _reader(scope)
            if reader is None:
                return await app(scope, receive, send)
            self._open[reader] += 1
            try:
                await app(scope, receive, send)
            finally:
                self._leave(reader)
                _forget(scope, reader)

        return counted

    def _leave(self, reader: str) -> None:
        now = time.monotonic()
        self._open -= Counter([reader])
        self._left = {name: left for name, left in self._left.items() if now - left < self.patience_s}
        self._left[reader] = now

    def unread_since(self, readers: tuple[str, ...], begun: float) -> float | None:
        """When the last of these readers went, or `begun` if none ever came later; None while one reads."""
        if any(self._open[reader] for reader in readers):
            return None
        return max([begun, *(self._left.get(reader, 0.0) for reader in readers)])

    def wait(self, longest_s: float) -> None:
        """Until none is open, or so many seconds have passed."""
        end = time.monotonic() + longest_s
        while self.open and time.monotonic() < end:
            time.sleep(0.05)


def _reader(scope: Any) -> str | None:
    """The session, or the event, whose stream this request opens."""
    path = scope["path"].rstrip("/")
    if path.endswith("/queue/data"):
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
    if "/call/" in path and scope["method"] == "GET":
        return path.rpartition("/")[2]
    return None


def _forget(scope: Any, reader: str) -> None:
    """Gradio makes a session of each event of another program, and keeps only so many sessions: without this
    the visits of people would give way to them."""
    if "/call/" in scope["path"]:
        sessions = scope["app"].state_holder
        sessions.session_data.pop(reader, None)
        sessions.time_last_used.pop(reader, None)


class Heard:
    """A run's `Cancel` that is set, too, when nobody has read the run for longer than the patience."""

    def __init__(self, cancel: Cancel, delivery: Delivery, readers: tuple[str, ...]) -> None:
        self.cancel, self.delivery, self.readers = cancel, delivery, readers
        self.begun = time.monotonic()

    def is_set(self) -> bool:
        if self.cancel.is_set():
            return True
        since = self.delivery.unread_since(self.readers, self.begun)
        return since is not None and time.monotonic() - since > self.delivery.patience_s


def heard(cancel: Cancel) -> Cancel:
    """`cancel`, set also when nobody reads the event in whose handler this is called."""
    request = LocalContext.request.get(None)
    delivery = request.request.scope.get("mcm.delivery") if request and request.request else None
    if request is None or delivery is None:
        return cancel
    names = (request.session_hash, LocalContext.event_id.get(None))
    return Heard(cancel, delivery, tuple(name for name in names if name))
