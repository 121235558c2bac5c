"""How well the outlines in a picture follow the strokes that were drawn.

Precision: the share of the picture's outlines that lie near a stroke. Recall: the share of the strokes that
lie near an outline. Near is at most `TOLERANCE` pixels, measured by a distance transform.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TOLERANCE = 3.0  # pixels
BLUR = 1.0  # standard deviation in pixels
LOW, HIGH = 40, 100  # of the gradient, where a step of one grey level has about 3 after the blur


@dataclass(frozen=True)
class Agreement:
    """In [0, 1]; NaN where there is nothing to judge."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else both


def outlines(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) bool: Canny on the steepest colour channel of each pixel, fixed thresholds.

    Colours, not greys: a poster's mountain and its sky often differ in hue alone.
    """
    smooth = cv2.GaussianBlur(picture, (0, 0), BLUR)
    slopes = np.stack([cv2.Sobel(smooth, cv2.CV_16S, *axes) for axes in ((1, 0), (0, 1))])
    steepness = np.square(slopes.astype(np.int32)).sum(0)
    steepest = steepness.argmax(-1)[None, ..., None]
    across, down = np.ascontiguousarray(np.take_along_axis(slopes, steepest, axis=-1)[..., 0])
    return cv2.Canny(across, down, LOW, HIGH, L2gradient=True) > 0


def matches(drawn: np.ndarray, found: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """drawn, found (H, W), true or not -> (4,) pixels: found near a stroke, found, drawn near an outline,
    drawn.

    Such counts add up over pictures.
    """
    drawn, found = drawn.astype(bool), found.astype(bool)
    near_stroke, near_outline = (_near(each, tolerance) for each in (drawn, found))
    return np.array([(found & near_stroke).sum(), found.sum(), (drawn & near_outline).sum(), drawn.sum()])


def agreement(counts: np.ndarray) -> Agreement:
    """(4,) counts of `matches`, of one picture or summed over many."""
    found_near, found, drawn_near, drawn = counts.tolist()
    return Agreement(_share(found_near, found), _share(drawn_near, drawn))


def _near(lines: np.ndarray, tolerance: float) -> np.ndarray:
    if not lines.any():  # the transform measures the distance to the nearest zero, and there would be none
        return np.zeros(lines.shape, bool)
    return cv2.distanceTransform((~lines).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= tolerance


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
