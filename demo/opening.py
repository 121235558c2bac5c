"""What the page begins with: what its address asks for, what its tab has kept, or the welcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from mcm_core.drawing.canvas_value import from_canvas
from mcm_core.drawing.conditions import InputError
from mcm_core.drawing.picture_files import to_rgb
from mcm_core.record import from_json, open_recorded

from . import views
from .canvas import dropped_file
from .errors import notice, readable
from .form import Updates, from_link
from .models import Model, Models
from .page import Page
from .restoring import Restoring, sized
from .runs import Run
from .visit import KEPT, Kept, Shown, Visit

LARGEST_IMAGE = 200_000
"""Characters of a thumbnail as a data URL."""

Values = Mapping[Any, Any]


@dataclass(frozen=True)
class Came:
    """What the `opened` event of `demo.memory` tells. Storage and address may be anybody's: all is judged.

    Attributes:
        query: fields by name, as text.
        drawing: a canvas value that a link carries; None where the canvas has its own.
        kept: entries of the gallery, newest first.
        picture: the file of the picture that was shown.
        is_new: there is nothing to go on with.
        owed: a picture is to be painted whether or not Live is on.
    """

    query: Mapping[str, str]
    drawing: Any
    kept: Sequence[Any]
    picture: Path | None
    is_new: bool
    owed: bool

    @classmethod
    def read(cls, event: gr.EventData) -> Came:
        data = event._data if isinstance(event._data, dict) else {}
        query, kept = data.get("query"), data.get("kept")
        return cls(
            query={name: str(text) for name, text in query.items()} if isinstance(query, dict) else {},
            drawing=data.get("drawing"),
            kept=kept[:KEPT] if isinstance(kept, list) else [],
            picture=dropped_file(event) if data.get("path") else None,
            is_new=data.get("is_new") is True,
            owed=data.get("owed") is True,
        )


class Opening:
    """The handler of the event that a page sends when it is opened; values come and go by component."""

    def __init__(self, page: Page, models: Models, restoring: Restoring) -> None:
        self.page, self.models, self.restoring = page, models, restoring

    def opened(self, values: Values, event: gr.EventData) -> Updates:
        with readable():
            came = Came.read(event)
            if came.is_new:
                return self.restoring.welcome(values)
            updates = self._fields(came, values)
            if came.drawing is not None:
                name: Any = updates.get(self.page.model, values[self.page.model])
                updates |= self._drawn(came, name, updates.get(self.page.canvas, gr.update()))
            return {**updates, **self._visit(came, values[self.page.visit])}

    # -- inside --------------------------------------------------------------------------------------------

    def _fields(self, came: Came, values: Values) -> Updates:
        page, query = self.page, came.query
        here = self.models[values[page.model]]
        model = self.models.by_name.get(query.get("model", ""), here)
        updates: Updates = {page.upload: None}
        if model is not here:
            updates |= {**self.restoring.adapted(model, model.size), page.model: model.name}
        if "live" in query:
            updates[page.live] = query["live"] == "true"
        for field, value in from_link(page.form, query, model).items():
            before = updates.get(field)
            updates[field] = {**(before if isinstance(before, dict) else gr.update()), "value": value}
        if page.form.shape in updates:
            size = page.form.size({page.form.shape: updates[page.form.shape]["value"]}, model)
            updates[page.canvas] = updates.get(page.canvas, gr.update()) | sized(size)
        return updates

    def _drawn(self, came: Came, name: str, canvas: dict[str, Any]) -> Updates:
        """The canvas with the link's drawing, beside what else is new of it."""
        try:
            return {
                self.page.canvas: canvas | {"value": from_canvas(came.drawing, self.models[name].classes)}
            }
        except InputError as error:
            notice([f"The drawing of this link was left out. {error}"])
            return {}

    def _visit(self, came: Came, visit: Visit) -> Updates:
        page = self.page
        kept = [entry for entry in map(self._kept, came.kept) if entry is not None]
        shown = self._shown(came.picture) if came.picture else None
        visit = replace(visit, kept=tuple(kept), shown=shown, owed=came.owed)
        return {
            page.visit: visit,
            page.gallery: visit.thumbnails(),
            page.gallery_box: gr.update(visible=bool(kept)),
            page.memory: {"ids": [entry.id for entry in kept]},
            **({page.viewer: visit.view()} if shown else {}),
        }

    def _kept(self, entry: Any) -> Kept | None:
        """An entry of the browser's gallery, or None where it is damaged or of a model that is not here."""
        try:
            model = self.models[entry["model"]]
            request = model.resolved(from_json(entry["record"]).request)
            images, name = tuple(map(_image, entry["images"])), entry["id"]
        except (InputError, KeyError, TypeError):
            return None
        if len(images) != 2 or not isinstance(name, str):
            return None
        return Kept(model.name, request, {}, name[:60], (images[0], images[1]), entry.get("live") is True)

    def _shown(self, path: Path) -> Shown | None:
        """The picture that the browser has kept, if a model that is here has made it."""
        try:
            makers: list[Model] = []

            def judge(record: Any) -> None:
                makers.extend(self.restoring.makers(record))
                if makers:
                    makers[0].resolved(record.request)

            image, record = open_recorded(path, judge)
        except InputError:
            return None
        pixels = to_rgb(image)
        if record is None or not makers or not record.is_of(pixels):
            return None
        request = makers[0].resolved(record.request)
        return Shown(makers[0].name, request, views.of_file(Run(), makers[0], request, pixels))


def _image(url: Any) -> str:
    """Raises: InputError: what is no small picture as a data URL."""
    if not isinstance(url, str) or not url.startswith("data:image/") or len(url) > LARGEST_IMAGE:
        raise InputError("This is no thumbnail.")
    return url
