"""Rows -> pairs of picture and drawing, read as people's uploads are read, and checked."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import SKETCH, InputError, Modality
from mcm_core.drawing.label_pictures import read_labels
from mcm_core.drawing.picture_files import open_picture, to_rgb
from mcm_core.drawing.sketches import read_sketch
from mcm_core.drawing.uploads import covered, from_map
from mcm_core.training.rows import Layout, Row, RowError, raise_problems

MOST_PROBLEMS = 20
"""After so many no more rows are read."""


@dataclass(frozen=True)
class Pair:
    """One pair, read: picture (H, W, 3) uint8; maps uint8, (H, W) ids or strokes or (H, W[, C]) planes."""

    picture: np.ndarray
    captions: tuple[str, ...]
    maps: dict[str, np.ndarray]


# -- reading -----------------------------------------------------------------------------------------------


def read_pair(row: Row, layout: Layout) -> Pair:
    """The picture and its drawings at the layout's size: scaled to cover it, cut to its middle.

    Raises:
        InputError: an unreadable file, a drawing of another size than its picture, an id without a class.
    """
    picture = to_rgb(_open(row, "picture", row.picture))
    maps = {}
    for modality in layout.modalities:
        if modality.name in row.maps:
            drawn = _read_map(row, modality, layout)
            if abs(drawn.shape[1] * picture.shape[0] / (drawn.shape[0] * picture.shape[1]) - 1) > 0.02:
                detail = f"{_size_text(drawn)} beside {_size_text(picture)}"
                raise RowError(
                    row.place, f"the {modality.name} map has another shape than its picture", detail
                )
            maps[modality.name] = covered(modality.name, drawn, layout.size)
    return Pair(covered("image", picture, layout.size), row.captions, maps)


def read_picture(row: Row, layout: Layout) -> np.ndarray:
    """Only the picture of `read_pair`, (H, W, 3) uint8."""
    return read_pair(Row(row.place, row.picture, row.captions, {}), layout).picture


def _read_map(row: Row, modality: Modality, layout: Layout) -> np.ndarray:
    """A drawing as `mcm_core.drawing.uploads` reads it, but for cutting out sheets: it stays in place."""
    image = _open(row, f"{modality.name} map", row.maps[modality.name])
    try:
        if modality.kind == "labels":
            empty = np.zeros((image.height, image.width), np.uint8)
            return read_labels(image, layout.classes, layout.zero_based).maps.get(modality.name, empty)
        if modality.name == SKETCH:
            return read_sketch(image)
        return from_map(image, modality.name, modality.channels).maps[modality.name]
    except InputError as error:
        raise RowError(row.place, f"the {modality.name} map cannot be used: {error}") from error


def _open(row: Row, what: str, source: Path | bytes) -> Image.Image:
    if isinstance(source, Path) and not source.is_file():
        raise RowError(row.place, f"the {what} is missing", str(source))
    try:
        return open_picture(source)
    except InputError as error:
        detail = "" if isinstance(source, bytes) else str(source)
        raise RowError(row.place, f"the {what} cannot be used: {error}", detail) from error


def _size_text(drawn: np.ndarray) -> str:
    return f"{drawn.shape[1]} x {drawn.shape[0]}"


# -- checking ----------------------------------------------------------------------------------------------


def checked_pairs(rows: Sequence[Row], layout: Layout, needs_text: bool) -> Iterator[Pair]:
    """Each row, read in order by threads; problems are gathered and raised as one `InputError` in the end.

    `needs_text`: a row without a caption, where others have one, is a problem.
    """
    problems: list[RowError] = []

    def read(index: int) -> Pair | RowError:
        try:
            row = rows[index]
            if needs_text and not row.captions:
                raise RowError(row.place, "the caption is empty")
            return read_pair(row, layout)
        except RowError as error:
            return error

    with ThreadPoolExecutor(max_workers=4) as pool:
        for start in range(0, len(rows), 64):
            for pair in pool.map(read, range(start, min(start + 64, len(rows)))):
                if isinstance(pair, RowError):
                    problems.append(pair)
                else:
                    yield pair
            if len(problems) >= MOST_PROBLEMS:
                break
    raise_problems(problems, "the data set")
