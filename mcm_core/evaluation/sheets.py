"""Contact sheets to judge by eye: control, styles, and drawings that no renderer made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import LABELS, SKETCH, LabelClass, Size, resize_map
from mcm_core.drawing.palette import map_picture

from .scenes import Drawn

GAP = 4  # pixels of white between pictures
ROWS, COLUMNS = 8, 2  # drawings on a page


def pages(
    drawn: Sequence[Drawn], columns: Sequence[np.ndarray], classes: Sequence[LabelClass]
) -> Iterator[np.ndarray]:
    """Pages of label map, sketch and one picture of each column (n, H, W, 3), for n drawings."""
    size = columns[0].shape[1:3]
    strips = [
        joined([*drawing(each, classes, size), *(column[index] for column in columns)], axis=1)
        for index, each in enumerate(drawn)
    ]
    for start in range(0, len(strips), ROWS * COLUMNS):
        page = strips[start : start + ROWS * COLUMNS]
        lines = [
            joined(page[line : line + COLUMNS], axis=1, gap=4 * GAP) for line in range(0, len(page), COLUMNS)
        ]
        yield joined(_of_one_width(lines), axis=0)


def styles_page(
    scenes: Sequence[Drawn], by_style: Sequence[np.ndarray], classes: Sequence[LabelClass]
) -> np.ndarray:
    """One line a scene: its drawing, then the picture in each style."""
    size = by_style[0].shape[1:3]
    lines = [
        joined([*drawing(scene, classes, size), *(made[index] for made in by_style)], axis=1)
        for index, scene in enumerate(scenes)
    ]
    return joined(lines, axis=0)


def drawing(drawn: Drawn, classes: Sequence[LabelClass], size: Size) -> list[np.ndarray]:
    """Label map and sketch as people see them, (H, W, 3) uint8 each."""
    maps = {LABELS: drawn.labels, SKETCH: drawn.sketch}
    return [map_picture(name, resize_map(name, each, size), classes) for name, each in maps.items()]


def joined(pictures: Sequence[np.ndarray], axis: int, gap: int = GAP) -> np.ndarray:
    """Pictures side by side (axis 1) or one below the other (axis 0), white between them."""
    margin = [(0, 0), (0, 0), (0, 0)]
    margin[axis] = (0, gap)
    spaced = [np.pad(one, margin, constant_values=255) for one in pictures[:-1]]
    return np.concatenate([*spaced, pictures[-1]], axis=axis)


def save(page: np.ndarray, file: Path) -> None:
    """As JPEG that leaves edges and colours as they are, for all that an eye can tell."""
    Image.fromarray(page).save(file, "JPEG", quality=94, subsampling=0)


def _of_one_width(lines: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The last line of a page may hold fewer drawings: white takes their place."""
    width = max(line.shape[1] for line in lines)
    return [np.pad(line, [(0, 0), (0, width - line.shape[1]), (0, 0)], constant_values=255) for line in lines]
