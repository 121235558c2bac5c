"""What the viewer shows at each moment of a request: plain dictionaries, the contract with `demo/viewer`.

Every view has a `run`, which grows with each request of a page, and a `state`: waiting, running, done,
comparing, stopped or failed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from mcm_core.drawing.conditions import LABELS, resize_map
from mcm_core.record import of_picture, write_png
from mcm_core.request import Request

from .models import Model
from .pictures import agreement, data_url, heat, read_again

if TYPE_CHECKING:
    from mcm_core.pipeline import Result, Step

View = dict[str, Any]


def waiting(run: int, place: int = 0) -> View:
    """`place` in line from 1, or 0 where the request has only just been sent."""
    return {"run": run, "state": "waiting", "place": place}


def running(run: int, step: Step, started: float) -> View:
    """`started`: `time.monotonic()` just before the first step."""
    left = (time.monotonic() - started) / (step.index + 1) * (step.total - step.index - 1)
    progress = {"step": step.index, "total": step.total, "left": round(left, 1)}
    return {"run": run, "state": "running", **progress, "previews": previews(step)}


def stopped(run: int) -> View:
    return {"run": run, "state": "stopped"}


def failed(run: int, message: str) -> View:
    return {"run": run, "state": "failed", "message": message}


def previews(step: Step) -> list[str]:
    """A data URL for each picture of a step."""
    return [] if step.preview is None else [data_url(picture) for picture in step.preview]


def done(run: int, model: Model, result: Result) -> View:
    """Pictures as files with their requests inside, where the modulator acted, how it was followed."""
    request = result.request
    modulated = bool(result.actions.any())
    return {
        "run": run,
        "state": "done",
        "seconds": round(result.seconds, 2),
        "modulated": modulated,
        "note": "" if request.conditions else "from the prompt alone: nothing is drawn",
        "pictures": [
            {"file": file(image, of_picture(request, index), model), "seed": seed}
            for index, (image, seed) in enumerate(zip(result.images, request.seeds, strict=True))
        ],
        "action": heat(result.gamma_actions, result.nu_actions) if modulated else None,
        **followed(model, request, result.images),
    }


def with_plain(view: View, model: Model, result: Result) -> View:
    """A finished view with the plain pictures in it; `result` is that of the plain requests."""
    requests = [of_picture(result.request, index) for index in range(len(result.images))]
    plain = [file(image, one, model) for image, one in zip(result.images, requests, strict=True)]
    view = {**view, "state": "done", "plain": plain}
    view.pop("previews", None)
    if view["followed"]:
        painted = painted_map(result.request)
        assert model.segment is not None
        assert painted is not None
        read = _segmented(model, result.images, painted)
        shares = [agreement(painted, each, model.classes)["share"] for each in read]
        view["followed"] = [
            {**one, "plain": share} for one, share in zip(view["followed"], shares, strict=True)
        ]
    return view


def single(view: View, index: int) -> View:
    """A finished view of several pictures -> that of one of them."""
    action, followed = view["action"], view["followed"]
    if action is not None:
        action = {**action, "gamma": [action["gamma"][index]], "nu": [action["nu"][index]]}
    plain = {"plain": [view["plain"][index]]} if view.get("plain") else {}
    return {
        **view,
        "restored": True,
        "note": "from the gallery",
        "pictures": [view["pictures"][index]],
        "action": action,
        "followed": [followed[index]] if followed else None,
        **plain,
    }


def of_file(run: int, model: Model, request: Request, image: np.ndarray) -> View:
    """A picture (H, W, 3) that came with its request: what can be told of it without painting it again."""
    images = image[None]
    return {
        "run": run,
        "state": "done",
        "restored": True,
        "note": "restored",
        "modulated": request.conditions is not None and any(request.strength.values()),
        "pictures": [{"file": file(image, request, model), "seed": request.seeds[0]}],
        "action": None,
        **followed(model, request, images),
    }


def followed(model: Model, request: Request, images: np.ndarray) -> View:
    """The agreement of each picture with the painted map, or why there is none."""
    painted = painted_map(request)
    if painted is None:
        return {
            "followed": None,
            "not_followed": "No classes were painted: there is nothing to compare with.",
        }
    if model.segment is None:
        reason = "No segmentation model is at hand for this base, so that its pictures cannot be read again."
        return {"followed": None, "not_followed": reason}
    read = _segmented(model, images, painted)
    return {"followed": [read_again(painted, each, model.classes) for each in read]}


def painted_map(request: Request) -> np.ndarray | None:
    """The label map at the pictures' size, None where nothing is painted."""
    labels = request.conditions.maps.get(LABELS) if request.conditions is not None else None
    if labels is None or not labels.any():
        return None
    assert request.height
    assert request.width
    return resize_map(LABELS, labels, (request.height, request.width))


def _segmented(model: Model, images: np.ndarray, painted: np.ndarray) -> list[np.ndarray]:
    assert model.segment is not None
    return [resize_map(LABELS, each, painted.shape) for each in model.segment(images)]


def file(image: np.ndarray, request: Request, model: Model) -> dict[str, Any]:
    """The picture as a PNG that the page serves, with the request inside."""
    png = write_png(image, request, model.origin)
    path = save_bytes_to_cache(png, f"picture-{request.seeds[0]}.png", get_upload_folder())
    return FileData(path=path, orig_name=Path(path).name).model_dump()
