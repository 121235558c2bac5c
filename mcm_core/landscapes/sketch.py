"""The sketch a person would draw of a scene: its outlines, more or less carefully."""

from __future__ import annotations

import cv2
import numpy as np


def sketch(parts: np.ndarray, rng: np.random.Generator, freehand: float = 1.0) -> np.ndarray:
    """parts (H, W) int32 -> (H, W) uint8, 255 = stroke.

    `freehand` 0 is every outline, exact and two pixels of 256 wide; 1 is a hasty person, who simplifies,
    wobbles, varies the pen and leaves lines out.
    """
    scale = max(1, len(parts) // 256)
    simple = _simplified(parts, scale * (int(rng.choice([1, 1, 3, 5])) - 1) + 1) if freehand else parts
    lines = _boundaries(simple)
    if freehand:
        lines = _left_out(lines, simple, rng, 0.12 * freehand)
        lines = _wobbled(lines, rng, rng.uniform(0, 2.2) * freehand * scale)
    pen = int(rng.choice([2, 2, 3, 4])) if freehand else 2
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (scale * pen, scale * pen))
    return cv2.dilate(lines, kernel)


def _simplified(parts: np.ndarray, size: int) -> np.ndarray:
    """Drops details smaller than about `size` pixels: a median over the order of painting.

    A part that is thin all over, such as a mast, is kept: nobody who draws a boat forgets its mast.
    """
    if size == 1:
        return parts
    ranks = np.unique(parts, return_inverse=True)[1].reshape(parts.shape)
    if ranks.max() > 255:
        return parts
    simple = cv2.medianBlur(ranks.astype(np.uint8), size).astype(np.int32)
    before, after = (np.bincount(order.ravel(), minlength=256) for order in (ranks, simple))
    thin = np.flatnonzero((after < 0.5 * before) & (before > 4 * size * size))
    return np.where(np.isin(ranks, thin), ranks, simple)


def _boundaries(parts: np.ndarray) -> np.ndarray:
    lines = np.zeros(parts.shape, np.uint8)
    lines[:, 1:][parts[:, 1:] != parts[:, :-1]] = 255
    lines[1:][parts[1:] != parts[:-1]] = 255
    return lines


def _left_out(lines: np.ndarray, parts: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Forgets the outlines of some parts, and rubs out a few places."""
    present = np.unique(parts)
    forgotten = np.isin(parts, present[rng.random(len(present)) < share])
    kept = np.where(forgotten, 0, lines).astype(np.uint8)
    height, width = lines.shape
    for _ in range(int(rng.poisson(8 * share))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(kept, centre, int(rng.uniform(0.03, 0.12) * width), 0, -1)
    return kept


def _wobbled(lines: np.ndarray, rng: np.random.Generator, amplitude: float) -> np.ndarray:
    """Moves every stroke by a smooth field of at most about `amplitude` pixels."""
    height, width = lines.shape
    step = 24 * max(1, height // 256)
    coarse = rng.normal(0, amplitude / 1.5, (2, height // step + 2, width // step + 2)).astype(np.float32)
    field = [cv2.resize(shift, (width, height), interpolation=cv2.INTER_CUBIC) for shift in coarse]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(
        cv2.dilate(lines, np.ones((2, 2), np.uint8)), x + field[0], y + field[1], cv2.INTER_LINEAR
    )
    return np.where(moved > 127, 255, 0).astype(np.uint8)
