"""Which request each visitor waits for: a newer one stops the older one."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field

_numbers = itertools.count(time.time_ns() // 1_000_000)
"""They grow on when the program is started again, so that an open page takes its views for newer ones."""


@dataclass(frozen=True, eq=False)
class Run:
    """One request of a page. Numbers grow in the order of beginning."""

    live: bool = False
    compares: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)
    number: int = field(default_factory=lambda: next(_numbers))


class Runs:
    """The current run of each session."""

    def __init__(self) -> None:
        self._current: dict[str | None, Run] = {}
        self._lock = threading.Lock()

    def begin(self, session: str | None, run: Run) -> None:
        """Makes `run` the session's own and stops the one before."""
        with self._lock:
            before = self._current.get(session)
            self._current[session] = run
        if before is not None:
            before.cancel.set()

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
