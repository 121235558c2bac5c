"""Which request each visitor waits for: a newer one stops the older one."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field

from mcm_core.request import Request

_numbers = itertools.count(time.time_ns() // 1_000_000)
"""They grow on when the program is started again, so that an open page takes its views for newer ones."""


@dataclass(frozen=True, eq=False)
class Run:
    """One request of a page. Numbers grow in the order of beginning, revisions with the page's changes.

    `moves`: it is a draft while the brush moves, which the next one of the kind does not stop.
    """

    live: bool = False
    moves: bool = False
    revision: int = 0
    compares: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)
    number: int = field(default_factory=lambda: next(_numbers))


def difference(asked: Request, shown: Request) -> str:
    """What differs: "drawing", "words" or ""; settings do not count."""
    if asked.conditions != shown.conditions:
        return "drawing"
    words = [(request.prompt, request.negative_prompt) for request in (asked, shown)]
    return "words" if words[0] != words[1] else ""


class Runs:
    """The current run of each session."""

    def __init__(self) -> None:
        self._current: dict[str | None, Run] = {}
        self._revisions: dict[str | None, int] = {}
        self._asked: dict[str | None, Request] = {}
        self._lock = threading.Lock()

    def begin(self, session: str | None, run: Run) -> None:
        """Makes `run` the session's own and stops the one before, unless both follow the brush. One that was
        asked for before that, and begins only now, is stopped itself: the page passes over its views."""
        with self._lock:
            other = self._current.get(session, run)
            older, newer = sorted((run, other), key=lambda one: one.number)
            self._current[session] = newer
            self._revisions[session] = max(run.revision, self._revisions.get(session, 0))
        if older is not newer and not (run.moves and other.moves):
            older.cancel.set()

    def hear(self, session: str | None, asked: Request, revision: int = 0) -> None:
        """Notes what the page asks for now, unless it comes late: as `begin`, but nothing is painted."""
        with self._lock:
            if revision and revision < self._revisions.get(session, 0):
                return
            self._revisions[session] = max(revision, self._revisions.get(session, 0))
            self._asked[session] = asked

    def stale(self, session: str | None, shown: Request | None) -> str:
        """What has changed since a picture was asked for: "drawing", "words" or ""."""
        with self._lock:
            asked = self._asked.get(session)
        return "" if asked is None or shown is None else difference(asked, shown)

    def is_late(self, session: str | None, run: Run) -> bool:
        """Whether a later change of the page was heard of before."""
        with self._lock:
            return run.revision < self._revisions.get(session, 0)

    def forget(self, session: str | None) -> None:
        """Stops the session's run; nothing is kept of it."""
        self.stop(session)
        with self._lock:
            self._revisions.pop(session, None)
            self._asked.pop(session, None)

    def stop(self, session: str | None, live_only: bool = False) -> Run | None:
        """Stops the session's run, and returns it."""
        with self._lock:
            run = self._current.get(session)
            if run is None or (live_only and not run.live):
                return None
            del self._current[session]
        run.cancel.set()
        return run

    def end(self, session: str | None, run: Run) -> None:
        with self._lock:
            if self._current.get(session) is run:
                del self._current[session]
