"""Any picture that people bring -> conditions: what it is, and how it is read as a drawing.

The page, its API, the command line and training all read through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import (
    MAX_SIDE,
    SKETCH,
    Conditions,
    InputError,
    LabelClass,
    Size,
    resize_map,
)
from mcm_core.drawing.label_pictures import holds_indices, looks_like_labels, read_labels
from mcm_core.drawing.paper import straightened
from mcm_core.drawing.picture_files import check_size, shrunk, to_rgb, to_rgba, upright
from mcm_core.drawing.sketches import edges, looks_like_sketch, opaque, read_sketch

KINDS = ("auto", "labels", "sketch", "photo")
FITS = ("crop", "pad", "stretch")


@dataclass(frozen=True)
class Reading:
    """How a picture is to be read.

    `kind`: "labels" (class colours, or ids), "sketch" (a line drawing), "photo" (its edges become the
    sketch), or "auto" to find out. `fit`: how another shape becomes the one asked for: cut to its middle,
    surrounded by nothing, or stretched. `zero_based`: a map's ids count from 0.

    Raises:
        InputError: an unknown kind or fit.
    """

    kind: str = "auto"
    fit: str = "crop"
    zero_based: bool = False

    def __post_init__(self) -> None:
        for what, value, known in (("read as", self.kind, KINDS), ("fitted by", self.fit, FITS)):
            if value not in known:
                raise InputError(f"A picture can be {what} {', '.join(known)}, not {value!r:.20}.")


def from_upload(
    image: Image.Image,
    classes: Sequence[LabelClass],
    reading: Reading = Reading(),
    size: Size | None = None,
) -> Conditions:
    """Any picture -> conditions of one modality, at `size` (height, width) or at most 2048 pixels a side.

    A picture without a stroke or a painted pixel gives empty conditions. Notes say what was understood: as
    what the picture was read, what moved to another colour, what was cut off.

    Raises:
        InputError: a size that `check_size` refuses, a label map that cannot be read.
    """
    check_size(image.size)
    kind = guess_kind(image, classes) if reading.kind == "auto" else reading.kind
    if kind == "labels":
        read = read_labels(image, classes, reading.zero_based)
    else:
        read = _sketch(image) if kind == "sketch" else _photo(image)
    return fitted(read, size, reading.fit) if size else read


def from_map(image: Image.Image, name: str, channels: int = 1) -> Conditions:
    """A picture -> the map of an image modality that a person trained: (H, W) gray, or (H, W, 3) colour."""
    if channels not in (1, 3):
        raise InputError(f"A picture cannot give the {channels} channels of the {name} map.")
    check_size(image.size)
    rgb = to_rgb(shrunk(image, MAX_SIDE, Image.Resampling.BOX))
    return Conditions({name: rgb if channels == 3 else np.asarray(Image.fromarray(rgb).convert("L"))})


def guess_kind(image: Image.Image, classes: Sequence[LabelClass]) -> str:
    """What a picture is: "labels", "sketch" or "photo"."""
    small = upright(shrunk(image, 512, Image.Resampling.NEAREST))
    if looks_like_labels(small, classes):
        return "labels"
    smooth = upright(shrunk(image, 512, Image.Resampling.BOX))
    if looks_like_sketch(smooth):  # before palette indices, which are as small in a drawing of two colours
        return "sketch"
    if holds_indices(small, classes):
        return "labels"
    return "sketch" if straightened(to_rgb(smooth)) is not None else "photo"


def _sketch(image: Image.Image) -> Conditions:
    rgba = to_rgba(shrunk(image, MAX_SIDE, Image.Resampling.BOX))
    sheet = straightened(opaque(rgba))
    if sheet is None:
        return Conditions({SKETCH: read_sketch(rgba)})
    return Conditions(
        {SKETCH: read_sketch(Image.fromarray(sheet))}, ("The sheet was cut out and straightened.",)
    )


def _photo(image: Image.Image) -> Conditions:
    return Conditions(
        {SKETCH: edges(shrunk(image, MAX_SIDE, Image.Resampling.BOX))},
        ("Read as a photo: its edges became the sketch.",),
    )


# -- another shape -----------------------------------------------------------------------------------------


def fitted(read: Conditions, size: Size, fit: str = "crop") -> Conditions:
    """The conditions at `size` (height, width), with a note where that changes what is seen."""
    if read.size is None:
        return read
    (height, width), notes = read.size, read.notes
    if fit == "stretch" or abs(width * size[0] / (height * size[1]) - 1) <= 0.02:
        maps = {name: resize_map(name, drawn, size) for name, drawn in read.maps.items()}
        if fit == "stretch" and abs(width * size[0] / (height * size[1]) - 1) > 0.02:
            notes += (f"The picture was stretched from {width} x {height} to {size[1]} x {size[0]} pixels.",)
        return Conditions(maps, notes)
    maps = {
        name: (covered if fit == "crop" else padded)(name, drawn, size) for name, drawn in read.maps.items()
    }
    done = "cut to its middle" if fit == "crop" else "given empty margins"
    return Conditions(maps, (*notes, f"The picture of {width} x {height} pixels was {done}."))


def covered(name: str, drawn: np.ndarray, size: Size) -> np.ndarray:
    """A map scaled to cover `size` (height, width) and cut to its middle."""
    height, width = size
    scale = max(height / drawn.shape[0], width / drawn.shape[1])
    drawn = _scaled(name, drawn, scale, max, size)
    top, left = (drawn.shape[0] - height) // 2, (drawn.shape[1] - width) // 2
    return np.ascontiguousarray(drawn[top : top + height, left : left + width])


def padded(name: str, drawn: np.ndarray, size: Size) -> np.ndarray:
    """A map scaled to fit into `size` (height, width), nothing around it."""
    scale = min(size[0] / drawn.shape[0], size[1] / drawn.shape[1])
    drawn = _scaled(name, drawn, scale, min, size)
    whole = np.zeros((*size, *drawn.shape[2:]), np.uint8)
    top, left = (size[0] - drawn.shape[0]) // 2, (size[1] - drawn.shape[1]) // 2
    whole[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return whole


def _scaled(
    name: str, drawn: np.ndarray, scale: float, bound: Callable[[int, int], int], size: Size
) -> np.ndarray:
    """A map `scale` times as large, each side at least or at most the wanted one, as rounding may miss it."""
    height, width = (
        bound(wanted, round(side * scale)) for wanted, side in zip(size, drawn.shape[:2], strict=True)
    )
    return resize_map(name, drawn, (max(1, height), max(1, width)))
