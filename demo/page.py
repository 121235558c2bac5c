"""The page's components and where they stand. What they do is in `demo.ui`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions
from mcm_core.drawing.palette import map_picture

from .canvas import Canvas
from .examples import Example, fitting
from .fields import Choice
from .form import Form, prompt_field, seed_fields, setting_fields, style_field
from .memory import Memory
from .models import Model, Models
from .pictures import thumbnail
from .strip import Strip
from .viewer import Viewer
from .visit import Visit
from .words import Words, read

BARE: dict[str, Any] = {"show_label": False, "container": False}
ANY_KIND = {"auto": "of any kind"}
MAP_KINDS = {
    LABELS: {"labels": "as a label map", "labels from 0": "as a label map, ids from 0"},
    SKETCH: {"sketch": "as a sketch", "photo": "as a photo"},
}
"""As what a picture is read for each layer of the canvas."""
PROMPT = "#prompt textarea"
FIELDS = ["#prompt", "#seed", "#settings"]
"""What is listened to by `Words`."""
FITTING = {"crop": "cut to shape", "pad": "given margins", "stretch": "stretched"}
COPY_LINK = "Copy a link to this"


@dataclass(frozen=True)
class Page:
    """Everything that events read or change. `maps` are None where no model reads maps from files. Those maps
    are in `further`, which no run changes: they may be chosen while one is under way."""

    model: gr.Dropdown
    about: gr.Markdown
    canvas: Canvas
    viewer: Viewer
    memory: Memory
    words: Words
    form: Form
    go: gr.Button
    stop: gr.Button
    live: gr.Checkbox
    dice: gr.Button
    link: gr.Button
    examples: Strip
    upload: gr.UploadButton
    kind: gr.Dropdown
    fit: gr.Dropdown
    gallery: Strip
    gallery_box: gr.Column
    maps: Strip | None
    maps_box: gr.Column | None
    visit: gr.State
    further: gr.State

    def named(self) -> dict[str, Any]:
        """Every field by the name that it has in a link and in the browser's memory."""
        return {**self.form.by_name(), "model": self.model, "live": self.live}

    def inputs(self) -> set[Any]:
        """What handlers read."""
        fields = self.form.by_name().values()
        return {
            self.model,
            self.canvas,
            self.live,
            self.upload,
            self.kind,
            self.fit,
            self.visit,
            self.further,
            *fields,
        }


def lay_out(models: Models, examples: Sequence[Example]) -> Page:
    """All components, in the order in which a keyboard and a phone go through them."""
    model = models.default
    height, width = model.size
    parts: dict[str, Any] = {
        "visit": gr.State(Visit(), time_to_live=6 * 3600),
        "further": gr.State(Conditions()),  # not by the time since they were loaded: they may be in use
    }
    with gr.Column(elem_id="workbench"):
        parts |= _head(models)
        with gr.Column(elem_id="draw", elem_classes="card"):
            parts["canvas"] = Canvas(
                model.classes,
                width=width,
                height=height,
                layers=model.layers,
                hint=hint(model),
                sends_moves=model.drafts is not None,
                elem_id="canvas",
            )
        fields, buttons = _ask(model)
        with gr.Column(elem_id="see", elem_classes="card"):
            parts["viewer"] = Viewer(width, height, elem_id="viewer")
            parts["memory"] = Memory(elem_id="memory")
        parts |= _start(model, examples) | buttons | _kept() | _maps(models)
        with gr.Accordion("Settings", open=False, elem_id="settings", elem_classes="card"):
            settings, more = _settings(models)
    return Page(form=Form(**fields, **settings), **parts, **more)


def _head(models: Models) -> dict[str, Any]:
    with gr.Row(elem_id="head"):
        gr.HTML("<h1>MCM</h1><p>Draw it. A frozen diffusion model paints it.</p>", elem_id="title")
        names = list(models.by_name)
        several = len(names) > 1
        menu = Choice(names, value=names[0], label="Model", elem_id="model", visible=several, **BARE)
        upload = gr.UploadButton("Load a picture", file_types=["image"], elem_id="upload", size="sm")
        kind = Choice(
            kinds(models.default), value="auto", label="Read it as", elem_id="kind", min_width=60, **BARE
        )
    return {"model": menu, "upload": upload, "kind": kind}


def _ask(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """The prompt with its chips, and the buttons beside it."""
    with gr.Column(elem_id="ask"):
        with gr.Row(elem_id="prompt-row"):
            prompt = prompt_field(model)
            live = gr.Checkbox(model.drafts is not None, label="Live", elem_id="live", container=False)
            with gr.Row(elem_id="seeds"):
                seeds = seed_fields()
                dice = gr.Button("Roll the dice", elem_id="dice", elem_classes="quiet", size="sm")
            go = gr.Button("Generate", variant="primary", elem_id="go")
            stop = gr.Button("Stop", variant="stop", elem_id="stop")
        with gr.Row(elem_id="under"):
            styles = style_field(model)
            words = Words(FIELDS, PROMPT, ["#go", "#dice"], value=read("", model.base), elem_id="words")
    fields = {"prompt": prompt, "styles": styles, **seeds}
    return fields, {"go": go, "stop": stop, "live": live, "dice": dice, "words": words}


def _settings(models: Models) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is folded away."""
    fields = setting_fields(models)
    with gr.Row(elem_id="seed-row"):
        link = gr.Button(COPY_LINK, elem_id="link", elem_classes="quiet", size="sm")
        fit = Choice(
            [(text, fit) for fit, text in FITTING.items()], value="crop", label="Loaded pictures are"
        )
    line = gr.Markdown(about(models.default), elem_id="about")
    return fields, {"link": link, "about": line, "fit": fit}


def _start(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    with gr.Row(elem_id="start"):
        thumbnails = [example.thumbnail(model.classes) for example in fitting(examples, model)]
        strip = Strip(thumbnails, label="Examples to start from", elem_id="examples")
    return {"examples": strip}


def _kept() -> dict[str, Any]:
    with gr.Column(elem_id="kept", elem_classes="card", visible=False) as box:
        gr.Markdown("This visit", elem_classes="caption")
        strip = Strip(label="Pictures of this visit", elem_id="gallery")
    return {"gallery": strip, "gallery_box": box}


def _maps(models: Models) -> dict[str, Any]:
    """Maps that are loaded from files, for models that read such."""
    if not any(model.further for model in models.by_name.values()):
        return {"maps": None, "maps_box": None}
    with gr.Column(elem_id="maps", elem_classes="card", visible=False) as box:
        gr.Markdown("Maps from files (press one to take it away)", elem_classes="caption")
        strip = Strip(label="Maps from files", elem_id="map-strip")
    return {"maps": strip, "maps_box": box}


def hint(model: Model) -> str:
    """What an empty canvas says."""
    if model.layers:
        return "Draw here"
    if model.further:
        names = " or ".join(modality.name for modality in model.further)
        return f"Load a {names} map"
    return "This model follows no drawing"


def about(model: Model) -> str:
    """One line on the model, for people."""
    frozen = model.base.parameter_count
    if model.pipeline.modulator is None:
        return (
            f"**{model.base.id}** · {_count(frozen)} frozen parameters · no modulator: it follows no drawing"
        )
    added = sum(parameter.numel() for parameter in model.pipeline.modulator.parameters())
    return f"**{model.base.id}** · {_count(frozen)} frozen parameters and {_count(added)} of the modulator"


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2g} billion" if parameters >= 1e9 else f"{parameters / 1e6:.3g} million"


def kinds(model: Model) -> list[tuple[str, str]]:
    """As what a picture can be read for this model, for a menu."""
    further = {modality.name: f"as a {modality.name} map" for modality in model.further}
    read = [ANY_KIND, *(MAP_KINDS[layer] for layer in model.layers), further]
    return [(text, kind) for texts in read for kind, text in texts.items()]


def map_thumbnails(maps: Conditions) -> list[dict[str, Any]]:
    """As `demo.strip` wants them."""
    shown = []
    for name, drawn in maps.maps.items():
        images = [thumbnail(map_picture(name, drawn, ()))]
        shown.append({"images": images, "text": f"Take away: {name}"})
    return shown
