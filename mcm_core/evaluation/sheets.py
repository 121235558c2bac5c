"""Contact sheets to judge by eye: control, styles, and drawings that no renderer made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mcm_core.drawing.canvas_value import from_canvas
from mcm_core.drawing.conditions import (
    LABELS,
    SKETCH,
    Conditions,
    InputError,
    LabelClass,
    Size,
    resize_map,
)
from mcm_core.drawing.palette import map_picture
from mcm_core.pipeline import MCMPipeline
from mcm_core.request import Request

from .scenes import HeldOut

GAP = 4  # pixels of white between pictures
ROWS, COLUMNS = 8, 2  # drawings on a page


def control_pages(
    scenes: Sequence[HeldOut], columns: Sequence[np.ndarray], classes: Sequence[LabelClass]
) -> Iterator[np.ndarray]:
    """Pages of label map, sketch, real render and one picture of each column (n, H, W, 3), for n scenes."""
    strips = [
        joined([*drawing(scene, classes), scene.picture, *(column[index] for column in columns)], axis=1)
        for index, scene in enumerate(scenes)
    ]
    for start in range(0, len(strips), ROWS * COLUMNS):
        page = strips[start : start + ROWS * COLUMNS]
        lines = [
            joined(page[line : line + COLUMNS], axis=1, gap=4 * GAP) for line in range(0, len(page), COLUMNS)
        ]
        yield joined(_of_one_width(lines), axis=0)


def styles_page(
    scenes: Sequence[HeldOut], by_style: Sequence[np.ndarray], classes: Sequence[LabelClass]
) -> np.ndarray:
    """One line a scene: its drawing, then the picture in each style."""
    lines = [
        joined([*drawing(scene, classes), *(pictures[index] for pictures in by_style)], axis=1)
        for index, scene in enumerate(scenes)
    ]
    return joined(lines, axis=0)


@dataclass(frozen=True)
class Drawing:
    """What somebody drew, and the prompt that goes with it."""

    prompt: str
    conditions: Conditions


def read_drawings(folder: Path, classes: Sequence[LabelClass]) -> list[Drawing]:
    """The drawings (`*.json`, each with `prompt`, `classes` and the canvas value `drawing`) of a folder, by
    name.

    Raises:
        InputError: a file that is no drawing, or one of other classes.
    """
    return [_read_drawing(file, classes) for file in sorted(folder.glob("*.json"))]


def freehand_page(
    drawings: Sequence[Drawing],
    pipeline: MCMPipeline,
    steps: int | None,
    scheduler: str | None,
    guidance: float,
) -> np.ndarray:
    """One line a drawing: label map, sketch, the base alone, modulated from the same noise."""
    assert pipeline.modulator is not None
    classes, size, text = pipeline.modulator.classes, pipeline.base.default_size, pipeline.base.accepts_text
    lines = []
    for seed, each in enumerate(drawings):
        asked = Request(
            prompt=each.prompt if text else "",
            conditions=each.conditions,
            guidance_scale=guidance if text else None,
            steps=steps,
            scheduler=scheduler,
            seeds=(seed,),
            compare=True,
            previews=False,
        )
        result = pipeline(asked)
        plain = result.images if result.plain_images is None else result.plain_images
        labels, sketch = (
            each.conditions.maps.get(name, np.zeros(size, np.uint8)) for name in (LABELS, SKETCH)
        )
        lines.append(joined([*_drawn(labels, sketch, classes, size), plain[0], result.images[0]], axis=1))
    return joined(lines, axis=0)


def drawing(scene: HeldOut, classes: Sequence[LabelClass]) -> list[np.ndarray]:
    """Label map and sketch as people see them, (H, W, 3) uint8 each."""
    return _drawn(scene.labels, scene.sketch, classes, scene.picture.shape[:2])


def joined(pictures: Sequence[np.ndarray], axis: int, gap: int = GAP) -> np.ndarray:
    """Pictures side by side (axis 1) or one below the other (axis 0), white between them."""
    margin = [(0, 0), (0, 0), (0, 0)]
    margin[axis] = (0, gap)
    spaced = [np.pad(one, margin, constant_values=255) for one in pictures[:-1]]
    return np.concatenate([*spaced, pictures[-1]], axis=axis)


def save(page: np.ndarray, file: Path) -> None:
    """As JPEG that leaves edges and colours as they are, for all that an eye can tell."""
    Image.fromarray(page).save(file, "JPEG", quality=94, subsampling=0)


def _drawn(
    labels: np.ndarray, sketch: np.ndarray, classes: Sequence[LabelClass], size: Size
) -> list[np.ndarray]:
    maps = {LABELS: labels, SKETCH: sketch}
    return [map_picture(name, resize_map(name, drawn, size), classes) for name, drawn in maps.items()]


def _read_drawing(file: Path, classes: Sequence[LabelClass]) -> Drawing:
    names = [each.name for each in classes]
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        conditions = from_canvas(content["drawing"])
        table = np.array([0, *(names.index(name) + 1 for name in content["classes"])], np.uint8)
        labels = conditions.maps.get(LABELS)
        maps = dict(conditions.maps) if labels is None else {**conditions.maps, LABELS: table[labels]}
        return Drawing(str(content["prompt"]), Conditions(maps))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{file} is no drawing of these classes: {error}") from error


def _of_one_width(lines: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The last line of a page may hold fewer drawings: white takes their place."""
    width = max(line.shape[1] for line in lines)
    return [np.pad(line, [(0, 0), (0, width - line.shape[1]), (0, 0)], constant_values=255) for line in lines]
