"""What the page remembers of one visit: the shown picture, the gallery, maps from files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mcm_core.drawing.conditions import Conditions
from mcm_core.record import of_picture
from mcm_core.request import Request

from .models import Model
from .pictures import drawing_picture, thumbnail
from .views import View, single

KEPT = 16
"""Pictures in the gallery; each holds about 100 kB of the server's memory."""


@dataclass(frozen=True)
class Kept:
    """A picture of the gallery with all that restores it."""

    model: str
    request: Request
    view: View
    images: tuple[str, str]
    live: bool

    def thumbnail(self) -> dict[str, Any]:
        """As `demo.strip` wants it."""
        prompt = self.request.prompt.strip() or "no prompt"
        return {"images": list(self.images), "text": f"Restore: {prompt[:80]}, seed {self.request.seeds[0]}"}


@dataclass(frozen=True)
class Visit:
    """`further` are maps that no canvas can draw; `model`, `request`, `view` are of the shown picture."""

    further: Conditions = field(default_factory=Conditions)
    model: str = ""
    request: Request | None = None
    view: View | None = None
    kept: tuple[Kept, ...] = ()

    def showing(self, model: Model, request: Request, view: View) -> Visit:
        return replace(self, model=model.name, request=request, view=view)

    def keeping(self, images: np.ndarray, model: Model, live: bool) -> Visit:
        """With the shown pictures (B, H, W, 3) in front of the gallery; of live ones only the last stays."""
        assert self.request is not None
        assert self.view is not None
        before = self.kept[1:] if live and self.kept and self.kept[0].live else self.kept
        drawing = thumbnail(drawing_picture(self.request.conditions, model.classes, images.shape[1:3]))
        new = tuple(
            Kept(
                model.name,
                of_picture(self.request, index),
                single(self.view, index),
                (drawing, thumbnail(image)),
                live,
            )
            for index, image in enumerate(images)
        )
        return replace(self, kept=(*new, *before)[:KEPT])

    def thumbnails(self) -> list[dict[str, Any]]:
        return [one.thumbnail() for one in self.kept]
