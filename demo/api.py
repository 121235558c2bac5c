"""The same job for programs: the endpoint /generate of `gradio_client` and of plain HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, from_canvas
from mcm_core.drawing.picture_files import open_picture
from mcm_core.drawing.uploads import from_upload
from mcm_core.engine import Waiting
from mcm_core.record import Record, of_picture, to_json
from mcm_core.request import DEFAULT_PLACEMENT, Request

from .fields import Choice, Flag, Number, Text
from .form import STEPS
from .models import Model, Models
from .telling import told
from .views import file

Output = tuple[Any, Any, Any]

DESCRIPTION = """Paint one picture that follows a drawing.

The drawing comes as files (label_map: a picture in the classes' colours or of class ids; sketch: strokes
on paper), as a canvas value (drawing), or not at all. Files replace what the canvas value says of the same
kind, and are stretched to the picture's size; a label map keeps exact ids, by the nearest pixel.

    from gradio_client import Client, handle_file

    client = Client("http://127.0.0.1:7860")
    picture, plain_picture, details = client.predict(
        prompt="a lake at dusk", label_map=handle_file("labels.png"), sketch=handle_file("sketch.png"),
        seed=7, api_name="/generate",
    )
    picture, _, details = client.predict(prompt="hills in winter", steps=8, api_name="/generate")

picture is a PNG with its whole request inside. details holds the request as JSON, the seconds it took and
notes; while the request waits or runs, details is {"place": n} or {"step": i, "steps": n}, and there is no
picture yet. A seed of -1 is a random one; the request in details tells which. Bad values are refused with
what to do.
"""


def add(models: Models, on_device: dict[str, Any]) -> None:
    """Adds the endpoint to the `gr.Blocks` in whose context this is called."""

    # The endpoint takes its names from here, and its defaults from the fields or else the None.
    def generate(
        prompt: Any = None, label_map: Any = None, sketch: Any = None, drawing: Any = None,
        negative_prompt: Any = None, steps: Any = None, guidance_scale: Any = None, seed: Any = None,
        scheduler: Any = None, strength: Any = None, start: Any = None, end: Any = None,
        placement: Any = None, compare: Any = None, width: Any = None, height: Any = None,
        model: Any = None,
    ) -> Iterator[Output]:  # fmt: skip
        with told():
            chosen = models[models.default.name if model is None else model]
            request = Request(
                prompt=prompt,
                negative_prompt=negative_prompt,
                steps=steps,
                guidance_scale=guidance_scale,
                seeds=(seed,),
                scheduler=scheduler,
                width=width,
                height=height,
                strength=_strength(strength),
                start=start,
                end=end,
                placement=placement,
                compare=compare,
                previews=False,
                conditions=_conditions(drawing, {LABELS: label_map, SKETCH: sketch}, chosen),
            )
            yield from _painted(models, chosen, request)

    with gr.Row(visible=False):
        outputs = [gr.File(label="picture"), gr.File(label="plain_picture"), gr.JSON(label="details")]
        gr.Button().click(
            generate,
            inputs=_fields(models),
            outputs=outputs,
            api_name="generate",
            api_description=DESCRIPTION,
            show_progress="hidden",
            **on_device,
        )


def _fields(models: Models) -> list[Any]:
    """One for each parameter of the endpoint, in their order; they document it, and hold its defaults."""
    schedulers = list(models.default.base.scheduler_names)
    return [
        Text("", label="what it should be"),
        gr.File(label="picture of the label map", type="filepath"),
        gr.File(label="picture of the sketch", type="filepath"),
        gr.JSON(label="canvas value, instead of files"),
        Text("", label="what it should not be"),
        Number(STEPS, label="denoising steps"),
        Number(label="guidance scale; none: the base's default"),
        Number(-1, label="seed; -1: a random one"),
        Choice(schedulers, value=None, label="scheduler; none: the base's own", allow_custom_value=True),
        gr.JSON(label='strength by modality, such as {"sketch": 0.5}; 1 where not named'),
        Number(0, label="the drawing acts from this part of the steps, 0 to 1"),
        Number(1, label="the drawing acts until this part of the steps, 0 to 1"),
        Text(DEFAULT_PLACEMENT, label="where it acts under guidance: both, conditional or guided"),
        Flag(False, label="also paint the same noise without the drawing"),
        Number(label="width in pixels; none: the base's"),
        Number(label="height in pixels; none: the base's"),
        Choice(list(models.by_name), value=None, label="model; none: the default", allow_custom_value=True),
    ]


def _conditions(drawing: Any, files: Mapping[str, Any], model: Model) -> Conditions:
    """Files and canvas value as one drawing at the base's size."""
    drawn = Conditions() if drawing in (None, {}) else from_canvas(drawing, model.classes)
    for kind, path in files.items():
        if path is not None:
            drawn = drawn.joined(from_upload(open_picture(path), model.classes, kind, model.size))
    return drawn


def _strength(value: Any) -> Any:
    return {} if value is None else value


def _painted(models: Models, model: Model, request: Request) -> Iterator[Output]:
    from mcm_core.pipeline import Result

    notes = list(request.conditions.notes) if request.conditions else []
    if request.conditions is None or not request.conditions.drawn().maps:
        notes.append("Nothing is drawn: the prompt alone makes the picture.")
    for event in models.generate(model, request, threading.Event()):
        if isinstance(event, Waiting):
            yield None, None, {"place": event.place}
        elif isinstance(event, Result):
            one = of_picture(event.request, 0)
            plain = None
            if event.plain_images is not None:
                plain = file(event.plain_images[0], of_picture(event.request, 0, plain=True), model)["path"]
            record = json.loads(to_json(Record(one, model.origin)))
            details = {**record, "notes": notes, "seconds": round(event.seconds, 3)}
            yield file(event.images[0], one, model)["path"], plain, details
        else:
            yield None, None, {"step": event.index + 1, "steps": event.total}
