"""The models that the page offers, and one engine for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mcm_core import Base, MCMPipeline
from mcm_core.drawing.canvas_value import LAYERS
from mcm_core.drawing.conditions import InputError, LabelClass, Modality, Size
from mcm_core.engine import Cancel, Cancelled, Engine
from mcm_core.line import Client
from mcm_core.live import Live
from mcm_core.models import SEGMENTER, open_all, open_drafts, shipped, shipped_live
from mcm_core.record import Origin
from mcm_core.request import Request, Resolved

if TYPE_CHECKING:
    from mcm_core.engine import Event, Stream
    from mcm_core.pipeline import Step

Segmenter = Callable[[np.ndarray], np.ndarray]
"""(B, H, W, 3) uint8 pictures -> (B, H, W) uint8 label maps in the modulator's classes."""


@dataclass(frozen=True)
class Drafts:
    """What paints while the brush moves: a pipeline whose modulator was made for few steps.

    `moving` and `resting` are its steps under the brush, and for the moment after it was lifted.
    """

    pipeline: MCMPipeline
    moving: int
    resting: int

    def resolved(self, request: Request, moving: bool) -> Resolved:
        """The request as one draft.

        Raises:
            InputError: something is wrong with it.
        """
        steps = self.moving if moving else self.resting
        few = replace(request, steps=steps, guidance_scale=None, scheduler=None, previews=False)
        one = replace(few, seeds=request.seeds[:1])
        return one.resolved(self.pipeline.base, self.pipeline.modulator)


@dataclass(frozen=True)
class Model:
    """What the page knows of one base with its modulator; the networks themselves are in `pipeline`.

    `drafts` paints what follows the brush; None where that would be too slow.
    """

    name: str
    pipeline: MCMPipeline
    origin: Origin
    segment: Segmenter | None = None
    drafts: Drafts | None = None

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
        return tuple(modality.name for modality in self.modalities if modality.name in LAYERS)

    @property
    def further(self) -> tuple[Modality, ...]:
        """What it reads besides, from files."""
        return tuple(modality for modality in self.modalities if modality.name not in LAYERS)

    @property
    def size(self) -> Size:
        return self.base.default_size

    @property
    def sizes(self) -> tuple[Size, ...]:
        """What is offered: the base's own, and others of no more pixels, from wide to tall."""
        own = self.size
        return own, *(size for size in self.base.sizes_like(own) if size != own)

    @property
    def live(self) -> Live | None:
        """How its modulator is sampled in few steps, if it was made for that."""
        return self.pipeline.modulator.live if self.pipeline.modulator else None

    @property
    def defaults(self) -> Resolved:
        """What is done where nothing is asked for."""
        return self.resolved(Request())

    @property
    def schedulers(self) -> tuple[str, ...]:
        return self.base.scheduler_names if self.live is None else (self.defaults.scheduler,)

    @property
    def is_guided(self) -> bool:
        """Whether the guidance can be chosen."""
        return self.base.accepts_text and self.live is None

    @property
    def takes_negative_prompt(self) -> bool:
        """Whether there is a branch of guidance that it could speak to."""
        return self.base.takes_negative_prompt and self.live is None

    def resolved(self, request: Request) -> Resolved:
        """See `Request.resolved`."""
        return request.resolved(self.base, self.pipeline.modulator)

    def quicken(self, asked: Request) -> None:
        """Pictures and drafts like this come sooner from then on, see `MCMPipeline.quicken`."""
        self.pipeline.quicken(self.resolved(asked))
        if self.drafts is not None:
            self.drafts.pipeline.quicken(self.drafts.resolved(asked, moving=True))


@dataclass(frozen=True)
class Job:
    """What the engine is given: a request, and the name of the model that it was resolved for.

    `drafts`: it is for the model's drafts.
    """

    model: str
    request: Resolved
    drafts: bool = False


class Models:
    """The page's models by name, the first being the default. One job runs at a time on each stream.

    Args:
        models: at least one.
        max_waiting, deadline_s: see `Engine`.
        streams: where jobs run; here, one by one, unless there are any.
    """

    def __init__(
        self,
        models: Sequence[Model],
        max_waiting: int = 16,
        deadline_s: float = 300.0,
        streams: Sequence[Stream[Job]] = (),
    ) -> None:
        self.by_name = {model.name: model for model in models}
        self.engine = Engine(*(streams or [self._paint]), max_waiting=max_waiting, deadline_s=deadline_s)
        self.generate = _with_zero_gpu(self.engine.generate)
        """(job, cancel, client) -> events: `Engine.generate`, wherever the device is."""

    @property
    def takes(self) -> set[str]:
        """The names of all modalities that one of the models reads."""
        return {modality.name for model in self.by_name.values() for modality in model.modalities}

    @property
    def default(self) -> Model:
        return next(iter(self.by_name.values()))

    def __getitem__(self, name: Any) -> Model:
        if not isinstance(name, str) or name not in self.by_name:
            raise InputError(f"There is no such model: choose from {', '.join(self.by_name)}.")
        return self.by_name[name]

    def _paint(self, job: Job, should_stop: Callable[[], bool]) -> Generator[Step]:
        model = self.by_name[job.model]
        painter = model.drafts if job.drafts and model.drafts else model
        return painter.pipeline.paint(job.request, should_stop)


def open_models(
    bases: Sequence[str] | None = None,
    modulators: Sequence[str] | None = None,
    segmenter: str | None = None,
    live_modulator: str | None = None,
    **options: Any,
) -> list[Model]:
    """All pairs of `mcm_core.models.open_all`; `segmenter` and `live_modulator` are for the first of them. On
    ZeroGPU there are no drafts.

    Raises:
        InputError: from `open_all`; the modulator for drafts does not fit, or reads other drawings.
    """
    first, *others = (_model(pipeline) for pipeline in open_all(bases, modulators, **options))
    is_shipped = not bases and modulators is None
    drafts = live_modulator or (shipped_live() if is_shipped else None)
    if drafts and not _on_zero_gpu():  # where a GPU would be lent for each of them
        first = replace(first, drafts=_drafts(first, drafts))
    if segmenter or not bases:
        first = replace(first, segment=_judge(first, segmenter))
    return [first, *others]


def _judge(model: Model, source: str | None) -> Segmenter | None:
    """The network at `source`, else the shipped one where it reads the model's classes.

    Raises:
        InputError: that at `source` reads others.
    """
    from mcm_core.evaluation.segmenter import load

    judge = load(source or shipped(SEGMENTER))
    its, wanted = ([label.name for label in one.classes] for one in (judge, model))
    if its == wanted:
        return judge
    if source:
        raise InputError(f"{source} reads other classes than {model.name} knows: train one on its own pairs.")
    return None


def _drafts(model: Model, source: str) -> Drafts:
    pipeline, live = open_drafts(model.base, source)
    if _reads(pipeline) != _reads(model.pipeline):
        raise InputError(f"{source} reads other drawings than {model.name}: distil it from its modulator.")
    fewest, next_fewest, *_ = *live.steps, live.steps[-1]
    return Drafts(pipeline, fewest, next_fewest)


def _reads(pipeline: MCMPipeline) -> tuple[tuple[Modality, ...], tuple[LabelClass, ...]]:
    modulator = pipeline.modulator
    return (modulator.modalities, modulator.classes) if modulator else ((), ())


def _model(pipeline: MCMPipeline) -> Model:
    origin = Origin.of(pipeline.base, pipeline.modulator)
    return Model(f"{origin.base} + {origin.modulator}" if origin.modulator else origin.base, pipeline, origin)


# -- Hugging Face ZeroGPU ----------------------------------------------------------------------------------


def _on_zero_gpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))


Generate = Callable[..., "Iterator[Event]"]


def _with_zero_gpu(generate: Callable[..., Iterator[Event]]) -> Generate:
    """On ZeroGPU, `generate` in a process that gets a GPU for a while; elsewhere `generate` itself.

    What crosses the border is pickled: job and events are arrays, numbers and text. A `threading.Event`
    cannot cross: this side looks at it between the steps.
    """
    if not _on_zero_gpu():
        return generate
    import spaces

    on_gpu = spaces.GPU(duration=_duration)(generate)

    def watched(job: Job, cancel: Cancel, client: Client | None = None) -> Iterator[Event]:
        for event in on_gpu(job, None, client):
            if cancel.is_set():
                raise Cancelled("Stopped.")
            yield event

    return watched


def _duration(job: Job, cancel: None = None, client: Client | None = None) -> int:
    """Seconds of GPU time to ask for: generous for SDXL at 1024 x 1024, cut off at two minutes."""
    request = job.request
    return min(120, 15 + request.steps * len(request.seeds) * (2 if request.compare else 1) // 2)
