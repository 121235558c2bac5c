"""A picture that somebody brought: what was understood of it is shown, and drawn when they say so."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from mcm_core.drawing.canvas_value import LAYERS
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError, LabelClass, Size
from mcm_core.drawing.palette import map_picture
from mcm_core.drawing.picture_files import open_picture, shrunk, to_rgb
from mcm_core.drawing.uploads import Reading, fitted, from_map, from_upload, guess_kind

from .errors import readable
from .fields import Choice
from .form import Updates
from .models import Model, Models
from .page import BARE, Page, kinds, map_thumbnails
from .pictures import data_url, drawing_picture

SHOWN = 320
"""The longer side of both pictures as they are sent."""
NAMES = {LABELS: "a label map", SKETCH: "a sketch"}
MOST_CLASSES = 6
"""As many are named, the largest first."""
OFFERED = """async () => {
    const seen = (name) => [...document.querySelectorAll(name)].find((one) => one.getClientRects().length);
    const frame = () => new Promise(requestAnimationFrame);
    const end = performance.now() + 3000;
    await frame();
    do await frame(); while (!seen("#offer-cancel") && performance.now() < end);
    const cancel = seen("#offer-cancel");
    document.querySelector("#workbench").inert = Boolean(cancel);
    if (!cancel) return;
    const offer = cancel.closest("#offer");
    const dialog = { role: "dialog", "aria-modal": "true", "aria-label": "The picture that was loaded" };
    for (const [name, value] of Object.entries(dialog)) offer.setAttribute(name, value);
    document.onkeydown = ({ key, target }) => {
        const isListOpen = target.getAttribute?.("aria-expanded") === "true";
        if (key === "Escape" && !isListOpen) seen("#offer-cancel")?.click();
    };
    (seen("#offer-use:not(:disabled)") ?? cancel).focus();
}"""
"""A picture that was brought stands over the page as a dialog; one that was restored is no such offer."""
ANSWERED = """() => {
    document.querySelector("#workbench").inert = false;
    document.onkeydown = null;
    document.querySelector("#upload")?.focus();
}"""

Values = Mapping[Any, Any]


@dataclass(frozen=True)
class Offer:
    """What was understood of a picture file for the model of this name; None where it could not be read."""

    path: Path
    model: str
    read: Conditions | None


@dataclass(frozen=True)
class Panel:
    """The components. `offer` is a state that holds an `Offer` or None."""

    box: gr.Column
    seen: gr.HTML
    kind: gr.Dropdown
    use: gr.Button
    cancel: gr.Button
    offer: gr.State

    def parts(self) -> list[Any]:
        return list(vars(self).values())


def lay_out(model: Model) -> Panel:
    """Over the page, wherever in it this is called."""
    with gr.Column(visible=False, elem_id="offer", elem_classes="card") as box:
        seen = gr.HTML(elem_id="offer-seen")
        with gr.Row():
            kind = Choice(kinds(model), value="auto", label="Read it as", elem_id="offer-kind", **BARE)
            use = gr.Button("Use it", variant="primary", elem_id="offer-use")
            cancel = gr.Button("Cancel", elem_id="offer-cancel", elem_classes="quiet")
    return Panel(box, seen, kind, use, cancel, gr.State(None, time_to_live=3600))


class Offering:
    """Handlers; values come and go by component."""

    def __init__(self, page: Page, panel: Panel, models: Models) -> None:
        self.page, self.panel, self.models = page, panel, models

    def offered(self, values: Values, path: Path, image: Image.Image, kind: Any = None) -> Updates:
        """The panel with a picture (as it was opened from `path`) and how it was read; the drawing stays."""
        panel, model = self.panel, self.models[values[self.page.model]]
        kind = values[self.page.kind] if kind is None else kind
        try:
            size = self.page.form.size(values, model)
            read = understood(image, model, kind, values[self.page.fit], size)
            picture, told = shown(read, model.classes, size), description(read, model.classes)
        except InputError as error:
            read, picture, told = None, None, [str(error)]
        return {
            panel.box: gr.update(visible=True),
            panel.seen: markup(thumbnail(image), picture, told),
            panel.kind: gr.update(choices=kinds(model), value=kind),
            panel.use: gr.update(interactive=read is not None),
            panel.offer: Offer(path, model.name, read),
        }

    def read_again(self, values: Values) -> Updates:
        """The same picture as another kind."""
        with readable():
            offer = self._offer(values)
            return self.offered(values, offer.path, open_picture(offer.path), values[self.panel.kind])

    def use(self, values: Values) -> Updates:
        """What was understood becomes the drawing, or one of the maps from files."""
        with readable():
            offer, page = self._offer(values), self.page
            model = self.models[values[page.model]]
            if offer.read is None or offer.model != model.name:
                raise InputError("This picture was not read for this model. Load it again.")
            further = offer.read.only(modality.name for modality in model.further)
            closed = self.cancel()
            if further.maps:
                both = Conditions({**values[page.further].maps, **further.maps})
                return {**closed, **with_maps(page, both)}
            size = page.form.size(values, model)
            return {**closed, page.canvas: values[page.canvas].joined(offer.read).resized(size)}

    def cancel(self) -> Updates:
        return {self.panel.box: gr.update(visible=False), self.panel.seen: "", self.panel.offer: None}

    def _offer(self, values: Values) -> Offer:
        offer = values[self.panel.offer]
        if not isinstance(offer, Offer):
            raise InputError("This picture is not there any more. Load it again.")
        return offer


def with_maps(page: Page, further: Conditions) -> Updates:
    """The page with these maps from files."""
    thumbnails = map_thumbnails(further)
    box = {page.maps_box: gr.update(visible=bool(thumbnails))} if page.maps_box is not None else {}
    strip = {page.maps: thumbnails} if page.maps is not None else {}
    return {page.further: further, **box, **strip}


# -- reading -----------------------------------------------------------------------------------------------


def understood(image: Image.Image, model: Model, kind: Any, fit: Any, size: Size) -> Conditions:
    """A picture as the page's menus ask for it to be read, at a size (H, W).

    Raises:
        InputError: it cannot be read so, nothing was found in it, or the model takes no such drawing.
    """
    if not model.modalities:
        raise InputError("This model follows no drawing, so that no picture can be one.")
    further = {modality.name: modality for modality in model.further}
    if kind == "auto" and further and not model.layers:
        kind = next(iter(further))
    if kind in further:
        return fitted(from_map(image, kind, further[kind].channels), size, fit)
    zero_based = kind == "labels from 0"
    kind = LABELS if zero_based else guess_kind(image, model.classes) if kind == "auto" else kind
    layer = SKETCH if kind == "photo" else kind
    if layer in LAYERS and layer not in model.layers:  # before its pixels are looked at
        raise InputError(f"This model takes no {layer}. Read the picture as another kind.")
    read = from_upload(image, model.classes, Reading(kind, fit, zero_based), size)
    if not read.maps:
        raise InputError("Nothing to draw was found in this picture. Read it as another kind.")
    return read


# -- what is shown -----------------------------------------------------------------------------------------


def shown(read: Conditions, classes: tuple[LabelClass, ...], size: Size) -> np.ndarray:
    """(H, W, 3) uint8: a reading as it will be on the canvas, or the map that it is."""
    others = [name for name in read.maps if name not in LAYERS]
    return (
        map_picture(others[0], read.maps[others[0]], ()) if others else drawing_picture(read, classes, size)
    )


def description(read: Conditions, classes: tuple[LabelClass, ...]) -> list[str]:
    """Sentences: as what a picture was read, what it holds, and its notes."""
    name = next(iter(read.maps))
    said = [f"Read as {NAMES.get(name, f'a {name} map')}.", *read.notes]
    if name == LABELS:
        counts = np.bincount(read.maps[LABELS].ravel(), minlength=len(classes) + 1) / read.maps[LABELS].size
        largest = sorted(range(1, len(classes) + 1), key=lambda index: -counts[index])[:MOST_CLASSES]
        named = [f"{classes[index - 1].name} {counts[index]:.0%}" for index in largest if counts[index]]
        named += [f"unpainted {counts[0]:.0%}"] if counts[0] else []
        said.insert(1, f"It holds {', '.join(named)}.")
    return said


def thumbnail(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8: the picture itself."""
    return to_rgb(shrunk(image, SHOWN, Image.Resampling.BOX))


def markup(picture: np.ndarray, reading: np.ndarray | None, said: list[str]) -> str:
    """Both pictures and the sentences as HTML."""
    both = [("The picture", picture)] + ([] if reading is None else [("How it was understood", reading)])
    figures = "".join(
        f'<figure><img src="{data_url(pixels)}" alt="{text}"><figcaption>{text}</figcaption></figure>'
        for text, pixels in both
    )
    sentences = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in said)
    return f'<div class="figures">{figures}</div><div role="status">{sentences}</div>'
