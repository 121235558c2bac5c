"""What the page remembers of one visit: the shown picture, the gallery, the last row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mcm_core.drawing.conditions import Conditions, InputError, LabelClass
from mcm_core.record import Record, of_picture, to_json
from mcm_core.request import Resolved

from .pictures import drawing_picture, thumbnail
from .views import View, single

FORGOTTEN = "The server has forgotten this picture: many others came since. Press Generate to paint it again."
KEPT = 16
"""Pictures in the gallery; each holds about 200 kB of the server's memory."""


@dataclass(frozen=True)
class Shown:
    """What the viewer shows, and all that restores it; `model` is the name of the one that painted it,
    `before` the drawing before its last change, as far as a picture was painted of it."""

    model: str
    request: Resolved
    view: View
    before: Conditions | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Kept(Shown):
    """A picture of the gallery; `images` are data URLs of the drawing and of the picture.

    The view is empty where only the request was kept, by the browser: it is painted again.
    """

    id: str
    images: tuple[str, str]
    live: bool

    @property
    def text(self) -> str:
        """What tells it from the others."""
        return f"{self.request.prompt.strip()[:80] or 'no prompt'}, seed {self.request.seeds[0]}"

    def entry(self) -> dict[str, Any]:
        """As the browser keeps it; the picture itself can be painted again."""
        record = to_json(Record(self.request))
        return {
            "id": self.id, "model": self.model, "record": record, "images": self.images, "live": self.live
        }  # fmt: skip

    def thumbnail(self) -> dict[str, Any]:
        """As `demo.strip` wants it."""
        return {"images": list(self.images), "text": f"Restore: {self.text}"}


def kept(
    shown: Shown, images: np.ndarray, classes: Sequence[LabelClass], live: bool = False
) -> tuple[Kept, ...]:
    """What is shown as single pictures; images (B, H, W, 3)."""
    drawing = thumbnail(drawing_picture(shown.request.conditions, classes, images.shape[1:3]))
    return tuple(
        Kept(
            shown.model,
            of_picture(shown.request, index),
            single(shown.view, index),
            f"{shown.view['run']}-{index}",
            (drawing, thumbnail(image)),
            live,
            before=shown.before,
        )
        for index, image in enumerate(images)
    )


@dataclass(frozen=True)
class Visit:
    """`kept` is the gallery, newest first, `row` the last row. `owed`: what is asked for is to be painted,
    though nobody has pressed a button."""

    shown: Shown | None = None
    kept: tuple[Kept, ...] = ()
    row: tuple[Kept, ...] = ()
    owed: bool = False

    def known(self) -> Shown:
        """What is shown.

        Raises:
            InputError: nothing, as far as the server knows.
        """
        if self.shown is None:
            raise InputError(FORGOTTEN)
        return self.shown

    def view(self) -> View:
        """What is shown, with what only the visit knows: the gallery, and whether there was a last change."""
        if self.shown is None or not self.shown.view:
            return {}
        painted = [kept for kept in self.kept if kept.view]  # of others the browser has only the request
        gallery = [{**kept.view["pictures"][0], "text": kept.text} for kept in painted]
        return {**self.shown.view, "gallery": gallery, "changed": self.shown.before is not None}

    def keeping(self, shown: Shown, images: np.ndarray, classes: Sequence[LabelClass], live: bool) -> Visit:
        """With pictures (B, H, W, 3) shown and in front of the gallery; of live ones only the last stays."""
        older = self.kept[1:] if live and self.kept and self.kept[0].live else self.kept
        shown = replace(shown, before=self._drawing_before(shown))
        new = kept(shown, images, classes, live)
        return replace(self, shown=shown, kept=(*new, *older)[:KEPT], owed=False)

    def _drawing_before(self, shown: Shown) -> Conditions | None:
        last = self.shown
        if last is None or last.model != shown.model:
            return None
        return last.before if last.request.conditions == shown.request.conditions else last.request.conditions

    def thumbnails(self) -> list[dict[str, Any]]:
        return [kept.thumbnail() for kept in self.kept]
