"""A photographed sheet of paper -> the sheet alone, upright and straight."""

from __future__ import annotations

import cv2
import numpy as np

LOOKED_AT = 320
"""Pixels of the longer side at which the sheet is looked for."""
LEAST, MOST = 0.2, 0.97
"""How much of the picture a sheet fills."""
BRIGHTER = 40
"""How much brighter a sheet is than what it lies on, of 255."""
RIM = 0.012
"""What is cut off along the edges, as a share of a side: shadows and the edge itself."""


def straightened(rgb: np.ndarray) -> np.ndarray | None:
    """(H, W, 3) of the sheet in a picture (H, W, 3), seen from above; None where there is none.

    The sheet is the largest bright region with four corners, on which something is drawn.
    """
    corners = _corners(rgb)
    if corners is None:
        return None
    top, bottom = (
        float(np.linalg.norm(a - b)) for a, b in ((corners[0], corners[1]), (corners[3], corners[2]))
    )
    left, right = (
        float(np.linalg.norm(a - b)) for a, b in ((corners[0], corners[3]), (corners[1], corners[2]))
    )
    width, height = round((top + bottom) / 2), round((left + right) / 2)
    x, y = RIM * width, RIM * height
    target = np.array(
        [(-x, -y), (width - 1 + x, -y), (width - 1 + x, height - 1 + y), (-x, height - 1 + y)], np.float32
    )
    turn = cv2.getPerspectiveTransform(corners, target)
    return cv2.warpPerspective(
        rgb, turn, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


def _corners(rgb: np.ndarray) -> np.ndarray | None:
    """(4, 2) float32 corners (x, y) from the upper left clockwise, in pixels of `rgb`."""
    scale = min(1.0, LOOKED_AT / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    gray = cv2.medianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), 5)
    _, bright = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return None
    hull = cv2.convexHull(max(outlines, key=cv2.contourArea))
    corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)[:, 0].astype(np.float32)
    if len(corners) != 4 or not LEAST <= cv2.contourArea(corners) / gray.size <= MOST:
        return None
    sheet = cv2.fillConvexPoly(np.zeros_like(gray), corners.astype(np.int32), 1) > 0
    if not _is_sheet(gray, sheet, bright > 0):
        return None
    return (_clockwise(corners) + 0.5) / scale - 0.5


def _is_sheet(gray: np.ndarray, sheet: np.ndarray, bright: np.ndarray) -> bool:
    """Whether the region is paper with a drawing on it, bright up to its edges, and all around is darker."""
    around = gray[~sheet]
    paper = float(np.median(gray[sheet]))
    square = np.ones((9, 9), np.uint8)
    inside = cv2.erode(sheet.astype(np.uint8), square) > 0
    outside = cv2.dilate(sheet.astype(np.uint8), square) > 0
    within, beyond = gray[sheet & ~inside], gray[outside & ~sheet]
    drawn = (gray[inside] < paper - BRIGHTER / 2).mean() if inside.any() else 0.0
    return bool(
        beyond.size
        and np.median(within) - np.median(beyond) > BRIGHTER
        and np.percentile(around, 90) < paper - BRIGHTER
        and bright[sheet].mean() > 0.9
        and bright[~sheet].mean() < 0.1
        and 0 < drawn < 0.4
    )


def _clockwise(corners: np.ndarray) -> np.ndarray:
    """Four corners in the order upper left, upper right, lower right, lower left."""
    around = corners - corners.mean(axis=0)
    ordered = corners[np.argsort(np.arctan2(around[:, 1], around[:, 0]))]
    return np.roll(ordered, -int(np.argmin(ordered.sum(axis=1))), axis=0)
