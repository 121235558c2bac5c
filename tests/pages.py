"""What the page's tests share: the page on small models whose steps can be slowed down, and drawings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo.models import Model, Models
from demo.ui import build_ui, launch_options
from mcm_core import Base, MCMPipeline, Modulator
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, to_canvas
from mcm_core.pipeline import Step
from mcm_core.record import Origin
from mcm_core.request import Request
from tests import tiny
from tests.browser import served

SIZE = 64
CLASSES = ("sky", "hill", "water")


class Paced(MCMPipeline):
    """The real pipeline with a pause at each step. It tells what it has begun, and how many ran at once.

    With a `gate`, each step waits until the gate is released once; a run that is to stop waits no longer.
    """

    def __init__(self, base: Base, modulator: Modulator | None = None) -> None:
        super().__init__(base, modulator)
        self.pause_s = 0.0
        self.gate: threading.Semaphore | None = None
        self.fault: Callable[[], None] = lambda: None
        self.begun: list[Request] = []
        self.active = self.most_active = 0

    def stream(self, request: Request, should_stop: Callable[[], bool] | None = None) -> Iterator[Step]:
        self.begun.append(request)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            for step in super().stream(request, should_stop):
                time.sleep(self.pause_s)
                self.fault()
                self._pass_gate(should_stop)
                yield step
        finally:
            self.active -= 1

    def _pass_gate(self, should_stop: Callable[[], bool] | None) -> None:
        while (gate := self.gate) and not gate.acquire(timeout=0.01):
            if should_stop is not None and should_stop():
                return

    def calm(self) -> None:
        """Waits until nothing runs, and forgets what has been."""
        self.gate = None
        end = time.monotonic() + 20
        while self.active:
            assert time.monotonic() < end, "a run goes on that nobody wants"
            time.sleep(0.02)
        self.pause_s, self.fault, self.begun, self.most_active = 0.0, lambda: None, [], 0


def model(
    base: Base,
    modulator: Modulator | None,
    name: str = "tiny",
    segment: Any = None,
    notes: Sequence[str] = (),
) -> Model:
    return Model(name, Paced(base, modulator), Origin.of(base, modulator), tuple(notes), segment)


def paced(models: Models, name: str = "tiny") -> Paced:
    pipeline = models[name].pipeline
    assert isinstance(pipeline, Paced)
    return pipeline


def tiny_model(folder: Path, segment: Any = None) -> Model:
    """The small Stable Diffusion of `tests.tiny` with a modulator that acts."""
    base = Base.from_pretrained(folder)
    return model(base, tiny.build_modulator(base), segment=segment)


@contextmanager
def page(models: Models) -> Iterator[str]:
    """The address of the page, served as `app.py` serves it."""
    blocks: gr.Blocks = build_ui(models)
    with served(blocks, **launch_options()) as url:
        yield url


def halves(sketch: bool = True) -> Conditions:
    """Sky over water, with a stroke from corner to corner."""
    labels = np.ones((SIZE, SIZE), np.uint8)
    labels[SIZE // 2 :] = 3
    strokes = np.eye(SIZE, dtype=np.uint8) * 255
    return Conditions({LABELS: labels, **({SKETCH: strokes} if sketch else {})})


def canvas_value(conditions: Conditions | None = None) -> dict[str, Any]:
    return to_canvas(halves() if conditions is None else conditions)
