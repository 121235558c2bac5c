"""Many jobs, one device: a fair line, cancelling, deadlines, and errors that people can read.

    engine = Engine(pipeline.paint, max_waiting=16, deadline_s=120)
    for event in engine.generate(request.resolved(base, modulator), cancel):   # Waiting* Step* Result
        ...

Clients take turns (see `mcm_core.line`), and none of them may fill the line: there is a bound for a session
and one for an address. A job is whatever the stream takes: the engine does not look into it, so that it has
to be judged before. It runs in its caller's thread, alone on its device; what it makes depends on nothing but
the job. Closing the generator early gives the device back at once.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from mcm_core.drawing.conditions import InputError
from mcm_core.line import Client, Line

if TYPE_CHECKING:
    from mcm_core.pipeline import Result, Step

POLL_S = 0.1
"""How soon a waiting request notices that it was cancelled."""
TELL_S = 0.2
"""How long a place stands, times the place: else each of two hundred is told of every move of the line."""
ABANDONED_S = 30.0
"""A job whose reader did not come back for so long loses its place, or its device, to those who wait."""

log = logging.getLogger(__name__)


class EngineError(RuntimeError):
    """A job that gave no picture. The message is short and safe to show to people."""


class Busy(EngineError):
    """Refused: the line is full, or the program is about to end."""


class Cancelled(EngineError):
    """Stopped because the caller, or the end of the program, asked for it."""


class TimedOut(EngineError):
    """Stopped at the deadline."""


class Failed(EngineError):
    """Something broke: out of memory, numbers that are not finite, a defect."""


class Cancel(Protocol):
    """Such as a `threading.Event`: a job ends at its next step once this says that it is set."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True)
class Waiting:
    """The job stands in line; place 1 is next. A place can grow: somebody new takes a turn before the third
    request of somebody else."""

    place: int


Job = TypeVar("Job")

if TYPE_CHECKING:
    Event = Waiting | Step | Result
    Stream = Callable[[Job, Callable[[], bool]], Generator[Step]]
    """What a device does with a job, until the function that it is given says that it should stop."""


@dataclass(eq=False)
class _Ticket:
    """A job's place in line, and then on a device."""

    cancel: Cancel
    client: Client
    seen: float
    """When its reader was last here; infinite while it computes."""
    joined: float = field(default_factory=time.monotonic)
    started: float = 0.0
    steps: Generator[Step] | None = None


class Engine(Generic[Job]):
    """Runs jobs on streams, one at a time on each; clients take turns.

    Args:
        streams: such as `MCMPipeline.paint`, one per device. Several of the same models serve the same line.
        max_waiting: how many jobs may stand in line besides those that run.
        deadline_s: how long one job may run, in seconds; waiting does not count.
        max_of_session: how many of them may be of one session; half of the line unless told.
        max_of_address: the same for an address; three quarters of the line unless told.
    """

    def __init__(
        self,
        *streams: Stream[Job],
        max_waiting: int = 16,
        deadline_s: float = 300.0,
        max_of_session: int | None = None,
        max_of_address: int | None = None,
    ) -> None:
        self.max_waiting, self.deadline_s = max_waiting, deadline_s
        self.max_of_session = (max_waiting + 1) // 2 if max_of_session is None else max_of_session
        self.max_of_address = (3 * max_waiting + 3) // 4 if max_of_address is None else max_of_address
        self.holds = max_waiting + len(streams)
        """Jobs in line and on devices, at most."""
        self._free = list(streams)
        self._line: Line[_Ticket] = Line()
        self._running: dict[_Ticket, Stream[Job]] = {}
        self._handed: set[_Ticket] = set()
        """Those whose readers have the result and did not come back yet."""
        self._changed = threading.Condition()
        self._draining = False
        self._stopping = False

    @property
    def running(self) -> int:
        """Jobs on a device now."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Jobs in line now."""
        return len(self._line)

    def generate(
        self, job: Job, cancel: Cancel | None = None, client: Client | None = None
    ) -> Generator[Event]:
        """`Waiting` as the place in line changes, the further back the more seldom; a `Step` per denoising
        step, and at last a `Result`.

        Args:
            job: what to make.
            cancel: set it from any thread, and the job ends at its next step.
            client: who asks; None is somebody new each time.

        Raises:
            EngineError: Busy, Cancelled, TimedOut or Failed.
        """
        who = Client(session=object()) if client is None else client
        ticket = _Ticket(threading.Event() if cancel is None else cancel, who, time.monotonic())
        try:
            self._join(ticket)
            stream = yield from self._wait(ticket)
            result = yield from self._run(ticket, stream, job)
            self._hand_over(ticket)
            yield result  # while the next job has the device
        finally:
            self._release(ticket)

    def drain(self, timeout_s: float = 30.0, grace_s: float = 5.0) -> bool:
        """Refuse new jobs, let the running ones end, then stop them; True if none is left.

        Waiting jobs are refused at once. Running ones have `timeout_s` seconds, and then `grace_s` more
        to notice that they must stop at their next step. A job has ended when its reader is done with its
        result: whoever ends the program after this loses no picture.
        """
        with self._changed:
            self._draining = True
            self._changed.notify_all()
            ended = self._changed.wait_for(self._is_idle, timeout_s)
            self._stopping = True
            return ended or self._changed.wait_for(self._is_idle, grace_s)

    def _is_idle(self) -> bool:
        return not self._running and not self._handed

    # -- the line ------------------------------------------------------------------------------------------

    def _join(self, ticket: _Ticket) -> None:
        with self._changed:
            self._refuse_when_draining()
            self._drop_abandoned()
            self._refuse_when_full(ticket.client)
            self._line.join(ticket, ticket.client)

    def _refuse_when_full(self, client: Client) -> None:
        about_to_start = len(self._free)
        if (own := self._line.of_session(client)) >= self.max_of_session + about_to_start:
            raise Busy(
                f"{own} of your requests are waiting already, as many as one visitor may have in line."
            )
        if client.address is not None:
            near = self._line.of_address(client)
            if near >= self.max_of_address + about_to_start:
                raise Busy(f"{near} requests from your address are waiting already. Try again in a minute.")
        if len(self._line) >= self.max_waiting + about_to_start:
            raise Busy(f"{len(self._line)} requests are waiting already. Try again in a minute.")

    def _wait(self, ticket: _Ticket) -> Generator[Waiting, None, Stream[Job]]:
        """Ends with a stream for the ticket alone."""
        known, stands_until = 0, 0.0
        while True:
            with self._changed:
                place = self._place(ticket)
                if place <= len(self._free):
                    return self._start(ticket)
                if place == known or ticket.seen < stands_until:
                    self._changed.wait(POLL_S)
                    continue
            known, stands_until = place, ticket.seen + TELL_S * place
            yield Waiting(place)

    def _place(self, ticket: _Ticket) -> int:
        """The ticket's place in line, from 1, unless it must not go on waiting."""
        ticket.seen = time.monotonic()
        self._refuse_when_draining()
        if ticket.cancel.is_set():
            raise Cancelled("Stopped.")
        self._drop_abandoned()
        if ticket not in self._line:
            raise _abandoned()
        if ticket.seen - ticket.joined > self.deadline_s * (self.max_waiting + 1):
            raise TimedOut("The line did not move. Try again in a minute.")
        return self._line.order().index(ticket) + 1

    def _start(self, ticket: _Ticket) -> Stream[Job]:
        self._line.take(ticket)
        stream = self._running[ticket] = self._free.pop()
        ticket.started, ticket.seen = time.monotonic(), math.inf
        self._changed.notify_all()
        return stream

    def _hand_over(self, ticket: _Ticket) -> None:
        """The device to the next job, and the result to the reader."""
        with self._changed:
            self._release(ticket)
            self._handed.add(ticket)

    def _release(self, ticket: _Ticket) -> None:
        with self._changed:
            if ticket in self._line:
                self._line.leave(ticket)
            if ticket in self._running:
                if ticket.steps is not None:
                    ticket.steps.close()
                self._free.append(self._running.pop(ticket))
            self._handed.discard(ticket)
            self._changed.notify_all()

    def _drop_abandoned(self) -> None:
        """Take their places, and their devices, from those whose readers are gone without closing."""
        oldest = time.monotonic() - ABANDONED_S
        for ticket in [ticket for ticket in self._line.order() if ticket.seen < oldest]:
            self._line.leave(ticket)
        for ticket in [ticket for ticket in self._running if ticket.seen < oldest]:
            with contextlib.suppress(ValueError):  # it is at work again
                self._release(ticket)

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise Busy("The program is about to end and takes no more requests. Try again in a minute.")

    # -- one job -------------------------------------------------------------------------------------------

    def _run(self, ticket: _Ticket, stream: Stream[Job], job: Job) -> Generator[Step, None, Result]:
        failure: EngineError | None = None
        result: Result | None = None
        try:
            ticket.steps = stream(job, lambda: self._why_stop(ticket) is not None)
            for step in ticket.steps:
                result = step.result
                ticket.seen = time.monotonic()
                yield step
                ticket.seen = math.inf
        except (InputError, EngineError):
            raise
        except Exception as error:
            failure = _explained(error)
        # Raised out here: inside, it would hold on to the error, and with it to the memory of its frames.
        if failure is not None:
            _free_memory()
            raise failure
        if result is None:
            raise self._why_stop(ticket) or Failed("The run ended without a picture. Try again.")
        return result

    def _why_stop(self, ticket: _Ticket) -> EngineError | None:
        if ticket not in self._running:
            return _abandoned()
        if ticket.cancel.is_set():
            return Cancelled("Stopped.")
        if self._stopping:
            return Cancelled("The program is about to end. Try again in a minute.")
        if time.monotonic() - ticket.started > self.deadline_s:
            return TimedOut(f"Stopped after {self.deadline_s:g} seconds. Take fewer steps or a smaller size.")
        return None


def drain_on_sigterm(engine: Engine, after: Callable[[], object], timeout_s: float = 30.0) -> None:
    """On SIGTERM drain the engine in a thread of its own, and then call `after`. For the main thread."""

    def drain() -> None:
        engine.drain(timeout_s)
        after()

    def start(signum: int, frame: FrameType | None) -> None:
        threading.Thread(target=drain, name="drain").start()

    signal.signal(signal.SIGTERM, start)


def _abandoned() -> Cancelled:
    return Cancelled("Nobody was reading this request, and others were waiting. Send it again.")


def _explained(error: Exception) -> EngineError:
    """A short message in place of an unexpected error, which goes to the log."""
    from mcm_core.control import NotFiniteError

    if _is_out_of_memory(error):
        log.warning("Out of memory: %s", str(error))  # the text alone: a handler may keep what it is given
        return Failed("There is not enough memory for this. Take a smaller size or fewer pictures at once.")
    if isinstance(error, NotFiniteError):
        log.warning("%s", error)
        return Failed(str(error))
    log.error("A request failed", exc_info=error)
    return Failed(
        "Something went wrong; the log has the details. If it happens again, change scheduler, size or model."
    )


def _is_out_of_memory(error: Exception) -> bool:
    words = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "out of memory" in words
        or "can't allocate memory" in words
        or "not enough memory" in words
    )


def _free_memory() -> None:
    """Give back what a failed run left, so that the next one finds the device empty."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
