"""Sample sheets: what the modulator makes of some pairs, beside the base alone from the same noise."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mcm_core.base import Base
from mcm_core.drawing.conditions import Conditions
from mcm_core.drawing.palette import map_picture
from mcm_core.modulator import Modulator
from mcm_core.pipeline import MCMPipeline
from mcm_core.request import MAX_PROMPT, Request
from mcm_core.training.data import Pair

GAP = 4  # pixels of white between pictures


def sample_sheet(base: Base, modulator: Modulator, pairs: Sequence[Pair], seed: int) -> Image.Image:
    """One row per pair: the picture, its drawings, the base alone, the base modulated by all drawings."""
    pipeline = MCMPipeline(base, modulator)
    rows = [_row(pipeline, modulator, pair, seed + index) for index, pair in enumerate(pairs)]
    return Image.fromarray(_joined([_joined(row, axis=1) for row in rows], axis=0))


def _row(pipeline: MCMPipeline, modulator: Modulator, pair: Pair, seed: int) -> list[np.ndarray]:
    height, width = pair.picture.shape[:2]
    prompt = pair.text[:MAX_PROMPT] if pipeline.base.accepts_text else ""
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
    blank = np.full_like(pair.picture, 255)
    drawings = [
        map_picture(modality.name, pair.maps[modality.name], modulator.classes)
        if modality.name in pair.maps
        else blank
        for modality in modulator.modalities
    ]
    plain = result.images if result.plain_images is None else result.plain_images
    return [pair.picture, *drawings, plain[0], result.images[0]]


def _joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures side by side (axis 1) or one below the other (axis 0), white between them."""
    margin = [(0, 0), (0, 0), (0, 0)]
    margin[axis] = (0, GAP)
    spaced = [np.pad(one, margin, constant_values=255) for one in pictures[:-1]]
    return np.concatenate([*spaced, pictures[-1]], axis=axis)
