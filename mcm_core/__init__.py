"""Multimodal conditioning modules: a small network modulates the noise prediction of a frozen base.

    from mcm_core import Base, MCMPipeline, Modulator, Request

    pipeline = MCMPipeline(Base.from_pretrained(base), Modulator.from_pretrained(modulator))
    result = pipeline(Request(prompt="a lake at dusk", conditions=conditions, seeds=(7,)))

The names below are imported on first use, so that importing the package is quick and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcm_core.base import Base as Base
    from mcm_core.drawing.conditions import Conditions as Conditions
    from mcm_core.drawing.conditions import InputError as InputError
    from mcm_core.drawing.conditions import LabelClass as LabelClass
    from mcm_core.drawing.conditions import Modality as Modality
    from mcm_core.modulator import Modulator as Modulator
    from mcm_core.pipeline import MCMPipeline as MCMPipeline
    from mcm_core.pipeline import Result as Result
    from mcm_core.pipeline import Step as Step
    from mcm_core.request import Request as Request
    from mcm_core.wrap import modulate as modulate

__version__ = "0.1.0"

_HOMES = {
    "Base": "base",
    "Conditions": "drawing.conditions",
    "InputError": "drawing.conditions",
    "LabelClass": "drawing.conditions",
    "MCMPipeline": "pipeline",
    "Modality": "drawing.conditions",
    "Modulator": "modulator",
    "Request": "request",
    "Result": "pipeline",
    "Step": "pipeline",
    "modulate": "wrap",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mcm_core' has no attribute {name!r}")
    return getattr(import_module(f"mcm_core.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
