"""What is compared with what. A case is data: nothing is measured in another way because of its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions
from mcm_core.landscapes.captions import STYLES
from mcm_core.modulation import PLACEMENTS
from mcm_core.modulator import Modulator, ModulatorOutput
from mcm_core.request import DEFAULT_PLACEMENT, MAX_GUIDANCE, Placement, Request

from .scenes import Drawn

PARTIAL = "partial labels"
"""An input: the label map with parts unpainted."""

GUIDANCE = 3.0
LIVE_STEPS = (1, 2)
FREEHAND_SET = "as drawn"


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name, group: as the table shows them.
        source: the renders themselves, the renders through the base's autoencoder, or generated pictures.
        inputs: what of the drawing is given; () is the base alone.
        style: a word of `captions.STYLES`.
        scenes: held-out scenes, such with prompts in all orders (then in all styles), or drawings by hand.
        live_steps: painted by the modulator of few steps, in so many.
        only: keep only nu (gamma = 1) or only gamma (nu = 0) of what the modulator says.
        strength, start, end, placement, prompt_boost, guidance_scale: see `Request`.
        share: of the full count of scenes.
        varied: also from other noise, for the diversity.
    """

    name: str
    group: str
    source: Literal["render", "codec", "model"] = "model"
    inputs: tuple[str, ...] = (LABELS, SKETCH)
    style: str = "poster"
    scenes: Literal["held out", "in order", "freehand"] = "held out"
    live_steps: int | None = None
    only: Literal["gamma", "nu"] | None = None
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    placement: Placement = DEFAULT_PLACEMENT
    prompt_boost: float | None = None
    guidance_scale: float | None = None
    share: float = 1.0
    varied: bool = False

    def count(self, full: int) -> int:
        return max(2, round(full * self.share))

    def modalities(self) -> set[str]:
        return {LABELS if name == PARTIAL else name for name in self.inputs}


REAL, BASE, MAP, SKETCHED, BOTH = "real renders", "base alone", "map", "sketch", "map and sketch"

CONTROL = (
    Case(REAL, "control", source="render", inputs=()),
    Case("real renders through the autoencoder", "control", source="codec", inputs=()),
    Case(BASE, "control", inputs=(), varied=True),
    Case(MAP, "control", inputs=(LABELS,), varied=True),
    Case(SKETCHED, "control", inputs=(SKETCH,), varied=True),
    Case(BOTH, "control", varied=True),
    Case("partial map", "control", inputs=(PARTIAL,)),
)


def _styles() -> Iterator[Case]:
    for style in STYLES:
        if style != "poster":
            yield Case(f"{style}: {REAL}", "styles", source="render", inputs=(), style=style, share=0.25)
            yield Case(f"{style}: {BASE}", "styles", inputs=(), style=style, share=0.25)
            yield Case(f"{style}: {BOTH}", "styles", style=style, share=0.25)
            yield Case(f"{style}: {BOTH}, first 0.7 of the steps", "styles", style=style, share=0.25, end=0.7)


def _ablation(name: str, **changes: Any) -> Case:
    return Case(name, "ablations", share=0.3125, **changes)


ABLATIONS = (
    _ablation(REAL, source="render", inputs=()),
    _ablation(BASE, inputs=()),
    _ablation(f"{BOTH}, as above"),
    _ablation("shift only (gamma = 1)", only="nu"),
    _ablation("scale only (nu = 0)", only="gamma"),
    *(_ablation(f"placement: {placement}", placement=placement) for placement in PLACEMENTS),
    _ablation("first half of the steps", end=0.5),
    _ablation("first 0.8 of the steps", end=0.8),
    _ablation("without the first 0.2", start=0.2),
    *(_ablation(f"strength {strength}", strength=strength) for strength in (0.5, 1.0, 1.5)),
    *(_ablation(f"guidance {scale:g}", guidance_scale=scale) for scale in (1.0, 3.0, 5.0)),
    *(_ablation(f"prompt boost {boost:g}", prompt_boost=boost) for boost in (1.0, 1.7, 2.3, 3.0)),
)
"""Those that change nothing show the run's own setting among the others. They cost nothing: pictures are kept
by what made them."""

LIVE = (
    Case(REAL, "live", source="render", inputs=()),
    Case(BOTH, "live"),
    *(Case(f"{BOTH}, live, steps: {steps}", "live", live_steps=steps) for steps in LIVE_STEPS),
)

FREEHAND = (
    Case(BASE, "freehand", inputs=(), scenes="freehand"),
    Case(FREEHAND_SET, "freehand", scenes="freehand"),
    *(
        Case(f"{FREEHAND_SET}, live, steps: {steps}", "freehand", scenes="freehand", live_steps=steps)
        for steps in LIVE_STEPS
    ),
)

WORDS = (
    Case(REAL, "words", source="render", inputs=(), scenes="in order", share=2.0),
    Case(BASE, "words", inputs=(), scenes="in order", share=2.0),
    Case(BOTH, "words", scenes="in order", share=2.0),
)

CASES: tuple[Case, ...] = (*CONTROL, *_styles(), *LIVE, *FREEHAND, *WORDS, *ABLATIONS)


def conditions(case: Case, scene: Drawn) -> Conditions:
    """What of the scene's drawing the case gives."""
    drawn = {LABELS: scene.labels, PARTIAL: scene.partial, SKETCH: scene.sketch}
    return Conditions({(LABELS if name == PARTIAL else name): drawn[name] for name in case.inputs})


def request(
    case: Case, scene: Drawn, seed: int, steps: int | None, scheduler: str | None, accepts_text: bool
) -> Request:
    """The request for one picture of a case."""
    return Request(
        prompt=scene.prompt if accepts_text else "",
        conditions=conditions(case, scene),
        steps=steps,
        guidance_scale=case.guidance_scale if accepts_text else None,
        seeds=(seed,),
        scheduler=scheduler,
        strength=dict.fromkeys(case.modalities(), case.strength),
        start=case.start,
        end=case.end,
        placement=case.placement,
        prompt_boost=case.prompt_boost,
        previews=False,
    )


def possible(cases: Sequence[Case], modulator: Modulator, live: Modulator | None = None) -> list[Case]:
    """The cases whose drawings, guidance and steps the modulator takes, or the one of few steps."""
    return [
        case
        for case in cases
        if (painter := modulator if case.live_steps is None else live) is not None and _takes(painter, case)
    ]


def _takes(modulator: Modulator, case: Case) -> bool:
    guidance = MAX_GUIDANCE if modulator.live is None else 1.0
    offered = (None,) if modulator.live is None else (None, *modulator.live.steps)
    return (
        case.modalities() <= {known.name for known in modulator.modalities}
        and (case.guidance_scale or 1.0) <= guidance
        and case.live_steps in offered
    )


@contextmanager
def only(part: Literal["gamma", "nu"] | None, modulator: Modulator) -> Iterator[None]:
    """While it is entered, the modulator says only gamma (nu = 0) or only nu (gamma = 1); None: both."""

    def kept(_module: object, _inputs: object, said: ModulatorOutput) -> ModulatorOutput:
        if part == "gamma":
            return ModulatorOutput(said.gamma, torch.zeros_like(said.nu))
        return ModulatorOutput(torch.ones_like(said.gamma), said.nu)

    if part is None:
        yield
        return
    handle = modulator.register_forward_hook(kept)
    try:
        yield
    finally:
        handle.remove()
