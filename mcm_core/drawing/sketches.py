"""Strokes <-> pictures: line drawings of any polarity, and the edges of a photo."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import STROKE
from mcm_core.drawing.picture_files import over_white, to_rgb, to_rgba

FAINTEST = 32
"""Strokes differ from the paper by at least this much of 255; less is grain."""


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
        contrast = _local_contrast(over_white(rgba))
    if contrast.max(initial=0) < FAINTEST:
        return np.zeros(contrast.shape, np.uint8)
    otsu, _ = cv2.threshold(contrast, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return np.where(contrast > max(otsu, FAINTEST - 1), STROKE, 0).astype(np.uint8)


def looks_like_sketch(image: Image.Image) -> bool:
    """Whether a picture is nearly of two tones, or blank, or strokes of one colour on transparency."""
    rgba = to_rgba(image)
    opaque = np.asarray(rgba)[np.asarray(rgba)[..., 3] >= 128][:, :3]
    if _on_transparency(rgba) and opaque.size and not is_two_toned(_from_paper(opaque[None])):
        return False
    return is_two_toned(ink(rgba))


def ink(rgba: Image.Image) -> np.ndarray:
    """(H, W) uint8: how far each pixel stands out from the paper, by alpha where most is transparent."""
    return np.asarray(rgba.getchannel("A")) if _on_transparency(rgba) else _from_paper(over_white(rgba))


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


def _on_transparency(rgba: Image.Image) -> bool:
    return bool((np.asarray(rgba.getchannel("A")) < 128).mean() > 0.5)


def _from_paper(rgb: np.ndarray) -> np.ndarray:
    """(H, W) largest channel difference of (H, W, 3) to the commonest tone, the median of each channel."""
    paper = np.median(rgb, axis=(0, 1)).astype(np.uint8)
    return cv2.absdiff(rgb, np.broadcast_to(paper, rgb.shape).copy()).max(axis=2)


def _local_contrast(rgb: np.ndarray) -> np.ndarray:
    """(H, W) difference to the paper nearby, the median over about a tenth of the picture."""
    height, width = rgb.shape[:2]
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (min(width, 160), min(height, 160)), interpolation=cv2.INTER_AREA)
    paper = cv2.resize(cv2.medianBlur(small, 21), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.absdiff(gray, paper)


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
