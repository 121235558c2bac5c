"""The same job for programs: the endpoint /generate of `gradio_client` and of plain HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from inspect import Parameter, Signature
from typing import Any

import gradio as gr

from mcm_core.drawing.canvas_value import from_canvas
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError, Size
from mcm_core.drawing.picture_files import open_picture
from mcm_core.drawing.uploads import FITS, Reading, from_upload
from mcm_core.engine import Waiting
from mcm_core.record import Record, of_picture, to_json
from mcm_core.request import DEFAULT_PLACEMENT, Request

from .asking import client
from .delivery import heard
from .errors import readable
from .fields import Choice, Flag, Number, Text
from .models import Job, Model, Models
from .views import file

Output = tuple[Any, Any, Any]

DESCRIPTION = """Paint one picture that follows a drawing.

The drawing comes as files (label_map: a picture in the classes' colours or of class ids; sketch: strokes
on paper), as a canvas value (drawing), or not at all. Files replace what the canvas value says of the same
kind. A file of another shape is cut to its middle (fit: crop, pad or stretch); a label map keeps exact ids.

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
    with gr.Row(visible=False):
        fields = parameters(models)
        outputs = [gr.File(label="picture"), gr.File(label="plain_picture"), gr.JSON(label="details")]

        def generate(*values: Any) -> Iterator[Output]:
            with readable():
                given = dict(zip(fields, values, strict=True))
                name = given.pop("model")
                model = models[models.default.name if name is None else name]
                yield from _painted(models, Job(model.name, model.resolved(_request(given, model))))

        kind = Parameter.POSITIONAL_OR_KEYWORD
        generate.__signature__ = Signature(  # type: ignore[attr-defined]
            [Parameter(name, kind, default=None) for name in fields]
        )
        gr.Button().click(
            generate,
            inputs=list(fields.values()),
            outputs=outputs,
            api_name="generate",
            api_description=DESCRIPTION,
            show_progress="hidden",
            **on_device,
        )


def parameters(models: Models) -> dict[str, Any]:
    """The endpoint's parameters in their order, as fields that document them and hold their defaults."""
    schedulers = list(models.default.schedulers)
    return {
        "prompt": Text("", label="what it should be"),
        "label_map": gr.File(label="picture of the label map", type="filepath"),
        "sketch": gr.File(label="picture of the sketch", type="filepath"),
        "drawing": gr.JSON(label="canvas value, instead of files"),
        "negative_prompt": Text("", label="what it should not be"),
        "steps": Number(label="denoising steps; none: the model's default"),
        "guidance_scale": Number(label="guidance scale; none: the base's default"),
        "seed": Number(-1, label="seed; -1: a random one"),
        "scheduler": Choice(
            schedulers, value=None, label="scheduler; none: the base's own", allow_custom_value=True
        ),
        "strength": gr.JSON(label='strength by modality, such as {"sketch": 0.5}; 1 where not named'),
        "start": Number(0, label="the drawing acts from this part of the steps, 0 to 1"),
        "end": Number(1, label="the drawing acts until this part of the steps, 0 to 1"),
        "placement": Text(
            DEFAULT_PLACEMENT, label="where it acts under guidance: both, conditional or guided"
        ),
        "compare": Flag(False, label="also paint the same noise without the drawing"),
        "width": Number(label="width in pixels; none: the base's"),
        "height": Number(label="height in pixels; none: the base's"),
        "model": Choice(
            list(models.by_name), value=None, label="model; none: the default", allow_custom_value=True
        ),
        "fit": Choice(
            list(FITS), value="crop", label="how files of another shape are fitted", allow_custom_value=True
        ),
        "zero_based": Flag(False, label="ids of the label map count from 0"),
        "prompt_boost": Number(
            label="the prompt is guided so many times as much while the drawing acts; none: the model's own"
        ),
    }


def _request(given: dict[str, Any], model: Model) -> Request:
    """The request of the parameters but the model; those that a request has itself keep their names."""
    files = {LABELS: given.pop("label_map"), SKETCH: given.pop("sketch")}
    asked = model.resolved(Request(width=given["width"], height=given["height"]))
    size, reading = (asked.height, asked.width), (given.pop("fit"), given.pop("zero_based"))
    drawn = _conditions(given.pop("drawing"), files, model, size, *reading)
    strength, seed = given.pop("strength"), given.pop("seed")
    return Request(
        conditions=drawn,
        strength={} if strength is None else strength,
        seeds=(seed,),
        previews=False,
        **given,
    )


def _conditions(
    drawing: Any, files: Mapping[str, Any], model: Model, size: Size, fit: Any, zero_based: Any
) -> Conditions:
    """Canvas value and files as one drawing, the files at `size`."""
    drawn = Conditions() if drawing in (None, {}) else from_canvas(drawing, model.classes)
    for kind, path in files.items():
        if path is not None:
            if kind not in model.layers:  # before the file is opened
                raise InputError(f"The model {model.name} takes no {kind}: leave that file out.")
            reading = Reading(kind, fit, zero_based is True)
            drawn = drawn.joined(from_upload(open_picture(path), model.classes, reading, size))
    return drawn


def _painted(models: Models, job: Job) -> Iterator[Output]:
    from mcm_core.pipeline import Result

    model, drawn = models[job.model], job.request.conditions
    notes = list(drawn.notes)
    if not drawn.maps:
        notes.append("Nothing is drawn: the prompt alone makes the picture.")
    for event in models.generate(job, heard(threading.Event()), client()):
        if isinstance(event, Waiting):
            yield None, None, {"place": event.place}
        elif isinstance(event, Result):
            request = of_picture(event.request, 0)
            plain = None
            if event.plain_images is not None:
                plain = file(event.plain_images[0], of_picture(event.request, 0, plain=True), model)["path"]
            record = json.loads(to_json(Record(request, model.origin)))
            details = {**record, "notes": notes, "seconds": round(event.seconds, 3)}
            yield file(event.images[0], request, model)["path"], plain, details
        else:
            yield None, None, {"step": event.index + 1, "steps": event.total}
