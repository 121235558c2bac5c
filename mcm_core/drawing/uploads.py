"""Uploaded pictures -> conditions: what a picture is, and how it is read as a drawing.

A picture is stretched to the size asked for; its notes say so where that changes its shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import (
    LABELS,
    MAX_SIDE,
    MIN_SIDE,
    SKETCH,
    Conditions,
    InputError,
    LabelClass,
    Size,
)
from mcm_core.drawing.palette import colors, read_palette, share_on_palette
from mcm_core.drawing.picture_files import check_size, to_rgb, to_rgba, upright
from mcm_core.drawing.sketches import edges, looks_like_sketch, read_sketch

KINDS = ("auto", "labels", "sketch", "photo")
MOSTLY = 0.8
"""The share of pixels in class colours from which a picture is taken for a label map."""


def from_upload(
    image: Image.Image, classes: Sequence[LabelClass], kind: str = "auto", size: Size | None = None
) -> Conditions:
    """Any picture -> conditions of one modality, at `size` (height, width) or at most 2048 pixels a side.

    `kind` says what the picture is: "labels" (class colours, or one channel of ids), "sketch" (a line
    drawing), "photo" (its edges become the sketch), or "auto" to find out. A picture without a stroke or a
    painted pixel gives empty conditions. Notes tell how many pixels went to another colour, and the like.

    Raises:
        InputError: a size that `check_size` refuses, an unknown kind, an id beyond the classes.
    """
    if kind not in KINDS:
        raise InputError(f"A picture can be read as {', '.join(KINDS)}, not as {kind!r:.20}.")
    check_size(image.size)
    image = upright(image)
    if kind == "auto":
        kind = guess_kind(image, classes)
    read = {"labels": _labels, "sketch": _sketch, "photo": _photo}[kind](image, classes)
    return _fitted(read, image.size, size)


def from_map(image: Image.Image, name: str, channels: int = 1) -> Conditions:
    """A picture -> the map of an image modality that a person trained: (H, W) gray, or (H, W, 3) colour."""
    if channels not in (1, 3):
        raise InputError(f"A picture cannot give the {channels} channels of the {name} map.")
    check_size(image.size)
    rgb = to_rgb(image)
    pixels = rgb if channels == 3 else np.asarray(Image.fromarray(rgb).convert("L"))
    return _fitted(Conditions({name: pixels}), (rgb.shape[1], rgb.shape[0]), None)


def guess_kind(image: Image.Image, classes: Sequence[LabelClass]) -> str:
    """What an upright picture is: "labels", "sketch" or "photo"."""
    small = _shrunk(image, 512, Image.Resampling.NEAREST)
    ids = _ids(small)
    if ids is not None and image.mode != "P" and _are_ids(small, ids, classes):
        return "labels"
    if _shows_classes(small, classes):
        return "labels"
    if looks_like_sketch(small):  # before palette indices, which are as small in a drawing of two colours
        return "sketch"
    return "labels" if ids is not None and _are_ids(small, ids, classes) else "photo"


def _labels(image: Image.Image, classes: Sequence[LabelClass]) -> Conditions:
    image = _shrunk(image, MAX_SIDE, Image.Resampling.NEAREST)
    ids = _ids(image)
    if ids is not None and _are_ids(image, ids, classes):
        return Conditions({LABELS: ids.astype(np.uint8)})
    if ids is not None and image.mode != "P" and not _shows_classes(image, classes):
        raise InputError(
            f"The label map holds values from {ids.min()} to {ids.max()}, but ids go from 0 (unpainted) to "
            f"{len(classes)}. Renumber it, or save it in the classes' colours."
        )
    labels, moved = read_palette(image, classes)
    note = f"{moved} pixels had no class's exact colour and went to the nearest class."
    return Conditions({LABELS: labels}, (note,) if moved else ())


def _sketch(image: Image.Image, classes: Sequence[LabelClass]) -> Conditions:
    return Conditions({SKETCH: read_sketch(_shrunk(to_rgba(image), MAX_SIDE, Image.Resampling.BOX))})


def _photo(image: Image.Image, classes: Sequence[LabelClass]) -> Conditions:
    return Conditions({SKETCH: edges(image)}, ("Read as a photo: its edges became the sketch.",))


def _ids(image: Image.Image) -> np.ndarray | None:
    """(H, W) of the raw values of a single-channel integer picture, or None for any other mode."""
    return np.asarray(image) if image.mode in ("L", "P", "I") or image.mode.startswith("I;16") else None


def _are_ids(image: Image.Image, ids: np.ndarray, classes: Sequence[LabelClass]) -> bool:
    """Whether raw values are ids; palette indices are where their colours agree, or are no class's at all."""
    used = np.unique(ids).astype(int)
    if used[0] < 0 or used[-1] > len(classes):
        return False
    if image.mode != "P":
        return True
    painted = used[used > 0]
    shown = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    agree = 0 < painted.max(initial=0) < len(shown) and np.array_equal(
        shown[painted], colors(classes)[painted - 1]
    )
    return bool(agree) or not _shows_classes(image, classes)


def _shows_classes(image: Image.Image, classes: Sequence[LabelClass]) -> bool:
    return share_on_palette(np.asarray(to_rgba(image)), classes) >= MOSTLY


def _shrunk(image: Image.Image, longest: int, how: Image.Resampling) -> Image.Image:
    """The picture with no side longer than `longest` pixels and none shorter than the least."""
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(MIN_SIDE, round(side * scale)) for side in image.size)
    return image.resize((width, height), how)


def _fitted(read: Conditions, picture: tuple[int, int], size: Size | None) -> Conditions:
    """The conditions at the size asked for, with a note where a (width, height) picture changes its shape."""
    if size is None:
        return read
    (width, height), notes = picture, read.notes
    if abs(width * size[0] / (height * size[1]) - 1) > 0.02:
        notes += (f"The picture was stretched from {width} x {height} to {size[1]} x {size[0]} pixels.",)
    return Conditions(read.resized(size).maps, notes)
