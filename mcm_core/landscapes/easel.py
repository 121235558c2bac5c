"""Paints polygons into a picture and, with the same edges, into a label map."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mcm_core.drawing.conditions import LabelClass

from .palette import Colour
from .shapes import Polygon

SIDE = 256  # of the finished picture, pixels
SUPERSAMPLING = 2

CLASSES: tuple[LabelClass, ...] = (
    LabelClass("sky", "#8ec1ef"),
    LabelClass("cloud", "#f2f4f7"),
    LabelClass("sun", "#ffd43b"),
    LabelClass("mountain", "#857a72"),
    LabelClass("snow", "#dfe9f5"),
    LabelClass("hill", "#6a9a4c"),
    LabelClass("forest", "#1f5c34"),
    LabelClass("grass", "#9bcb4d"),
    LabelClass("sand", "#e4c98a"),
    LabelClass("water", "#2b5fae"),
    LabelClass("house", "#c23b32"),
    LabelClass("boat", "#6b4423"),
    LabelClass("tree", "#3fae49"),
    LabelClass("road", "#5b5f6e"),
    LabelClass("bridge", "#b08ad0"),
    LabelClass("tower", "#ff8a3c"),
    LabelClass("balloon", "#17b0b0"),
    LabelClass("flowers", "#f06fae"),
)
IDS = {kind.name: index for index, kind in enumerate(CLASSES, start=1)}


class Easel:
    """A picture (S, S, 3) float32 RGB in [0, 1] and its label map (S, S) uint8, S = 2 * 256.

    Shapes are painted back to front. `parts` (S, S) int32 numbers them: where two parts meet, a person who
    sketches the scene draws a line.
    """

    def __init__(self) -> None:
        self.size = SIDE * SUPERSAMPLING
        planes = np.zeros((3, self.size, self.size), np.float32)
        self.picture = planes.transpose(1, 2, 0)  # in memory colour by colour: three times as fast to fill
        self.labels = np.full((self.size, self.size), IDS["sky"], np.uint8)
        self.parts = np.zeros((self.size, self.size), np.int32)
        self.part_labels = ["sky"]  # of each part

    @property
    def last_part(self) -> int:
        """The number of the part that was painted last."""
        return len(self.part_labels) - 1

    def coverage(self, shape: Polygon) -> tuple[np.ndarray, tuple[slice, slice]] | None:
        """Antialiased coverage of a polygon, (h, w) float32 in [0, 1], and the window that holds it."""
        points = shape * self.size
        low = np.clip(np.floor(points.min(0)).astype(int) - 1, 0, self.size)
        high = np.clip(np.ceil(points.max(0)).astype(int) + 2, 0, self.size)
        if (high <= low).any():
            return None
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(mask, [np.round((points - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        return mask.astype(np.float32) / 255, (slice(low[1], high[1]), slice(low[0], high[0]))

    def fill(
        self,
        shape: Polygon,
        colour: Colour,
        label: str | None = None,
        foot: Colour | None = None,
        opacity: float = 1.0,
        inside: np.ndarray | None = None,
        joined: bool = False,
        drawn: bool = False,
    ) -> None:
        """Fill a polygon, flat or with a gradient down to `foot`; without `label` the map stays as it is.

        `inside` (S, S) bool keeps the paint within a region painted before. `joined` makes the shape one
        part with the last one, so that no line is sketched between them; `drawn` makes a detail that the
        map does not know, such as a window, a part of its own.
        """
        covered = self.coverage(shape)
        if covered is None:
            return
        alpha, window = covered
        if inside is not None:
            alpha = alpha * inside[window]
        paint = colour if foot is None else self._gradient(shape, colour, foot, window[0])
        area = self.picture[window]
        area += (paint - area) * (alpha * np.float32(opacity))[..., None]
        if label is None and not drawn:
            return
        if not joined:
            self.part_labels.append(label or self.part_labels[-1])
        self.parts[window][alpha > 0.5] = self.last_part
        if label is not None:
            self.labels[window][alpha > 0.5] = IDS[label]

    def dots(self, shapes: Sequence[Polygon], colour: Colour, inside: np.ndarray) -> None:
        """Many small convex shapes of one colour at once, within a region painted before."""
        if not shapes:
            return
        mask = np.zeros((self.size, self.size), np.uint8)
        for shape in shapes:
            points = np.round(shape * (self.size * 16)).astype(np.int32)
            cv2.fillConvexPoly(mask, points, 255, cv2.LINE_AA, shift=4)
        rows = np.flatnonzero(inside.any(1))
        if len(rows):
            window = slice(rows[0], rows[-1] + 1)
            alpha = (mask[window] * inside[window]).astype(np.float32) / 255
            self.picture[window] += (colour - self.picture[window]) * alpha[..., None]

    def line(self, points: Polygon, width: float, colour: Colour, inside: np.ndarray) -> None:
        """A line `width` sides of the picture wide, closed, within a region painted before."""
        mask = np.zeros((self.size, self.size), np.uint8)
        corners = np.round(points * (self.size * 16)).astype(np.int32)
        cv2.polylines(mask, [corners], True, 255, max(1, round(width * self.size)), cv2.LINE_AA, shift=4)
        alpha = (mask * inside).astype(np.float32) / 255
        self.picture += (colour - self.picture) * alpha[..., None]

    def _gradient(self, shape: Polygon, colour: Colour, foot: Colour, rows: slice) -> np.ndarray:
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / self.size
        share = np.clip((y - shape[:, 1].min()) / (np.ptp(shape[:, 1]) + 1e-6), 0, 1)
        return (colour + (foot - colour) * share[:, None])[:, None]

    def region(self, *names: str) -> np.ndarray:
        """(S, S) bool: where these classes lie on top at the moment."""
        wanted = np.zeros(256, bool)
        wanted[[IDS[name] for name in names]] = True
        return wanted[self.labels]

    @property
    def last(self) -> np.ndarray:
        """(S, S) bool: where the part that was painted last lies on top."""
        return self.parts == self.last_part

    def finish(self, side: int = SIDE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> picture (side, side, 3) and labels (side, side) uint8, parts (side, side) int32; 256 or 512."""
        step = self.size // side
        small = cv2.resize(np.ascontiguousarray(self.picture), (side, side), interpolation=cv2.INTER_AREA)
        picture = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
        every = slice(step // 2, None, step)
        return picture, self.labels[every, every].copy(), self.parts[every, every].copy()
