"""Arrays -> what people look at: data URLs, thumbnails, heat maps, the agreement with a drawing."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from gradio.processing_utils import hash_bytes
from gradio.utils import get_upload_folder
from PIL import Image, ImageFilter

from mcm_core.drawing.conditions import LABELS, SKETCH, VOID, Conditions, LabelClass, Size
from mcm_core.drawing.palette import palette_picture
from mcm_core.files import write_whole

THUMBNAIL = 112
"""The longer side of a thumbnail in pixels, twice what is shown, for dense displays."""
PREVIEW = 512
"""The longer side of a preview in pixels as it is sent."""
LOSSLESS = 128
"""Up to so many pixels along its longer side a preview is sent as PNG, as it is: the colours of latents."""
MAX_HEAT = 48
"""The longer side of a heat map as it is sent; an SDXL latent has 128."""
CALM = 1.0
"""How far heat maps are smoothed, as a standard deviation in latents."""
MEAN_NOISE = (2 / np.pi) ** 0.5
"""The mean size of unit Gaussian noise."""
CLEAR = 10.0
"""A difference of colours (CIE76) that is seen at a glance; 2.3 is the least that is seen at all."""
STRIKING = 40.0
"""The difference of colours that is the hottest in a map of differences."""
INK = (35, 39, 46)
MISSED = (255, 45, 85)


def data_url(pixels: np.ndarray) -> str:
    """(H, W, 3 or 4) uint8 -> a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png(pixels, compress_level=1)).decode("ascii")


def png(pixels: np.ndarray, compress_level: int = 6) -> bytes:
    """(H, W, 3 or 4) uint8 as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=compress_level)
    return file.getvalue()


def kept(data: bytes, name: str) -> str:
    """The path of a file that the page may serve, known by its contents. One that is there already may be on
    its way to somebody: it stays as it is, and counts as new where old ones are taken away."""
    path = Path(get_upload_folder()) / hash_bytes(data) / name
    try:
        os.utime(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    return str(path.resolve())


def preview_url(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8, seen for a moment and enlarged or not -> a small data URL, quickly made."""
    small = shrunk(pixels, PREVIEW)
    if max(small.shape[:2]) <= LOSSLESS:
        return data_url(small)
    file = io.BytesIO()
    Image.fromarray(small).save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def thumbnail(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 -> a small picture as a data URL."""
    return data_url(shrunk(pixels, THUMBNAIL))


def shrunk(pixels: np.ndarray, longest: int) -> np.ndarray:
    """(H, W) or (H, W, C), by area until no side is longer than `longest`; smaller ones as they are."""
    scale = longest / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def drawing_picture(
    conditions: Conditions, classes: Sequence[LabelClass], size: Size | None = None
) -> np.ndarray:
    """(H, W, 3) uint8: the drawing as it is on the canvas, strokes over classes over paper; its own size
    where none is given."""
    size = size or conditions.size or (THUMBNAIL, THUMBNAIL)
    maps = conditions.resized(size).maps
    painted = palette_picture(maps.get(LABELS, np.zeros(size, np.uint8)), classes)
    picture = np.where(painted[..., 3:] > 0, painted[..., :3], np.uint8(250))
    if SKETCH in maps:
        picture[maps[SKETCH] > 127] = INK
    return picture


def drawing_layers(
    conditions: Conditions, classes: Sequence[LabelClass], size: Size
) -> dict[str, str | None]:
    """The drawing to lay over a picture of `size`: its classes and its strokes, as data URLs."""
    maps = conditions.resized(size).maps
    painted = palette_picture(maps[LABELS], classes) if LABELS in maps else None
    strokes = None
    if SKETCH in maps:
        strokes = np.zeros((*size, 4), np.uint8)
        strokes[maps[SKETCH] > 127] = (*INK, 255)
    return {
        name: None if layer is None else data_url(layer)
        for name, layer in ((LABELS, painted), (SKETCH, strokes))
    }


# -- what the modulator did --------------------------------------------------------------------------------


def heat(gamma: np.ndarray, nu: np.ndarray) -> dict[str, Any]:
    """Actions (steps, B, h, w) -> levels for the viewer, 255 being the strongest of both together.

    `top` is what that strongest action is beside the mean size of the noise itself.
    """
    steps, count = gamma.shape[:2]
    small = [_small(actions) for actions in (gamma, nu)]
    top = max(float((small[0] + small[1]).max()), 1e-12)
    gammas, nus = (np.rint(actions * (255 / top)).astype(np.uint8) for actions in small)
    return {
        "steps": steps,
        "top": round(top / MEAN_NOISE, 4),
        "height": gammas.shape[2],
        "width": gammas.shape[3],
        "gamma": [_base64(gammas[:, index]) for index in range(count)],
        "nu": [_base64(nus[:, index]) for index in range(count)],
    }


def calm(actions: np.ndarray) -> np.ndarray:
    """Actions (steps, B, h, w) without their grain, which is the noise's: gamma scales it as it is."""
    return np.stack([[cv2.GaussianBlur(plane, (0, 0), CALM) for plane in step] for step in actions])


def _small(actions: np.ndarray) -> np.ndarray:
    steps, count = actions.shape[:2]
    return np.stack([[shrunk(actions[i, j], MAX_HEAT) for j in range(count)] for i in range(steps)])


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


# -- how well it followed ----------------------------------------------------------------------------------


def agreement(painted: np.ndarray, read: np.ndarray, classes: Sequence[LabelClass]) -> dict[str, Any]:
    """How far a map read from a picture (H, W) agrees with the painted one (H, W), where that is painted.

    `share` is over all painted pixels, and each class's share over those painted in it.
    """
    right = painted == read
    used = [index for index in range(1, len(classes) + 1) if (painted == index).any()]
    return {
        "share": float(right[painted != VOID].mean()),
        "classes": [
            {
                "key": f"{LABELS}:{index}",
                "name": classes[index - 1].name,
                "color": classes[index - 1].color,
                "share": float(right[painted == index].mean()),
            }
            for index in used
        ],
    }


def read_again(painted: np.ndarray, read: np.ndarray, classes: Sequence[LabelClass]) -> dict[str, Any]:
    """The agreement, with the read map and what it misses of the painted one as pictures to lay over it."""
    misses = np.zeros((*painted.shape, 4), np.uint8)
    misses[(painted != read) & (painted != VOID)] = (*MISSED, 255)
    pictures = {"map": data_url(palette_picture(read, classes)), "misses": data_url(misses)}
    return {**agreement(painted, read, classes), **pictures, "plain": None}


# -- what a part of the drawing did ------------------------------------------------------------------------


def difference(picture: np.ndarray, other: np.ndarray, where: np.ndarray) -> dict[str, Any]:
    """How two pictures (H, W, 3) differ, as levels of heat and as the share of pixels that clearly changed,
    `inside` and `outside` of `where` (H, W); None where there is no such side."""
    unit = [pixels.astype(np.float32) / 255 for pixels in (picture, other)]
    lab = [cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB) for pixels in unit]
    distance = np.linalg.norm(lab[0] - lab[1], axis=2)
    changed = distance > CLEAR
    soft = cv2.GaussianBlur(distance, (0, 0), max(distance.shape) / 128)
    small = shrunk(soft, 2 * MAX_HEAT)
    return {
        "levels": _base64(np.rint(np.clip(small * (255 / STRIKING), 0, 255)).astype(np.uint8)),
        "height": small.shape[0],
        "width": small.shape[1],
        "share": float(changed.mean()),
        "inside": float(changed[where].mean()) if where.any() else None,
        "outside": float(changed[~where].mean()) if not where.all() else None,
    }


def outline(where: np.ndarray) -> np.ndarray:
    """The border of an area (H, W) bool as (4H, 4W, 4) uint8, white within black, to lay over a picture."""
    mask = where.astype(np.uint8) * 255
    large = cv2.resize(mask, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((large > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    layer = np.zeros((*large.shape, 4), np.uint8)
    width = max(large.shape) // 256
    cv2.drawContours(layer, contours, -1, (0, 0, 0, 150), 3 * width, cv2.LINE_AA)
    cv2.drawContours(layer, contours, -1, (255, 255, 255, 255), width, cv2.LINE_AA)
    return layer


def middle(where: np.ndarray) -> float:
    """How far from the left the middle of an area (H, W) bool is, in percent; not quite at the edges."""
    columns = np.flatnonzero(where.any(axis=0))
    return (
        50.0 if not columns.size else float(np.clip(100 * columns.mean() / where.shape[1], 15, 85).round(1))
    )


def enlarged(pixels: np.ndarray, times: int) -> np.ndarray:
    """(H, W, 3) uint8, `times` larger by Lanczos resampling and mildly sharpened. It adds no detail."""
    height, width = pixels.shape[:2]
    large = Image.fromarray(pixels).resize((times * width, times * height), Image.Resampling.LANCZOS)
    return np.asarray(large.filter(ImageFilter.UnsharpMask(radius=times / 2, percent=60, threshold=2)))
