"""Strokes <-> pictures: line drawings of any polarity, and the edges of a photo."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import STROKE
from mcm_core.drawing.picture_files import over_white, to_rgb, to_rgba

FAINTEST = 32
"""Strokes differ from the paper by at least this much of 255; less is grain."""
FAINTEST_PENCIL = 10
"""The same beside the paper nearby, if it is well above the paper's own grain."""
EVEN = 16
"""Alpha that varies by less than this is a layer's opacity and draws nothing."""


def sketch_picture(sketch: np.ndarray) -> np.ndarray:
    """(H, W) sketch, 255 = stroke -> (H, W, 3) uint8 picture of dark strokes on white paper."""
    return np.repeat(255 - sketch[..., None], 3, axis=2)


def read_sketch(image: Image.Image) -> np.ndarray:
    """A line drawing -> (H, W) uint8, 255 = stroke.

    Dark on light, light on dark, coloured ink and strokes on transparency all work, as whatever fills most of
    the picture is the paper. A shaded drawing (a scan, a photo of paper) is compared with the paper nearby.
    """
    rgba = to_rgba(image)
    contrast = ink(rgba)
    if not is_two_toned(contrast):
        return _pencil(_local_contrast(opaque(rgba)))
    if contrast.max(initial=0) < FAINTEST:
        return np.zeros(contrast.shape, np.uint8)
    otsu, _ = cv2.threshold(contrast, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return np.where(contrast > max(otsu, FAINTEST - 1), STROKE, 0).astype(np.uint8)


def _pencil(contrast: np.ndarray) -> np.ndarray:
    """Strokes on uneven paper: what is plainly ink, and what is joined to it and likely (as Canny)."""
    grain = float(np.median(contrast)) * 1.4826 + 1
    otsu, _ = cv2.threshold(contrast, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    sure = contrast > max(otsu, 5 * grain, FAINTEST_PENCIL)
    probable = (contrast > max(0.7 * otsu, 3 * grain, 0.7 * FAINTEST_PENCIL)).astype(np.uint8)
    _, names = cv2.connectedComponents(probable, connectivity=8)
    joined = np.zeros(names.max() + 1, bool)
    joined[np.unique(names[sure])] = True
    joined[0] = False
    return _without_specks(np.where(joined[names], STROKE, 0).astype(np.uint8), max(contrast.shape) // 40)


def looks_like_sketch(image: Image.Image) -> bool:
    """Whether a picture is nearly of two tones, or blank, or strokes of one colour on transparency."""
    rgba = to_rgba(image)
    drawn = np.asarray(rgba)[np.asarray(rgba)[..., 3] >= 128][:, :3]
    if _on_transparency(rgba) and drawn.size and not is_two_toned(_from_paper(drawn[None])):
        return False
    return is_two_toned(ink(rgba)) or _is_on_paper(opaque(rgba))


def _is_on_paper(rgb: np.ndarray) -> bool:
    """Whether a picture is smooth shading, as of a sheet in uneven light, with thin strokes and no more."""
    contrast, paper = _local_contrast(rgb), _paper(rgb)
    strokes = _pencil(contrast)
    beside = cv2.dilate(strokes, np.ones((7, 7), np.uint8)) == 0
    slope = cv2.morphologyEx(paper, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    is_smooth = slope.max() < FAINTEST / 2 and (contrast[beside] <= FAINTEST_PENCIL).mean() > 0.99
    return bool(is_smooth and 0.002 < (strokes > 0).mean() < 0.15)


def ink(rgba: Image.Image) -> np.ndarray:
    """(H, W) uint8: how far each pixel stands out from the paper, by alpha where most is transparent."""
    return np.asarray(rgba.getchannel("A")) if _on_transparency(rgba) else _from_paper(opaque(rgba))


def is_two_toned(contrast: np.ndarray) -> bool:
    """Whether nine tenths of the pixels are plainly paper or plainly ink, or nothing stands out at all."""
    top = int(contrast.max(initial=0))
    if top < FAINTEST:
        return True
    return bool(((contrast < 0.2 * top) | (contrast > 0.8 * top)).mean() >= 0.9)


def edges(image: Image.Image, longest: int = 512) -> np.ndarray:
    """The contours of a photo as thin strokes -> (H, W) uint8, 255 = stroke, at most `longest` pixels a side.

    An edge-preserving blur takes texture away, Canny finds lines of one pixel, and specks are dropped. The
    thresholds follow the picture's own gradients, so that a dim photo gives as many lines as a bright one.
    """
    rgb = _at_most(to_rgb(image), longest)
    calm = cv2.bilateralFilter(np.ascontiguousarray(rgb), d=9, sigmaColor=60, sigmaSpace=7)
    gray = cv2.cvtColor(calm, cv2.COLOR_RGB2GRAY)
    slope = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    high = max(float(np.percentile(slope, 92)), FAINTEST)
    lines = cv2.Canny(gray, 0.4 * high, high, L2gradient=True)
    return _without_specks(lines, smallest=max(rgb.shape[:2]) // 24)


def opaque(rgba: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 on white paper; a layer of even opacity is taken as if it were opaque."""
    return np.asarray(rgba.convert("RGB")) if _is_layer(rgba) else over_white(rgba)


def _is_layer(rgba: Image.Image) -> bool:
    alpha = np.asarray(rgba.getchannel("A"))
    return bool(alpha.min() > 0 and np.ptp(alpha) < EVEN)


def _on_transparency(rgba: Image.Image) -> bool:
    return not _is_layer(rgba) and bool((np.asarray(rgba.getchannel("A")) < 128).mean() > 0.5)


def _from_paper(rgb: np.ndarray) -> np.ndarray:
    """(H, W) largest channel difference of (H, W, 3) to the commonest tone, the median of each channel."""
    paper = np.median(rgb, axis=(0, 1)).astype(np.uint8)
    return cv2.absdiff(rgb, np.broadcast_to(paper, rgb.shape).copy()).max(axis=2)


def _local_contrast(rgb: np.ndarray) -> np.ndarray:
    """(H, W) difference to the paper nearby."""
    height, width = rgb.shape[:2]
    paper = cv2.resize(_paper(rgb), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.absdiff(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), paper)


def _paper(rgb: np.ndarray) -> np.ndarray:
    """The tone of the paper, at most 160 pixels a side: the median over about a tenth of the picture."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    sides = (min(rgb.shape[1], 160), min(rgb.shape[0], 160))
    return cv2.medianBlur(cv2.resize(gray, sides, interpolation=cv2.INTER_AREA), 21)


def _without_specks(lines: np.ndarray, smallest: int) -> np.ndarray:
    """Strokes without those of fewer than `smallest` connected pixels."""
    _, names, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
    long_enough = stats[:, cv2.CC_STAT_AREA] >= smallest
    long_enough[0] = False
    return np.where(long_enough[names], STROKE, 0).astype(np.uint8)


def _at_most(rgb: np.ndarray, longest: int) -> np.ndarray:
    """(H, W, 3) shrunk by area until no side is longer than `longest` pixels."""
    scale = longest / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
