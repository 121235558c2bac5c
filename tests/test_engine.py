"""Many requests, one device: order, cancelling, deadlines, failures, draining."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mcm_core import engine as engine_module
from mcm_core.base import Base
from mcm_core.control import NotFiniteError
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError
from mcm_core.engine import Busy, Cancelled, Engine, Failed, TimedOut, Waiting
from mcm_core.line import Client
from mcm_core.pipeline import MCMPipeline, Result
from mcm_core.request import Request
from tests import tiny

PATIENCE_S = 60.0
"""After so long a test fails for a state that never came; none of them goes on because time has passed."""


@dataclass
class Clockwork:
    """Stands in for `MCMPipeline.paint`: `request.steps` steps, each of which waits until it is let go."""

    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(10**6))
    fault: Callable[[], None] = lambda: None
    active: int = 0
    most_active: int = 0
    begun: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)

    def __call__(self, request: Request, should_stop: Callable[[], bool]) -> Iterator[SimpleNamespace]:
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        self.begun.append(request.seeds[0])
        try:
            for index in range(request.steps):
                assert self.gate.acquire(timeout=PATIENCE_S), "the test forgot to let the step go"
                if should_stop():
                    return
                self.fault()
                done = f"picture {request.seeds[0]}" if index == request.steps - 1 else None
                yield SimpleNamespace(index=index, result=done)
        finally:
            self.active -= 1
            self.closed.append(request.seeds[0])


def request(seed: int = 0, steps: int = 3) -> Request:
    return Request(seeds=(seed,), steps=steps)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


class InThread:
    """A request read to its end in a thread: its events, and what it raised."""

    def __init__(
        self,
        engine: Engine,
        wanted: Request,
        cancel: threading.Event | None = None,
        client: Client | None = None,
    ) -> None:
        self.events: list[object] = []
        self.error: BaseException | None = None
        self.cancel = cancel or threading.Event()
        self.thread = threading.Thread(target=self._read, args=(engine, wanted, client))
        self.thread.start()

    def _read(self, engine: Engine, wanted: Request, client: Client | None) -> None:
        try:
            for event in engine.generate(wanted, self.cancel, client):
                self.events.append(event)
        except Exception as error:
            self.error = error

    def join(self) -> InThread:
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        return self


class TestOneRequest:
    def test_steps_and_then_the_result(self) -> None:
        *steps, result = Engine(Clockwork()).generate(request(5, 4))
        assert [step.index for step in steps] == [0, 1, 2, 3]
        assert result == "picture 5"

    def test_the_device_is_free_afterwards(self) -> None:
        engine = Engine(Clockwork())
        for seed in range(3):
            assert list(engine.generate(request(seed)))[-1] == f"picture {seed}"
            assert (engine.running, engine.waiting) == (0, 0)

    def test_the_device_is_free_while_the_result_is_read(self) -> None:
        engine = Engine(Clockwork(), max_waiting=0)
        first = engine.generate(request(1))
        assert next(event for event in first if isinstance(event, str)) == "picture 1"
        assert engine.running == 0
        assert list(engine.generate(request(2)))[-1] == "picture 2"

    def test_closing_frees_the_device_at_once(self) -> None:
        pipeline = Clockwork()
        engine = Engine(pipeline, max_waiting=0)
        events = engine.generate(request(1))
        next(events)
        assert engine.running == 1
        events.close()
        assert engine.running == 0
        assert pipeline.closed == [1]
        assert list(engine.generate(request(2)))[-1] == "picture 2"

    def test_a_forgotten_generator_frees_the_device(self) -> None:
        engine = Engine(Clockwork())
        next(engine.generate(request(1)))
        gc.collect()
        assert engine.running == 0

    def test_cancelling_ends_it_at_the_next_step(self) -> None:
        engine, cancel = Engine(Clockwork()), threading.Event()
        events = engine.generate(request(steps=1000), cancel)
        next(events)
        cancel.set()
        with pytest.raises(Cancelled):
            next(events)
        assert engine.running == 0

    def test_the_deadline(self) -> None:
        engine = Engine(Clockwork(), deadline_s=60)
        events = engine.generate(request(steps=1000))
        next(events)
        engine.deadline_s = 1e-9
        with pytest.raises(TimedOut, match="1e-09 seconds"):
            next(events)
        engine.deadline_s = 60
        assert list(engine.generate(request(steps=1)))[-1] == "picture 0"

    def test_a_run_without_a_picture_is_a_failure(self) -> None:
        with pytest.raises(Failed, match="without a picture"):
            list(Engine(Clockwork()).generate(request(steps=0)))


class TestFailures:
    def failing(self, error: Exception) -> Clockwork:
        def fault() -> None:
            pipeline.fault = lambda: None  # only the first request meets it
            raise error

        pipeline = Clockwork(fault=fault)
        return pipeline

    @pytest.mark.parametrize(
        ("error", "raised", "message"),
        [
            (InputError("Draw a line."), InputError, "Draw a line"),
            (MemoryError(), Failed, "not enough memory"),
            (
                torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
                Failed,
                "not enough memory",
            ),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory"), Failed, "not enough memory"),
            (NotFiniteError("NaN at step 3: lower the guidance."), Failed, "lower the guidance"),
            (KeyError("secret prompt"), Failed, "log"),
            (ZeroDivisionError("secret prompt"), Failed, "log"),
        ],
    )
    def test_each_has_a_short_message_and_the_next_request_works(
        self, error: Exception, raised: type[Exception], message: str
    ) -> None:
        engine = Engine(self.failing(error))
        with pytest.raises(raised, match=message) as caught:
            list(engine.generate(request(1)))
        assert "secret" not in str(caught.value)
        assert len(str(caught.value)) < 120
        assert list(engine.generate(request(2)))[-1] == "picture 2"

    def test_memory_of_a_failed_run_is_free_while_its_error_is_shown(self) -> None:
        class Tensor:
            pass

        held: list[weakref.ref[Tensor]] = []

        def fault() -> None:
            tensor = Tensor()
            held.append(weakref.ref(tensor))
            raise MemoryError

        with pytest.raises(Failed) as caught:
            list(Engine(Clockwork(fault=fault)).generate(request()))
        assert held[0]() is None
        assert caught.value.__context__ is None

    def test_real_numbers_that_run_away(self, pipeline: MCMPipeline) -> None:
        modulator = tiny.build_modulator(pipeline.base)
        torch.nn.init.constant_(modulator.trunk.conv_out.bias, float("nan"))
        with pytest.raises(Failed, match="modulator gave numbers that are not finite"):
            list(Engine(MCMPipeline(pipeline.base, modulator).stream).generate(drawn(1)))


def one_by_one(engine: Engine, requests: Sequence[Request], client: Client | None = None) -> list[InThread]:
    """Readers of these requests, each of which has its place before the next one comes."""
    readers: list[InThread] = []
    for asked in requests:
        readers.append(InThread(engine, asked, client=client))
        until(lambda: engine.running + engine.waiting == len(readers))
    return readers


class TestTheLine:
    def test_one_at_a_time_first_come_first_served(self) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline)
        readers = one_by_one(engine, [request(seed) for seed in range(6)])
        pipeline.gate.release(100)
        for reader in readers:
            assert reader.join().error is None
        assert pipeline.begun == list(range(6))
        assert pipeline.most_active == 1
        assert [reader.events[-1] for reader in readers] == [f"picture {seed}" for seed in range(6)]

    def test_waiting_tells_the_place_as_it_changes(self) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline)
        readers = one_by_one(engine, [request(seed, 1) for seed in range(4)])
        until(lambda: readers[3].events == [Waiting(3)])
        for place in (2, 1):
            pipeline.gate.release()
            until(lambda place=place: readers[3].events[-1] == Waiting(place))
        pipeline.gate.release(2)
        assert [e for e in readers[3].join().events if isinstance(e, Waiting)] == [
            Waiting(3),
            Waiting(2),
            Waiting(1),
        ]
        assert not [e for e in readers[0].join().events if isinstance(e, Waiting)]

    def test_a_place_is_not_told_again_before_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line of two hundred moves at every picture, and each of them would have to be told."""
        monkeypatch.setattr("mcm_core.engine.TELL_S", 1e6)
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline)
        readers = one_by_one(engine, [request(seed, 1) for seed in range(4)])
        until(lambda: readers[3].events == [Waiting(3)])
        for left in (2, 1, 0):
            pipeline.gate.release()
            until(lambda left=left: engine.waiting == left)
        pipeline.gate.release()
        told = readers[3].join().events
        assert [event for event in told if isinstance(event, Waiting)] == [Waiting(3)]
        assert told[-1] == "picture 3"

    def test_a_full_line_refuses_exactly_the_rest(self) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline, max_waiting=3)
        readers = [InThread(engine, request(seed)) for seed in range(16)]
        until(lambda: sum(reader.error is not None for reader in readers) == 12)
        pipeline.gate.release(100)
        errors = [reader.join().error for reader in readers]
        assert sum(isinstance(error, Busy) for error in errors) == 12
        assert sum(error is None for error in errors) == 4

    def test_of_one_client_with_many_requests_a_second_one_waits_for_two_runs_at_most(self) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline, max_waiting=32, max_of_session=24)
        many, other = Client("many", "192.0.2.1"), Client("other", "192.0.2.1")
        readers = one_by_one(engine, [request(seed, 1) for seed in range(24)], many)
        readers.append(InThread(engine, request(100, 1), client=other))
        until(lambda: readers[-1].events == [Waiting(2)])
        assert readers[1].events == [Waiting(1)]
        until(lambda: readers[2].events == [Waiting(2), Waiting(3)])
        pipeline.gate.release(100)
        assert all(reader.join().error is None for reader in readers)
        assert pipeline.begun == [0, 1, 100, *range(2, 24)]

    @pytest.mark.parametrize(
        ("clients", "accepted", "words"),
        [
            ([Client("s", "192.0.2.1")] * 9, 4, "3 of your requests are waiting"),
            ([Client(tab, "192.0.2.1") for tab in range(9)], 6, "5 requests from your address are waiting"),
            ([Client(tab) for tab in range(9)], 7, "6 requests are waiting"),
            ([Client(tab, f"192.0.2.{tab}") for tab in range(9)], 7, "6 requests are waiting"),
        ],
    )
    def test_the_bounds_are_exact(self, clients: list[Client], accepted: int, words: str) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline, max_waiting=6)  # of which 3 of a session, 5 of an address
        readers = []
        for client in clients:
            readers.append(InThread(engine, request(), client=client))
            until(lambda: engine.running + engine.waiting == min(len(readers), accepted))
        refused = [InThread(engine, request(), client=client).join().error for client in clients[accepted:]]
        assert all(isinstance(error, Busy) and str(error).startswith(words) for error in refused)
        pipeline.gate.release(100)
        assert [reader.join().error is None for reader in readers].count(True) == accepted

    def test_leaving_the_line(self) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline)
        first = InThread(engine, request(1))
        until(lambda: engine.running == 1)
        closed = engine.generate(request(2))
        assert next(closed) == Waiting(1)
        cancelled = InThread(engine, request(3))
        last = InThread(engine, request(4))
        until(lambda: engine.waiting == 3)
        closed.close()
        cancelled.cancel.set()
        assert isinstance(cancelled.join().error, Cancelled)
        pipeline.gate.release(100)
        assert first.join().error is None
        assert last.join().events[-1] == "picture 4"
        assert sorted(pipeline.begun) == [1, 4]

    def test_two_devices_serve_one_line(self) -> None:
        gate = threading.Semaphore(0)
        left, right = Clockwork(gate), Clockwork(gate)
        engine = Engine(left, right)
        readers = [InThread(engine, request(seed)) for seed in range(4)]
        until(lambda: (engine.running, engine.waiting) == (2, 2))
        gate.release(100)
        assert {reader.join().events[-1] for reader in readers} == {f"picture {seed}" for seed in range(4)}
        assert (left.most_active, right.most_active) == (1, 1)

    def test_a_reader_that_is_gone_loses_device_and_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pipeline = Clockwork()
        engine = Engine(pipeline)
        running, in_line = engine.generate(request(1)), engine.generate(request(2))
        next(running)
        assert next(in_line) == Waiting(1)
        monkeypatch.setattr(engine_module, "ABANDONED_S", 0.3)
        assert InThread(engine, request(3)).join().events[-1] == "picture 3"
        assert pipeline.closed == [1, 3]
        for gone in (running, in_line):
            with pytest.raises(Cancelled, match="Nobody was reading"):
                next(gone)
        assert (engine.running, engine.waiting) == (0, 0)

    def test_a_slow_step_is_not_taken_for_a_reader_that_is_gone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline)
        slow = InThread(engine, request(1))
        until(lambda: engine.running == 1)
        time.sleep(0.4)
        with monkeypatch.context() as impatience:
            impatience.setattr(engine_module, "ABANDONED_S", 0.3)
            waits = engine.generate(request(2))
            assert next(waits) == Waiting(1)  # who joins the line has looked for those that are gone
        pipeline.gate.release(100)
        assert slow.join().error is None
        assert list(waits)[-1] == "picture 2"

    def test_a_line_that_does_not_move_ends_the_wait(self) -> None:
        engine = Engine(Clockwork(), max_waiting=1)
        stuck = engine.generate(request(1))
        next(stuck)
        engine.deadline_s = 0.1
        with pytest.raises(TimedOut, match="did not move"):
            list(engine.generate(request(2)))


class TestDraining:
    def test_running_requests_end_and_others_are_refused(self) -> None:
        pipeline = Clockwork(threading.Semaphore(0))
        engine = Engine(pipeline)
        running = InThread(engine, request(1))
        until(lambda: engine.running == 1)
        waiting = InThread(engine, request(2))
        until(lambda: engine.waiting == 1)
        with ThreadPoolExecutor() as pool:
            drained = pool.submit(engine.drain, PATIENCE_S)
            assert isinstance(waiting.join().error, Busy)
            with pytest.raises(Busy, match="about to end"):
                next(engine.generate(request(3)))
            pipeline.gate.release(100)
            assert drained.result() is True
        assert running.join().events[-1] == "picture 1"
        assert pipeline.begun == [1]

    def test_what_does_not_end_in_time_is_stopped(self) -> None:
        engine = Engine(Clockwork(threading.Semaphore(10**9)))
        endless = InThread(engine, request(1, 10**9))
        until(lambda: engine.running == 1)
        assert engine.drain(timeout_s=0.05, grace_s=PATIENCE_S) is True
        assert isinstance(endless.join().error, Cancelled)

    def test_it_tells_when_something_is_left(self) -> None:
        engine = Engine(Clockwork())
        suspended = engine.generate(request())
        next(suspended)
        assert engine.drain(timeout_s=0.01, grace_s=0.01) is False

    def test_a_picture_that_is_being_read_is_not_lost(self) -> None:
        engine = Engine(Clockwork())
        events = engine.generate(request(1, 2))
        assert [next(events) for _ in range(3)][-1] == "picture 1"
        assert engine.running == 0, "the device is free for the next job"
        assert engine.drain(timeout_s=0.01, grace_s=0.01) is False
        events.close()
        assert engine.drain(timeout_s=PATIENCE_S) is True

    def test_sigterm(self, tmp_path: Path) -> None:
        program = tmp_path / "program.py"
        program.write_text(
            "import os, time\n"
            "from types import SimpleNamespace\n"
            "from mcm_core.engine import Engine, drain_on_sigterm\n"
            "def slow(steps, should_stop):\n"
            "    for index in range(steps):\n"
            "        time.sleep(0.1)\n"
            "        done = 'picture' if index == steps - 1 else None\n"
            "        yield SimpleNamespace(index=index, result=done)\n"
            "engine = Engine(slow)\n"
            "drain_on_sigterm(engine, after=lambda: (print('drained', flush=True), os._exit(0)))\n"
            "for event in engine.generate(10):\n"
            "    print(event if isinstance(event, str) else event.index, flush=True)\n"
            "time.sleep(60)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, str(program)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read().splitlines()
        assert process.wait(PATIENCE_S) == 0
        assert rest == [*map(str, range(1, 10)), "picture", "drained"]


@pytest.fixture(scope="module")
def pipeline(sd_folder: Path) -> MCMPipeline:
    base = Base.from_pretrained(sd_folder)
    return MCMPipeline(base, tiny.build_modulator(base))


def drawn(seed: int, **changes: object) -> Request:
    """A small request whose drawing depends on the seed."""
    values = np.random.default_rng(seed)
    labels = values.integers(0, 4, (64, 64)).astype(np.uint8)
    sketch = (values.random((64, 64)) < 0.05).astype(np.uint8) * 255
    conditions = Conditions({LABELS: labels, SKETCH: sketch})
    scheduler = ("ddim", "euler", "dpmsolver++", "unipc", "pndm", "heun")[seed % 6]
    settings: dict[str, object] = {
        "prompt": f"hill {seed}",
        "conditions": conditions,
        "seeds": (seed,),
        "steps": 3,
        "scheduler": scheduler,
        "guidance_scale": 1.0 + seed % 3,
    }
    return Request(**(settings | changes))  # type: ignore[arg-type]


class TestSameBytes:
    """What a request makes depends on nothing but the request."""

    def made(self, engine: Engine, wanted: Request) -> bytes:
        *_, result = engine.generate(wanted)
        assert isinstance(result, Result)
        return result.images.tobytes() + result.actions.tobytes()

    def test_however_many_others_run(self, pipeline: MCMPipeline) -> None:
        alone = [self.made(Engine(pipeline.stream), drawn(seed)) for seed in range(12)]
        assert len(set(alone)) == 12
        engine = Engine(pipeline.stream)
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda seed: self.made(engine, drawn(seed)), [*range(12), *range(12)]))
        assert together == alone * 2

    def test_two_pipelines_on_shared_models_race(self, pipeline: MCMPipeline) -> None:
        alone = [self.made(Engine(pipeline.stream), drawn(seed)) for seed in range(8)]
        engine = Engine(pipeline.stream, MCMPipeline(pipeline.base, pipeline.modulator).stream)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda seed: self.made(engine, drawn(seed)), range(8))) == alone

    def test_after_others_were_cancelled_closed_and_refused(self, pipeline: MCMPipeline) -> None:
        engine = Engine(pipeline.stream)
        alone = self.made(engine, drawn(3))
        left = engine.generate(drawn(4))
        next(left)
        left.close()
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(Cancelled):
            list(engine.generate(drawn(5), cancel))
        with pytest.raises(InputError):
            list(engine.generate(drawn(6, steps=-1)))
        assert self.made(engine, drawn(3)) == alone

    def test_a_batch_equals_its_singles(self, pipeline: MCMPipeline) -> None:
        engine = Engine(pipeline.stream)
        *_, batch = engine.generate(drawn(1, seeds=(5, 9)))
        for image, seed in zip(batch.images, (5, 9), strict=True):
            *_, single = engine.generate(drawn(1, seeds=(seed,)))
            assert np.array_equal(single.images[0], image)


def test_a_random_seed_is_drawn_once_and_reported(pipeline: MCMPipeline) -> None:
    engine = Engine(pipeline.stream)
    *_, result = engine.generate(drawn(1, seeds=(-1,)))
    *_, again = engine.generate(result.request)
    assert result.request.seeds[0] >= 0
    assert np.array_equal(again.images, result.images)


def test_requests_can_be_sent_elsewhere() -> None:
    assert pickle.loads(pickle.dumps(drawn(1))) == drawn(1)
