"""What the viewer shows at each moment of a request: plain dictionaries, the contract with `demo/viewer`.

Every view has a `state`: draft, waiting, running, done, comparing, stopped or failed; a `run`, the number of
the request that painted the shown picture; and a `turn`, that of the request which says this. Both grow; they
differ where the plain picture is painted beside a finished one. `demo/viewer/state.js` says what is shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gradio.data_classes import FileData
from PIL import Image

from mcm_core.drawing.conditions import LABELS, Conditions, InputError, resize_map
from mcm_core.record import of_picture, write_png
from mcm_core.request import Request, Resolved

from .models import Model
from .parts import ALL, area, parts
from .pictures import (
    calm,
    data_url,
    difference,
    drawing_layers,
    heat,
    kept,
    middle,
    outline,
    preview_url,
    read_again,
)
from .runs import Run

if TYPE_CHECKING:
    from mcm_core.pipeline import Result, Step

View = dict[str, Any]


def waiting(run: Run, place: int = 0) -> View:
    """`place` in line from 1, or 0 where the request has only just been sent."""
    return {**_of(run), "state": "waiting", "place": place}


def running(run: Run, step: Step, started: float) -> View:
    """`started`: `time.monotonic()` just before the first step."""
    left = (time.monotonic() - started) / (step.index + 1) * (step.total - step.index - 1)
    progress = {"step": step.index, "total": step.total, "left": round(left, 1)}
    return {**_of(run), "state": "running", **progress, "previews": previews(step)}


def draft(run: Run, result: Result) -> View:
    """What follows the brush: no file, nothing to restore it by; the picture comes when the hand rests."""
    return {**_of(run), "state": "draft", "draft": preview_url(result.images[0])}


def stopped(run: Run) -> View:
    return {**_of(run), "state": "stopped"}


def failed(run: Run, message: str) -> View:
    return {**_of(run), "state": "failed", "message": message}


def beside(view: View, run: Run, state: str = "comparing") -> View:
    """A finished view, while the plain picture is painted or after that was stopped or failed."""
    return {**view, "turn": run.number, "state": state}


def _of(run: Run) -> View:
    return {"run": run.number, "turn": run.number, "live": run.live}


def previews(step: Step) -> list[str]:
    """A data URL for each picture of a step."""
    return [] if step.preview is None else [preview_url(picture) for picture in step.preview]


def done(run: Run, model: Model, result: Result) -> View:
    """Pictures as files with their requests inside, where the modulator acted, how it was followed."""
    request = result.request
    modulated = bool(result.actions.any())
    return {
        **_of(run),
        "state": "done",
        "seconds": round(result.seconds, 2),
        "modulated": modulated,
        "note": "" if request.conditions.maps else "from the prompt alone: nothing is drawn",
        "pictures": [
            {"file": file(image, of_picture(request, index), model), "seed": seed}
            for index, (image, seed) in enumerate(zip(result.images, request.seeds, strict=True))
        ],
        "action": heat(calm(result.gamma_actions), calm(result.nu_actions)) if modulated else None,
        **drawn(model, request),
        **followed(model, request, result.images),
    }


def with_twin(view: View, run: Run, model: Model, result: Result, part: str, drawn: Conditions) -> View:
    """A finished view with the same pictures without a part of their drawing in it.

    Args:
        result: of the request without the part.
        part: its key, see `demo.parts`.
        drawn: the drawing with it.
    """
    requests = [of_picture(result.request, index) for index in range(len(result.images))]
    files = [file(image, request, model) for image, request in zip(result.images, requests, strict=True)]
    size = (result.images.shape[1], result.images.shape[2])
    where = area(drawn, Conditions() if part == ALL else result.request.conditions, size)
    pairs = zip(view["pictures"], result.images, strict=True)
    twin = {
        "files": files,
        "differences": [difference(pixels(picture["file"]), image, where) for picture, image in pairs],
        "outline": None if part == ALL else data_url(outline(where)),
        "middle": 50.0 if part == ALL else middle(where),
    }
    view = {**beside(view, run, "done"), "twins": {**view.get("twins", {}), part: twin}}
    if view["followed"] and part == ALL:
        plainly = followed(model, result.request, result.images)["followed"]
        both = zip(view["followed"], plainly, strict=True)
        view["followed"] = [{**modulated, "plain": alone["share"]} for modulated, alone in both]
    return view


def pixels(file: Mapping[str, Any]) -> np.ndarray:
    """(H, W, 3) uint8 of a picture that was made for the page. InputError where it is not kept any more."""
    try:
        with Image.open(file["path"]) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError("The file of this picture is not kept any more. Generate it again.") from error


def again(view: View, run: Run) -> View:
    """A finished view, shown once more."""
    return {**view, **_of(run)}


def single(view: View, index: int) -> View:
    """A finished view of several pictures -> that of one of them."""
    action, followed = view["action"], view["followed"]
    if action is not None:
        action = {**action, "gamma": [action["gamma"][index]], "nu": [action["nu"][index]]}
    return {
        **view,
        "restored": True,
        "note": "from the gallery",
        "pictures": [view["pictures"][index]],
        "action": action,
        "followed": [followed[index]] if followed else None,
        "twins": {},
    }


def of_file(run: Run, model: Model, request: Resolved, image: np.ndarray) -> View:
    """A picture (H, W, 3) that came with its request: what can be told of it without painting it again."""
    images = image[None]
    return {
        **_of(run),
        "state": "done",
        "restored": True,
        "note": "restored",
        "modulated": bool(request.conditions.maps) and any(request.strength.values()),
        "pictures": [{"file": file(image, request, model), "seed": request.seeds[0]}],
        "action": None,
        **drawn(model, request),
        **followed(model, request, images),
    }


def drawn(model: Model, request: Resolved) -> View:
    """The drawing as layers to lay over its pictures, and its parts."""
    conditions = request.conditions
    return {
        "drawing": drawing_layers(conditions, model.classes, (request.height, request.width)),
        "parts": parts(conditions, model.classes),
    }


def followed(model: Model, request: Resolved, images: np.ndarray) -> View:
    """The agreement of each picture with the painted map, or why there is none."""
    if LABELS not in request.conditions.maps:
        return {
            "followed": None,
            "not_followed": "No classes were painted: there is nothing to compare with.",
        }
    if model.segment is None:
        reason = "This base has no segmentation model, so its pictures cannot be compared with the map."
        return {"followed": None, "not_followed": reason}
    size = (images.shape[1], images.shape[2])
    painted = resize_map(LABELS, request.conditions.maps[LABELS], size)
    readings = [resize_map(LABELS, labels, size) for labels in model.segment(images)]
    return {"followed": [read_again(painted, reading, model.classes) for reading in readings]}


def file(image: np.ndarray, request: Request, model: Model) -> dict[str, Any]:
    """The picture as a PNG that the page serves, with the request inside."""
    path = kept(write_png(image, request, model.origin), f"picture-{request.seeds[0]}.png")
    return FileData(path=path, orig_name=Path(path).name).model_dump()
