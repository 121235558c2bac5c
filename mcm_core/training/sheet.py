"""Sheets of pictures: the pairs as they were read, and what a modulator makes of some."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import LabelClass, Modality
from mcm_core.drawing.palette import map_picture
from mcm_core.modulator import Modulator
from mcm_core.training.data import Pair
from mcm_core.training.following import Sample
from mcm_core.training.rows import Layout

GAP = 4  # pixels of white between pictures


def sample_sheet(samples: Sequence[Sample], modulator: Modulator) -> Image.Image:
    """One row per sample: the picture, its drawings, the base alone, the base modulated by the drawings."""
    kinds, classes = modulator.modalities, modulator.classes
    return _sheet(
        [[one.pair.picture, *_drawings(one.pair, kinds, classes), one.alone, one.drawn] for one in samples]
    )


def contact_sheet(pairs: Sequence[Pair], layout: Layout) -> Image.Image:
    """One row per pair: the picture and its drawings as they were read."""
    return _sheet([[pair.picture, *_drawings(pair, layout.modalities, layout.classes)] for pair in pairs])


def _drawings(pair: Pair, modalities: Sequence[Modality], classes: Sequence[LabelClass]) -> list[np.ndarray]:
    """The pair's drawings as people see them; blank where one is missing."""
    blank = np.full_like(pair.picture, 255)
    return [
        map_picture(kind.name, pair.maps[kind.name], classes) if kind.name in pair.maps else blank
        for kind in modalities
    ]


def _sheet(rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    return Image.fromarray(_joined([_joined(row, axis=1) for row in rows], axis=0))


def _joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures side by side (axis 1) or one below the other (axis 0), white between and beside them."""
    across = 1 - axis
    longest = max(picture.shape[across] for picture in pictures)
    spaced = []
    for picture in pictures:
        margin = [(0, 0), (0, 0), (0, 0)]
        margin[axis], margin[across] = (0, GAP), (0, longest - picture.shape[across])
        spaced.append(np.pad(picture, margin, constant_values=255))
    return np.delete(np.concatenate(spaced, axis=axis), np.s_[-GAP:], axis=axis)
