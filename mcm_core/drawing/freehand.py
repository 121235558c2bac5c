"""From exact maps to what a person would draw: unpainted regions, rounded and wobbling ones, missing strokes.

All functions take a numpy generator and uint8 maps of shape (H, W), never change their input, and take a
millisecond or two at 256 x 256.
"""

import cv2
import numpy as np

from mcm_core.drawing.conditions import STROKE, VOID

WOBBLE_CELLS = 6  # random displacements across the picture; a smooth field goes through them
WOBBLE = 0.015  # of the picture's side, standard deviation
ROUNDED = (0.02, 0.09)  # of the picture's side: a round brush
GAPS = (0.006, 0.03)  # of the picture's side: left unpainted where two regions meet


def unpaint(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A label map with rectangles, blobs or whole classes left unpainted."""
    way = random.integers(3)
    if way == 0:
        return np.where(_rectangles(labels.shape, random), VOID, labels).astype(np.uint8)
    if way == 1:
        return np.where(_blobs(labels.shape, random), VOID, labels).astype(np.uint8)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    table = np.arange(256, dtype=np.uint8)
    table[present[random.random(len(present)) < random.uniform(0.2, 0.8)]] = VOID
    return table[labels]


def repaint(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A label map as a round brush in a hasty hand would paint it, each change by a coin's toss."""
    rounded, wobbling, apart = random.random(3) < (0.5, 0.6, 0.3)
    if rounded:
        labels = cv2.medianBlur(labels, int(random.uniform(*ROUNDED) * len(labels)) | 1)
    if wobbling:
        labels = _wobble(labels, random, float(random.uniform(0.3, 1.5)))
    if apart:
        side = max(2, round(random.uniform(*GAPS) * len(labels)))
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        borders = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, brush)
        labels = np.where(borders > 0, VOID, labels).astype(np.uint8)
    return labels


def scrawl(sketch: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A sketch (255 = stroke) as a less careful hand would draw it, each change by a coin's toss."""
    thicker, wobbling, missing, erased = random.random(4) < 0.5
    if thicker:
        sketch = _thickness(sketch, random)
    if missing:
        sketch = _drop_strokes(sketch, random)
    if wobbling:
        sketch = _wobble(sketch, random)
    if erased:
        regions = _blobs if random.random() < 0.5 else _rectangles
        sketch = np.where(regions(sketch.shape, random), 0, sketch).astype(np.uint8)
    return sketch


def _rectangles(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """A bool mask (H, W) of one to four rectangles, each of 1/10 to 2/3 of a side."""
    mask = np.zeros(shape, bool)
    height, width = shape
    for _ in range(random.integers(1, 5)):
        tall, wide = (random.uniform(0.1, 0.67, 2) * shape).astype(int) + 1
        top, left = random.integers(0, height - tall + 1), random.integers(0, width - wide + 1)
        mask[top : top + tall, left : left + wide] = True
    return mask


def _blobs(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """A bool mask (H, W) of rounded regions that cover about 1/10 to 2/3: smooth noise below a threshold."""
    cells = random.integers(3, 9)
    coarse = random.random((cells, cells), np.float32)
    noise = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return noise < np.quantile(coarse, random.uniform(0.1, 0.67))


def _drop_strokes(sketch: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each connected stroke goes with a probability of up to 1/2."""
    count, strokes = cv2.connectedComponents(sketch, connectivity=8, ltype=cv2.CV_16U)
    ink = np.full(count, STROKE, np.uint8)
    ink[random.random(count) < random.uniform(0.1, 0.5)] = 0
    ink[0] = 0
    return ink[strokes]


def _thickness(sketch: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Strokes wider by one to three pixels."""
    side = int(random.integers(2, 5))
    return cv2.dilate(sketch, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def _wobble(drawn: np.ndarray, random: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Strokes or regions moved by a smooth random displacement."""
    height, width = drawn.shape
    spread = strength * WOBBLE * max(height, width)
    coarse = random.standard_normal((WOBBLE_CELLS, WOBBLE_CELLS, 2), np.float32) * np.float32(spread)
    moves = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    columns = np.arange(width, dtype=np.float32)[None] + moves[..., 0]
    rows = np.arange(height, dtype=np.float32)[:, None] + moves[..., 1]
    return cv2.remap(drawn, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
