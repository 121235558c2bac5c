"""The canvas value, as which a drawing travels between browser, programs and records: run-length text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mcm_core.drawing.conditions import (
    LABELS,
    MAX_SIDE,
    MIN_SIDE,
    SKETCH,
    STROKE,
    Conditions,
    InputError,
    LabelClass,
    Size,
)

CANVAS_VERSION = 1
LAYERS = (LABELS, SKETCH)
"""The modalities that a canvas holds."""

_RUNS = re.compile(r"[0-9]{1,3}x[0-9]{1,9}(?:,[0-9]{1,3}x[0-9]{1,9})*")
_LONGEST_RUN = len("255x1,")  # the most text per pixel that a canvas writes
_CANVAS_KEYS = {"version", "width", "height", LABELS, SKETCH, "revision"}


def from_canvas(value: Any, classes: Sequence[LabelClass] | None = None) -> Conditions:
    """Conditions from a canvas value.

    The value is `{"version": 1, "width", "height", "labels", "sketch", "revision"}`, where labels and sketch
    are row-major runs "IDxCOUNT" joined by commas, and "" where nothing is drawn. Sketch ids are 0 and 1.
    Without classes any id up to 255 passes here, and `check` is left to see to the rest.

    Raises:
        InputError: whatever does not fit this description exactly.
    """
    width, height = _canvas_size(value)
    maps = {LABELS: decode_runs(value[LABELS], (height, width), 255 if classes is None else len(classes))}
    maps[SKETCH] = decode_runs(value[SKETCH], (height, width), 1) * np.uint8(STROKE)
    return Conditions(maps)


def to_canvas(conditions: Conditions, size: Size = (256, 256)) -> dict[str, Any]:
    """The canvas value of the labels and the sketch; `size` (height, width) serves where neither is there."""
    drawn = conditions.only(LAYERS)
    height, width = drawn.size or size
    blank = np.zeros((height, width), np.uint8)
    maps = {LABELS: blank, SKETCH: blank, **drawn.resized((height, width)).maps}
    return {
        "version": CANVAS_VERSION,
        "width": width,
        "height": height,
        LABELS: encode_runs(maps[LABELS]),
        SKETCH: encode_runs((maps[SKETCH] > STROKE // 2).astype(np.uint8)),
        "revision": 0,
    }


def encode_runs(ids: np.ndarray) -> str:
    """Canonical row-major runs of an (H, W) array of ids; "" where all are 0."""
    flat = ids.ravel()
    if not flat.any():
        return ""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    counts = np.diff(np.concatenate([starts, [flat.size]]))
    return ",".join(f"{i}x{n}" for i, n in zip(flat[starts].tolist(), counts.tolist(), strict=True))


def decode_runs(text: Any, size: Size, largest_id: int) -> np.ndarray:
    """An (H, W) uint8 array of ids in [0, largest_id] from runs; nothing large is made before they add up."""
    height, width = size
    if not isinstance(text, str):
        raise InputError("The drawing is damaged: its runs are not text. Draw it again or load another.")
    if not text:
        return np.zeros(size, np.uint8)
    if len(text) > _LONGEST_RUN * height * width or not _RUNS.fullmatch(text):
        raise InputError("The drawing is damaged: its runs do not read as 'IDxCOUNT,...'. Draw it again.")
    ids, counts = np.array(text.replace("x", ",").split(","), np.int64).reshape(-1, 2).T
    if counts.min() < 1 or counts.sum() != height * width:
        raise InputError(
            f"The drawing is damaged: its runs do not fill {width} x {height} pixels. Draw again."
        )
    if ids.max() > largest_id:
        raise InputError(
            f"The drawing uses id {ids.max()}, but the last known one is {largest_id}. Draw again."
        )
    return np.repeat(ids.astype(np.uint8), counts).reshape(size)


def _canvas_size(value: Any) -> tuple[int, int]:
    """(width, height) of a canvas value whose entries, version and numbers have been checked."""
    if not isinstance(value, Mapping) or set(value) != _CANVAS_KEYS:
        raise InputError(f"A drawing must have exactly the entries {', '.join(sorted(_CANVAS_KEYS))}.")
    for name in ("version", "width", "height", "revision"):
        if type(value[name]) is not int:  # isinstance would let True pass for 1
            raise InputError(f"The drawing's {name} must be a whole number.")
    if value["version"] != CANVAS_VERSION:
        raise InputError(f"This drawing is of an unknown version; only {CANVAS_VERSION} can be read.")
    width, height = value["width"], value["height"]
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise InputError(f"A drawing's sides must be {MIN_SIDE} to {MAX_SIDE} pixels: scale it to that.")
    return width, height
