"""What a finished picture is good for besides: the drawing made of it, a larger copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from PIL import Image

from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError
from mcm_core.drawing.sketches import edges
from mcm_core.drawing.uploads import fitted

from .errors import readable
from .form import Updates
from .models import Model, Models
from .page import Page
from .pictures import enlarged, kept, png
from .runs import Run
from .views import pixels
from .visit import Visit

TIMES = (2, 4)

Values = Mapping[Any, Any]


class Reuse:
    """Handlers of what the viewer offers beside Save."""

    def __init__(self, page: Page, models: Models) -> None:
        self.page, self.models = page, models

    def onto_canvas(self, values: Values, event: gr.EventData) -> Updates:
        """The shown picture as a sketch of its edges, or as a map read again: in place of that layer."""
        with readable():
            visit: Visit = values[self.page.visit]
            picture, said = _shown(visit, event), _said(event, "kind")
            model = self.models[values[self.page.model]]
            read = fitted(_as_drawing(picture, said, model), self.page.form.size(values, model))
            return {self.page.canvas: values[self.page.canvas].joined(read)}

    def enlarge(self, values: Values, event: gr.EventData) -> Updates:
        """A larger copy as a file; the viewer saves it and goes on showing what it shows."""
        with readable():
            picture, times = _shown(values[self.page.visit], event), _said(event, "times")
            if times not in TIMES:
                raise InputError("A copy can be 2 or 4 times as large.")
            name = f"picture-{times}x.png"
            path = kept(png(enlarged(picture, times)), name)
            copy = FileData(path=path, orig_name=Path(path).name).model_dump()
            return {self.page.viewer: {"larger": copy, "number": Run().number}}


def _as_drawing(picture: np.ndarray, kind: Any, model: Model) -> Conditions:
    if kind not in model.layers:
        raise InputError("This model takes no such drawing.")
    if kind == SKETCH:
        read = Conditions({SKETCH: edges(Image.fromarray(picture))})
    elif model.segment is None:
        raise InputError("There is no segmentation model for this base: take the picture as a sketch.")
    else:
        read = Conditions({LABELS: model.segment(picture[None])[0]})
    if not read.maps:
        raise InputError("Nothing to draw was found in this picture.")
    return read


def _shown(visit: Visit, event: gr.EventData) -> np.ndarray:
    """(H, W, 3) uint8 of the variation that is seen."""
    index = _said(event, "index")
    pictures = visit.known().view["pictures"]
    if type(index) is not int or not 0 <= index < len(pictures):
        raise InputError("There is no such picture.")
    return pixels(pictures[index]["file"])


def _said(event: gr.EventData, name: str) -> Any:
    return event._data.get(name) if isinstance(event._data, dict) else None
