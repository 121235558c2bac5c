"""Events that bring something onto the page: gallery, pictures with requests, uploads, examples, links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from mcm_core.drawing.conditions import LABELS, InputError, Size
from mcm_core.drawing.picture_files import open_picture, to_rgb
from mcm_core.drawing.sizes import nearest
from mcm_core.drawing.uploads import fitted
from mcm_core.record import CHANGED, Record, open_recorded
from mcm_core.request import DEFAULT_PLACEMENT, Resolved, known_boost

from . import views
from .canvas import dropped_file
from .errors import notice, readable, told
from .examples import Example, fitting
from .form import Updates, restored_note, shape
from .models import Model, Models
from .offering import Offering, with_maps
from .page import Page, about, hint, kinds
from .runs import Run, Runs
from .strip import chosen
from .visit import Kept, Shown

Values = Mapping[Any, Any]


class Restoring:
    """Handlers; values come and go by component. A picture that takes the shown one's place stops what is
    being painted, which would take its place in turn."""

    def __init__(
        self, page: Page, models: Models, runs: Runs, examples: list[Example], offering: Offering
    ) -> None:
        self.page, self.models, self.runs = page, models, runs
        self.examples, self.offering = examples, offering

    def choose_model(self, values: Values) -> Updates:
        with readable():
            model = self.models[values[self.page.model]]
            notice(model.pipeline.notes)
            chosen = self.page.form.chosen_size(values)
            return self.adapted(model, nearest(chosen, model.sizes) if chosen else model.size)

    def choose_shape(self, values: Values) -> Updates:
        with readable():
            model = self.models[values[self.page.model]]
            return {self.page.canvas: sized(self.page.form.size(values, model))}

    def choose_example(self, values: Values, event: gr.EventData) -> Updates:
        with readable():
            model = self.models[values[self.page.model]]
            offered = fitting(self.examples, model)
            example = offered[chosen(event, len(offered))]
            prompt = {self.page.form.prompt: example.prompt} if model.base.accepts_text else {}
            size = self.page.form.size(values, model)
            return {self.page.canvas: fitted(example.conditions, size), **prompt}

    def welcome(self, values: Values) -> Updates:
        """Something to start from on a page that was opened anew, where its picture is there at once."""
        model = self.models[values[self.page.model]]
        first = next(iter(fitting(self.examples, model)), None)
        if model.drafts is None or first is None or LABELS not in first.conditions.maps:
            return {self.page.canvas: gr.skip()}
        prompt = {self.page.form.prompt: first.prompt} if model.base.accepts_text else {}
        return {self.page.canvas: first.conditions, **prompt}

    def choose_kept(self, values: Values, request: gr.Request, event: gr.EventData) -> Updates:
        """A picture of the gallery, and everything as it was for it."""
        with readable():
            visit = values[self.page.visit]
            kept = visit.kept[chosen(event, len(visit.kept))]
            return self._in_its_place(self._again(values, kept), request)

    def choose_cell(self, values: Values, request: gr.Request, event: gr.EventData) -> Updates:
        """The same for a picture of the last row."""
        with readable():
            row = values[self.page.visit].row
            return self._in_its_place(self._again(values, row[chosen(event, len(row))]), request)

    def forget_map(self, values: Values, event: gr.EventData) -> Updates:
        """Takes away a map that came from a file."""
        with readable():
            further = values[self.page.further]
            names = list(further.maps)
            names.pop(chosen(event, len(names)))
            return with_maps(self.page, further.only(names))

    def upload(self, values: Values, request: gr.Request) -> Updates:
        with readable():
            path = values[self.page.upload]
            if not path:
                return {self.page.upload: None}
            return self._in_its_place(self._opened(values, Path(path)), request)

    def drop(self, values: Values, request: gr.Request, event: gr.EventData) -> Updates:
        with readable():
            return self._in_its_place(self._opened(values, dropped_file(event)), request)

    def adapted(self, model: Model, size: Size) -> Updates:
        """The page for another model, and pictures of a size (H, W)."""
        page = self.page
        canvas = sized(size) | {
            "classes": [asdict(label_class) for label_class in model.classes],
            "layers": list(model.layers),
            "hint": hint(model),
        }
        return {
            **page.form.adapted(model, size),
            page.canvas: canvas,
            page.about: about(model),
            page.examples: [one.thumbnail(model.classes) for one in fitting(self.examples, model)],
            page.kind: gr.update(choices=kinds(model), value="auto"),
        }

    def makers(self, record: Record) -> list[Model]:
        """The models that are here and have made this very picture."""
        models = self.models.by_name.values()
        return [model for model in models if record.origin and not record.origin.differences(model.origin)]

    # -- inside --------------------------------------------------------------------------------------------

    def _again(self, values: Values, kept: Kept) -> Updates:
        if not kept.view:  # the server was another one when it was painted
            return self._owed(self._restored(values, Shown(kept.model, kept.request, {})))
        view = views.again(kept.view, Run())
        return self._restored(values, Shown(kept.model, kept.request, view, before=kept.before))

    def _in_its_place(self, updates: Updates, request: gr.Request) -> Updates:
        """What is being painted stops where another picture is shown now."""
        if self.page.viewer in updates:
            self.runs.stop(request.session_hash)
        return updates

    def _opened(self, values: Values, path: Path) -> Updates:
        """A picture made here restores its request; any other is offered as a drawing, and so is one whose
        request the model that would paint it refuses."""
        here, refused = self.models[values[self.page.model]], list[InputError]()

        def judge(record: Record) -> None:
            try:
                self._maker(record, here).resolved(record.request)
            except InputError as error:
                refused.append(error)
                raise

        try:
            image, record = open_recorded(path, judge, self.models.takes)
        except InputError:
            if not refused:
                raise
            notice([f"The request in this picture cannot be painted here. {refused[0]}"])
            image, record = open_picture(path), None
        if record is not None:
            return {**self._recorded(values, record, to_rgb(image)), **self.offering.cancel()}
        return {**self.offering.offered(values, path, image), self.page.upload: None}

    def _recorded(self, values: Values, record: Record, pixels: np.ndarray) -> Updates:
        model = self._maker(record, self.models[values[self.page.model]])
        request = model.resolved(record.request)
        notes = list(record.origin.differences(model.origin)) if record.origin else []
        notice(f"It will not be quite the same picture: {note}." for note in notes + lost(request, model))
        if not record.is_of(pixels):
            return self._changed(values, Shown(model.name, request, {}))
        view = views.of_file(Run(), model, request, pixels)
        return {**self._restored(values, Shown(model.name, request, view)), self.page.upload: None}

    def _changed(self, values: Values, shown: Shown) -> Updates:
        """The settings alone: an edited picture is not what they made, so what is shown stays."""
        notice([CHANGED])
        updates = self._restored(values, shown)
        del updates[self.page.viewer]
        visit = replace(updates[self.page.visit], shown=values[self.page.visit].shown)
        return {**updates, self.page.visit: visit, self.page.upload: None}

    def _maker(self, record: Record, otherwise: Model) -> Model:
        """The model that made a picture, where it is here."""
        return next(iter(self.makers(record)), otherwise)

    def _owed(self, updates: Updates) -> Updates:
        """Restored, but for the picture: that is to be painted, and another is shown until then."""
        del updates[self.page.viewer]
        visit = replace(updates[self.page.visit], shown=None, owed=True)
        return {**updates, self.page.visit: visit}

    def _restored(self, values: Values, shown: Shown) -> Updates:
        page, request, model = self.page, shown.request, self.models[shown.model]
        told(restored_note(request))
        size = size_on_page(request, model)
        updates = self.adapted(model, size)
        fields = {**page.form.restored(request), page.form.shape: shape(size)}
        for field, value in {**fields, page.canvas: request.conditions}.items():
            updates[field] = {**updates.get(field, gr.update()), "value": value}
        further = request.conditions.only(modality.name for modality in model.further)
        visit = replace(values[page.visit], shown=shown)
        memory = {"stale": "", "shown": shown.view["pictures"][0]["file"]} if shown.view else {"stale": ""}
        shows: Updates = {page.viewer: visit.view(), page.memory: memory, page.visit: visit}
        return {**updates, page.model: model.name, **shows, **with_maps(page, further)}


def sized(size: Size) -> dict[str, Any]:
    """An update of the canvas to a size (H, W)."""
    return gr.update(width=size[1], height=size[0])


def size_on_page(request: Resolved, model: Model) -> Size:
    """That of the request where the page offers it, else the model's own."""
    size = request.height, request.width
    return size if size in model.sizes else model.size


def lost(request: Resolved, model: Model) -> list[str]:
    """For people: what of a request the page has no field for."""
    notes = []
    if size_on_page(request, model) != (request.height, request.width):
        notes.append(f"it was painted at {request.width} x {request.height} pixels")
    if request.placement != DEFAULT_PLACEMENT:
        notes.append(f"it was painted with the placement {request.placement!r}")
    if request.guided and request.prompt_boost != known_boost(None, model.pipeline.modulator):
        notes.append(f"its prompt was guided {request.prompt_boost:g} times as much")
    return notes
