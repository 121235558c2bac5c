"""Sample sheets: what the modulator makes of some pairs, beside the base alone from the same noise."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mcm_core.base import Base
from mcm_core.drawing.conditions import Conditions, LabelClass, Modality
from mcm_core.drawing.palette import map_picture
from mcm_core.modulator import Modulator
from mcm_core.pipeline import MCMPipeline
from mcm_core.request import MAX_PROMPT, Request
from mcm_core.training.data import Pair
from mcm_core.training.rows import Layout

GAP = 4  # pixels of white between pictures


def sample_sheet(base: Base, modulator: Modulator, pairs: Sequence[Pair], seed: int) -> Image.Image:
    """One row per pair: the picture, its drawings, the base alone, the base modulated by all drawings."""
    pipeline = MCMPipeline(base, modulator)
    rows = [_row(pipeline, modulator, pair, seed + index) for index, pair in enumerate(pairs)]
    return Image.fromarray(_joined([_joined(row, axis=1) for row in rows], axis=0))


def contact_sheet(pairs: Sequence[Pair], layout: Layout) -> Image.Image:
    """One row per pair: the picture and its drawings as they were read."""
    rows = [[pair.picture, *_drawings(pair, layout.modalities, layout.classes)] for pair in pairs]
    return Image.fromarray(_joined([_joined(row, axis=1) for row in rows], axis=0))


def _drawings(pair: Pair, modalities: Sequence[Modality], classes: Sequence[LabelClass]) -> list[np.ndarray]:
    """The pair's drawings as people see them; blank where one is missing."""
    blank = np.full_like(pair.picture, 255)
    return [
        map_picture(kind.name, pair.maps[kind.name], classes) if kind.name in pair.maps else blank
        for kind in modalities
    ]


def _row(pipeline: MCMPipeline, modulator: Modulator, pair: Pair, seed: int) -> list[np.ndarray]:
    height, width = pair.picture.shape[:2]
    prompt = pair.captions[0][:MAX_PROMPT] if pipeline.base.accepts_text and pair.captions else ""
    request = Request(
        prompt=prompt,
        conditions=Conditions(pair.maps),
        seeds=(seed,),
        width=width,
        height=height,
        compare=True,
        previews=False,
    )
    result = pipeline(request)
    drawings = _drawings(pair, modulator.modalities, modulator.classes)
    plain = result.images if result.plain_images is None else result.plain_images
    return [pair.picture, *drawings, plain[0], result.images[0]]


def _joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures side by side (axis 1) or one below the other (axis 0), white between them."""
    margin = [(0, 0), (0, 0), (0, 0)]
    margin[axis] = (0, GAP)
    spaced = [np.pad(one, margin, constant_values=255) for one in pictures[:-1]]
    return np.concatenate([*spaced, pictures[-1]], axis=axis)
