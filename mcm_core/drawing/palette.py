"""Label maps <-> pictures: class colours, and the nearest class of a colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor

from mcm_core.drawing.conditions import LABELS, SKETCH, VOID, LabelClass
from mcm_core.drawing.picture_files import to_rgba
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


def read_palette(image: Image.Image, classes: Sequence[LabelClass]) -> tuple[np.ndarray, int]:
    """A picture in the classes' colours -> (H, W) ids, and how many pixels had no class's exact colour.

    Those go to the nearest class in RGB. Transparent pixels are void, and white ones where no class is white.
    """
    rgba = np.asarray(to_rgba(image))
    shades, where = _shades(rgba)
    ids, distances = nearest(shades, colors(classes))
    void = (shades.min(axis=1) >= WHITE) & (distances > 0)
    ids[void], distances[void] = VOID, 0
    transparent = rgba[..., 3] < 128
    labels = ids[where].reshape(transparent.shape)
    moved = int(((distances > 0)[where].reshape(transparent.shape) & ~transparent).sum())
    labels[transparent] = VOID
    return labels, moved


def share_on_palette(rgba: np.ndarray, classes: Sequence[LabelClass]) -> float:
    """The share of the pixels of (H, W, 4) uint8, void ones aside, that show nearly a class's colour."""
    painted = rgba[(rgba[..., 3] >= 128) & (rgba[..., :3].min(axis=2) < WHITE)][:, None]
    if not painted.size or not classes:
        return 0.0
    shades, where = _shades(painted)
    table = colors(classes)
    ids, _ = nearest(shades, table)
    near = np.abs(shades.astype(int) - table[ids - 1].astype(int)).max(axis=1) <= NEAR
    return float(near[where].mean())


def nearest(shades: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For (m, 3) colours the id 1..n of the nearest of (n, 3), the first among equals; squared distances."""
    ids = np.zeros(len(shades), np.uint8)
    best = np.full(len(shades), np.iinfo(np.int32).max, np.int32)
    for position, color in enumerate(table):
        distance = ((shades.astype(np.int32) - color.astype(np.int32)) ** 2).sum(axis=1, dtype=np.int32)
        closer = distance < best
        ids[closer], best[closer] = position + 1, distance[closer]
    return ids, best


def _shades(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct colours (m, 3) of (H, W, 3 or 4) pixels, and which of them each of the H*W pixels has."""
    rgb = pixels[..., :3].reshape(-1, 3).astype(np.uint32)
    packed = rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
    distinct, where = np.unique(packed, return_inverse=True)
    return np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], axis=1).astype(np.uint8), where
