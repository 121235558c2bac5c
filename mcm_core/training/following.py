"""How far pictures follow their drawings: strokes found again as outlines, classes read again by a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions
from mcm_core.emphasis import as_prompt
from mcm_core.evaluation.overlap import confusions, iou
from mcm_core.evaluation.strokes import agreement, matches, outlines
from mcm_core.pipeline import MCMPipeline
from mcm_core.request import MAX_PROMPT, Request
from mcm_core.training.data import Pair

Reader = Callable[[np.ndarray], np.ndarray]
"""(B, H, W, 3) uint8 pictures -> (B, H, W) uint8 ids in the modulator's classes, 0 where it is unsure."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A pair, and what was painted of one noise, alone and with the drawings: (H, W, 3) uint8."""

    pair: Pair
    alone: np.ndarray
    drawn: np.ndarray


@dataclass(frozen=True)
class Score:
    """In [0, 1], of what was painted with the drawings, of the base alone, and of the pairs' own pictures,
    which is the ceiling."""

    drawn: float
    alone: float
    ceiling: float

    def __str__(self) -> str:
        return f"{self.drawn:.3f} (base alone {self.alone:.3f}, the pairs' own pictures {self.ceiling:.3f})"


def painted(
    pipeline: MCMPipeline, pairs: Sequence[Pair], seed: int, modalities: Sequence[str] | None = None
) -> list[Sample]:
    """A sample of each pair, each from a noise of its own; with all its drawings unless told which."""
    return [_painted(pipeline, pair, seed + index, modalities) for index, pair in enumerate(pairs)]


def drawn_with(samples: Sequence[Sample], modality: str) -> list[Sample]:
    """Those of which something is drawn there."""
    return [sample for sample in samples if is_drawn(sample.pair, modality)]


def is_drawn(pair: Pair, modality: str) -> bool:
    return bool(pair.maps.get(modality, np.zeros(1)).any())


def strokes_followed(sketched: Sequence[Sample]) -> Score:
    """F1 of strokes and outlines, see `evaluation.strokes`; of samples with a sketch, at least one. Pictures
    without an outline follow none."""

    def f1(picture_of: Callable[[Sample], np.ndarray]) -> float:
        counts = [matches(one.pair.maps[SKETCH], outlines(picture_of(one))) for one in sketched]
        score = agreement(np.sum(counts, axis=0)).f1
        return 0.0 if math.isnan(score) else score

    return Score(f1(lambda one: one.drawn), f1(lambda one: one.alone), f1(lambda one: one.pair.picture))


def labels_followed(mapped: Sequence[Sample], read: Reader, classes: int) -> Score:
    """Mean intersection over union of the drawn classes and those read again; of samples with a label map, at
    least one. Where the reader is unsure it has found a class of its own, which nobody drew."""
    unsure = classes + 1

    def confused(sample: Sample, picture: np.ndarray) -> np.ndarray:
        found = read(picture[None])
        return confusions(sample.pair.maps[LABELS][None], np.where(found == 0, unsure, found), unsure)[0]

    def overlap(picture_of: Callable[[Sample], np.ndarray]) -> float:
        return iou(np.sum([confused(one, picture_of(one)) for one in mapped], axis=0)).mean

    return Score(
        overlap(lambda one: one.drawn), overlap(lambda one: one.alone), overlap(lambda one: one.pair.picture)
    )


def _painted(pipeline: MCMPipeline, pair: Pair, seed: int, modalities: Sequence[str] | None) -> Sample:
    height, width = pair.picture.shape[:2]
    drawn = Conditions(pair.maps)
    request = Request(
        prompt=as_prompt(pair.captions[0])[:MAX_PROMPT]
        if pipeline.base.accepts_text and pair.captions
        else "",
        conditions=drawn if modalities is None else drawn.only(modalities),
        seeds=(seed,),
        width=width,
        height=height,
        compare=True,
        previews=False,
    )
    result = pipeline(request)
    alone = result.images if result.plain_images is None else result.plain_images
    return Sample(pair, alone[0], result.images[0])
