"""Line drawings of photos: edges, soft pencil lines, or what a learned extractor sees."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import STROKE, InputError
from mcm_core.drawing.sketches import edges, read_sketch

Sketcher = Callable[[np.ndarray], np.ndarray]
"""(H, W, 3) uint8 picture -> (H, W) uint8, 255 = stroke."""

PENCIL_SCALE, WIDER, SHARPNESS = 1.0, 1.6, 20.0
PENCIL_SHARE = 0.08
"""At most this much of the picture is drawn."""
LEARNED = {"hed": "HEDdetector", "lineart": "LineartDetector", "pidinet": "PidiNetDetector"}
EXTRACTORS = "lllyasviel/Annotators"


def open_sketcher(name: str) -> Sketcher:
    """The sketcher of a name: `edges`, `lines`, `both`, or hed, lineart, pidinet (optionally `hed:HUB_ID`).

    Raises:
        InputError: there is none of this name, or its library or weights are not here.
    """
    given: dict[str, Sketcher] = {"edges": edge_lines, "lines": pencil_lines, "both": either}
    kind, _, source = name.partition(":")
    if kind in given:
        return given[kind]
    if kind not in LEARNED:
        raise InputError(
            f"There is no sketch of the kind {name!r}: choose from {', '.join([*given, *LEARNED])}."
        )
    return _learned(kind, source or EXTRACTORS)


def edge_lines(picture: np.ndarray) -> np.ndarray:
    """Canny's edges, as `mcm generate --photo` takes them."""
    found = edges(Image.fromarray(picture), longest=max(picture.shape[:2]))
    return cv2.dilate(found, np.ones((2, 2), np.uint8))


def pencil_lines(picture: np.ndarray) -> np.ndarray:
    """Lines where a picture is darker than around it in any colour, at most `PENCIL_SHARE` of it: a
    thresholded difference of Gaussians (Winnemoeller, "XDoG", 2011)."""
    calm = cv2.bilateralFilter(picture, 9, 50, 7).astype(np.float32) / 255
    scale = PENCIL_SCALE * max(picture.shape[:2]) / 256
    near, far = (cv2.GaussianBlur(calm, (0, 0), scale * width) for width in (1.0, WIDER))
    darker = (far - near).max(axis=2)
    strong = max(float(np.quantile(darker, 1 - PENCIL_SHARE)), 0.3 / SHARPNESS)
    return np.where(darker > strong, STROKE, 0).astype(np.uint8)


def either(picture: np.ndarray) -> np.ndarray:
    """Edges for one picture, pencil lines for another: by its contents, so that repeating changes nothing."""
    return (edge_lines, pencil_lines)[int(picture[::16, ::16].sum()) % 2](picture)


def _learned(kind: str, source: str) -> Sketcher:
    try:
        import controlnet_aux
    except ImportError as error:
        raise InputError(f"--sketch {kind} needs a package: pip install controlnet-aux") from error
    try:
        detector = getattr(controlnet_aux, LEARNED[kind]).from_pretrained(source)
    except Exception as error:  # each raises its own kind
        raise InputError(f"{source} cannot be opened as {kind}: {str(error).splitlines()[0]}") from error

    def lines(picture: np.ndarray) -> np.ndarray:
        side = min(picture.shape[:2])
        drawn = detector(Image.fromarray(picture), detect_resolution=side, image_resolution=side)
        height, width = picture.shape[:2]
        return read_sketch(drawn.resize((width, height), Image.Resampling.LANCZOS))

    return lines
