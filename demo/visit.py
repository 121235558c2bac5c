"""What the page remembers of one visit: the shown picture, the gallery, maps from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mcm_core.drawing.conditions import Conditions, LabelClass
from mcm_core.record import Record, of_picture, to_json
from mcm_core.request import Resolved

from .pictures import drawing_picture, thumbnail
from .views import View, single

KEPT = 16
"""Pictures in the gallery; each holds about 100 kB of the server's memory."""


@dataclass(frozen=True)
class Shown:
    """What the viewer shows, and all that restores it; `model` is the name of the one that painted it."""

    model: str
    request: Resolved
    view: View


@dataclass(frozen=True)
class Kept(Shown):
    """A picture of the gallery; `images` are data URLs of the drawing and of the picture.

    The view is empty where only the request was kept, by the browser: it is painted again.
    """

    id: str
    images: tuple[str, str]
    live: bool

    def entry(self) -> dict[str, Any]:
        """As the browser keeps it; the picture itself can be painted again."""
        record = to_json(Record(self.request))
        return {
            "id": self.id, "model": self.model, "record": record, "images": self.images, "live": self.live
        }  # fmt: skip

    def thumbnail(self) -> dict[str, Any]:
        """As `demo.strip` wants it."""
        prompt = self.request.prompt.strip() or "no prompt"
        return {"images": list(self.images), "text": f"Restore: {prompt[:80]}, seed {self.request.seeds[0]}"}


@dataclass(frozen=True)
class Visit:
    """`further` are maps that no canvas can draw, `kept` the gallery, newest first; `owed`: what is asked for
    is to be painted, though nobody has pressed a button."""

    further: Conditions = field(default_factory=Conditions)
    shown: Shown | None = None
    kept: tuple[Kept, ...] = ()
    owed: bool = False

    def keeping(self, shown: Shown, images: np.ndarray, classes: Sequence[LabelClass], live: bool) -> Visit:
        """With pictures (B, H, W, 3) shown and in front of the gallery; of live ones only the last stays."""
        before = self.kept[1:] if live and self.kept and self.kept[0].live else self.kept
        drawing = thumbnail(drawing_picture(shown.request.conditions, classes, images.shape[1:3]))
        new = tuple(
            Kept(
                shown.model,
                of_picture(shown.request, index),
                single(shown.view, index),
                f"{shown.view['run']}-{index}",
                (drawing, thumbnail(image)),
                live,
            )
            for index, image in enumerate(images)
        )
        return replace(self, shown=shown, kept=(*new, *before)[:KEPT], owed=False)

    def thumbnails(self) -> list[dict[str, Any]]:
        return [kept.thumbnail() for kept in self.kept]
