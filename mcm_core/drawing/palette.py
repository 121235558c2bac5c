"""Label maps -> pictures: class colours, and the nearest class of a colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import ImageColor

from mcm_core.drawing.conditions import LABELS, SKETCH, VOID, LabelClass
from mcm_core.drawing.sketches import sketch_picture

NEAR = 8
"""Largest difference in a channel at which a colour still counts as the class's own, as after JPEG."""
WHITE = 253
"""From here up in all channels a colour is paper: void, unless a class has it."""


def colors(classes: Sequence[LabelClass]) -> np.ndarray:
    """(n, 3) uint8 RGB, one row per class in the order of their ids."""
    return np.array([ImageColor.getrgb(c.color)[:3] for c in classes], np.uint8).reshape(-1, 3)


def palette_picture(labels: np.ndarray, classes: Sequence[LabelClass]) -> np.ndarray:
    """(H, W) ids -> (H, W, 4) uint8 RGBA in the classes' colours; void is transparent white."""
    table = np.full((len(classes) + 1, 4), 255, np.uint8)
    table[1:, :3] = colors(classes)
    table[VOID, 3] = 0
    return table[labels]


def map_picture(name: str, drawn: np.ndarray, classes: Sequence[LabelClass]) -> np.ndarray:
    """A map as people see it, (H, W, 3) uint8: the classes' colours on white, dark strokes, or its planes."""
    if name == LABELS:
        return palette_picture(drawn, classes)[..., :3]
    if name == SKETCH:
        return sketch_picture(drawn)
    return drawn if drawn.ndim == 3 else np.repeat(drawn[..., None], 3, axis=2)


def nearest(shades: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For (m, 3) colours the id 1..n of the nearest of (n, 3), the first among equals; squared distances."""
    ids = np.zeros(len(shades), np.uint8)
    best = np.full(len(shades), np.iinfo(np.int32).max, np.int32)
    for position, color in enumerate(table):
        distance = ((shades.astype(np.int32) - color.astype(np.int32)) ** 2).sum(axis=1, dtype=np.int32)
        closer = distance < best
        ids[closer], best[closer] = position + 1, distance[closer]
    return ids, best
