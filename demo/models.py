"""The models that the page offers: a base with a modulator that fits it, and one engine for all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcm_core import Base, MCMPipeline, Modulator
from mcm_core.drawing.conditions import LABELS, SKETCH, InputError, LabelClass, Modality, Size
from mcm_core.engine import Cancelled, Engine
from mcm_core.record import Origin
from mcm_core.request import Request

if TYPE_CHECKING:
    from mcm_core.engine import Event
    from mcm_core.pipeline import Step

Segmenter = Callable[[np.ndarray], np.ndarray]
"""(B, H, W, 3) uint8 pictures -> (B, H, W) uint8 label maps in the modulator's classes."""

ON_CANVAS = (LABELS, SKETCH)


@dataclass(frozen=True)
class Model:
    """What the page knows of one base with its modulator; the networks themselves are in `pipeline`."""

    name: str
    pipeline: MCMPipeline
    origin: Origin
    notes: tuple[str, ...] = ()
    segment: Segmenter | None = None

    @property
    def base(self) -> Base:
        return self.pipeline.base

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        return self.pipeline.modulator.classes if self.pipeline.modulator else ()

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return self.pipeline.modulator.modalities if self.pipeline.modulator else ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Which of the canvas's layers the modulator reads."""
        return tuple(one.name for one in self.modalities if one.name in ON_CANVAS)

    @property
    def further(self) -> tuple[Modality, ...]:
        """What it reads besides, from files."""
        return tuple(one for one in self.modalities if one.name not in ON_CANVAS)

    @property
    def size(self) -> Size:
        return self.base.default_size

    def checked(self, request: Request) -> Request:
        """The request with every default and random seed filled in; InputError where it cannot be done."""
        return request.validated(self.base, self.pipeline.modulator)


@dataclass(frozen=True)
class Job:
    """A request, and the name of the model that it is for."""

    model: str
    request: Request


class _Dispatcher:
    """All models as one pipeline, so that one engine keeps one line for the device that they share."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = models

    def stream(self, job: Job, should_stop: Callable[[], bool] | None = None) -> Iterator[Step]:
        return self.models[job.model].pipeline.stream(job.request, should_stop)


class Models:
    """The page's models by name, the first being the default. One request runs at a time.

    Args:
        models: at least one.
        max_waiting, deadline_s: see `Engine`.
    """

    def __init__(self, models: Sequence[Model], max_waiting: int = 16, deadline_s: float = 300.0) -> None:
        self.by_name = {model.name: model for model in models}
        pipeline: Any = _Dispatcher(self.by_name)
        self.engine = Engine(pipeline, max_waiting=max_waiting, deadline_s=deadline_s)
        self._on_device = _with_zero_gpu(self.engine.generate)

    @property
    def default(self) -> Model:
        return next(iter(self.by_name.values()))

    def __getitem__(self, name: Any) -> Model:
        if not isinstance(name, str) or name not in self.by_name:
            raise InputError(f"There is no such model: choose from {', '.join(self.by_name)}.")
        return self.by_name[name]

    def generate(self, model: Model, request: Request, cancel: threading.Event) -> Iterator[Event]:
        """See `Engine.generate`; the request is checked before it has to wait."""
        job: Any = Job(model.name, model.checked(request))
        return self._on_device(job, cancel)


# -- opening -----------------------------------------------------------------------------------------------


def open_models(
    bases: Sequence[str], modulators: Sequence[str], segmenter: str | None = None, **options: Any
) -> list[Model]:
    """Every base with every modulator that fits it; a base that none fits comes alone.

    Args:
        bases, modulators: folders or hub ids; a folder of several such folders stands for them all.
        segmenter: a folder of `mcm_core.evaluation.segmenter`, for the first model.
        options: `dtype` and `device`, see `Base.from_pretrained`.

    Raises:
        InputError: something cannot be opened, or a modulator fits none of the bases.
    """
    opened = [Base.from_pretrained(source, **options) for source in _each(bases, "model_index.json")]
    pairs: dict[int, list[Model]] = {index: [] for index in range(len(opened))}
    for source in _each(modulators, "config.json"):
        modulator = Modulator.from_pretrained(source)
        refusals = [_pair(base, modulator, source, pairs[index]) for index, base in enumerate(opened)]
        if all(refusals):
            raise refusals[0]  # type: ignore[misc]
    alone = [_model(base, None, base.id) for base in opened]
    models = [model for index, base in enumerate(alone) for model in pairs[index] or [base]]
    if segmenter is not None:
        models[0] = replace(models[0], segment=_open_segmenter(segmenter))
    return models


def _pair(base: Base, modulator: Modulator, source: str, fitting: list[Model]) -> InputError | None:
    """Adds the two to those that fit, or returns why they do not."""
    try:
        notes = base.check(modulator)
    except InputError as error:
        return error
    fitting.append(_model(base, modulator, f"{base.id} + {Path(source).name}", notes))
    return None


def _model(base: Base, modulator: Modulator | None, name: str, notes: tuple[str, ...] = ()) -> Model:
    return Model(name, MCMPipeline(base, modulator), Origin.of(base, modulator), notes)


def _each(sources: Sequence[str], index: str) -> list[str]:
    """The sources, with a folder that holds model folders (each with an `index` file) replaced by those."""
    found = []
    for source in sources:
        inside = sorted(str(path.parent) for path in Path(source).glob(f"*/{index}"))
        found += inside if inside and not (Path(source) / index).exists() else [source]
    return found


def _open_segmenter(folder: str) -> Segmenter:
    return import_module("mcm_core.evaluation.segmenter").load(folder)


# -- Hugging Face ZeroGPU ----------------------------------------------------------------------------------


def _with_zero_gpu(generate: Callable[..., Iterator[Event]]) -> Callable[..., Iterator[Event]]:
    """The same, run in a process that gets a GPU for a while; unchanged anywhere but on ZeroGPU.

    What crosses the border is pickled: the job and the events are arrays, numbers and text. An
    `threading.Event` cannot cross, so that it is looked at on this side, between the steps.
    """
    if not os.environ.get("SPACES_ZERO_GPU"):
        return generate
    import spaces

    on_gpu = spaces.GPU(duration=_duration)(generate)

    def watched(job: Job, cancel: threading.Event) -> Iterator[Event]:
        for event in on_gpu(job):
            if cancel.is_set():
                raise Cancelled("Stopped.")
            yield event

    return watched


def _duration(job: Job) -> int:
    """Seconds of GPU time to ask for: generous for SDXL at 1024 x 1024, cut off at two minutes."""
    request = job.request
    return min(120, 15 + request.steps * len(request.seeds) * (2 if request.compare else 1) // 2)
