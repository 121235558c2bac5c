"""What the page's tests share: the page on small models whose steps can be slowed down, and drawings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio_client import Client

from demo.models import Model, Models
from demo.ui import build_ui, launch_options
from mcm_core import Base, MCMPipeline, Modulator
from mcm_core.drawing.canvas_value import to_canvas
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions
from mcm_core.pipeline import Step
from mcm_core.record import Origin
from mcm_core.request import Resolved
from tests import tiny
from tests.browser import served

OPEN = 10**4
PATIENCE_S = 60.0
"""After so long a test fails for a state that never came; none of them goes on because time has passed."""
SIZE = 64
STEPS = 6
"""Of a picture, unless it says otherwise: what it shows does not matter, and how it comes does not change."""
CLASSES = ("sky", "hill", "water")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


class Paced(MCMPipeline):
    """The real pipeline, whose steps wait where a test wants it; a run that is to stop waits no longer.

    It tells what it has begun, how many ran at once, and how many steps were made.
    """

    def __init__(self, base: Base, modulator: Modulator | None = None) -> None:
        super().__init__(base, modulator)
        self.pause_s = 0.0
        self.gate = threading.Semaphore(OPEN)
        self.fault: Callable[[], None] = lambda: None
        self.begun: list[Resolved] = []
        self.active = self.most_active = self.steps = 0

    def paint(self, request: Resolved, should_stop: Callable[[], bool] = lambda: False) -> Generator[Step]:
        self.begun.append(request)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            for step in super().paint(request, should_stop):
                time.sleep(self.pause_s)
                self._wait(should_stop)
                self.steps += 1
                self.fault()
                yield step
        finally:
            self.active -= 1

    def _wait(self, should_stop: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not self.gate.acquire(timeout=0.01) and not should_stop():
            assert time.monotonic() < end, "the test forgot to let the step go"

    def hold(self) -> None:
        """From now on steps wait until they are let go. Nothing runs yet."""
        self.gate = threading.Semaphore(0)

    def let_go(self, steps: int = OPEN) -> None:
        self.gate.release(steps)

    def calm(self) -> None:
        """Waits until nothing runs, and forgets what has been."""
        self.let_go()
        until(lambda: self.active == 0)
        self.pause_s, self.gate, self.fault = 0.0, threading.Semaphore(OPEN), lambda: None
        self.begun, self.most_active, self.steps = [], 0, 0


def model(base: Base, modulator: Modulator | None, name: str = "tiny", segment: Any = None) -> Model:
    return Model(name, Paced(base, modulator), Origin.of(base, modulator), segment)


def paced(models: Models, name: str = "tiny") -> Paced:
    pipeline = models[name].pipeline
    assert isinstance(pipeline, Paced)
    return pipeline


def tiny_model(folder: Path, segment: Any = None) -> Model:
    """The small Stable Diffusion of `tests.tiny` with a modulator that acts."""
    base = Base.from_pretrained(folder)
    base.default_steps = STEPS
    return model(base, tiny.build_modulator(base), segment=segment)


def sky_over_water(pictures: np.ndarray) -> np.ndarray:
    """A judge that sees sky above and water below in every picture."""
    seen = np.ones(pictures.shape[:3], np.uint8)
    seen[:, SIZE // 2 :] = 3
    return seen


def connected(url: str) -> Client:
    """A program that calls the page. It reads no certificates: loopback has none, and it takes long."""
    return Client(url, verbose=False, ssl_verify=False, httpx_kwargs={"timeout": PATIENCE_S})


@contextmanager
def page(models: Models, **options: Any) -> Iterator[str]:
    """The address of the page, served as `app.py` serves it."""
    blocks: gr.Blocks = build_ui(models)
    with served(blocks, **launch_options(**options)) as url:
        yield url


def halves(sketch: bool = True) -> Conditions:
    """Sky over water, with a stroke from corner to corner."""
    labels = np.ones((SIZE, SIZE), np.uint8)
    labels[SIZE // 2 :] = 3
    strokes = np.eye(SIZE, dtype=np.uint8) * 255
    return Conditions({LABELS: labels, **({SKETCH: strokes} if sketch else {})})


def canvas_value(conditions: Conditions | None = None) -> dict[str, Any]:
    return to_canvas(halves() if conditions is None else conditions)
