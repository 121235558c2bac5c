"""How far pictures follow their drawings, as the model sees it that labelled the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcm_core.drawing.conditions import LABELS, Conditions, InputError
from mcm_core.evaluation.overlap import confusions, iou
from mcm_core.pairs.labelling import Labeller
from mcm_core.pipeline import MCMPipeline
from mcm_core.request import MAX_PROMPT, Request
from mcm_core.training.data import Pair


@dataclass(frozen=True)
class Following:
    """Mean intersection over union with the drawn classes: of the pairs' own pictures, which is the ceiling,
    of pictures painted with the drawing, and of the base alone from the same noise."""

    ceiling: float
    drawn: float
    alone: float
    count: int


def following(pipeline: MCMPipeline, label: Labeller, pairs: Sequence[Pair], seed: int) -> Following:
    """Of pairs with a label map, one picture each.

    Raises:
        InputError: there is none.
    """
    mapped = [pair for pair in pairs if LABELS in pair.maps]
    if not mapped:
        raise InputError("No pair with a label map was held out to judge by: make more pairs, at least ten.")
    classes = len(pipeline.modulator.classes) if pipeline.modulator else 0
    painted = [_painted(pipeline, pair, seed + index) for index, pair in enumerate(mapped)]
    pictures = {
        "ceiling": [pair.picture for pair in mapped],
        "drawn": [drawn for drawn, _ in painted],
        "alone": [alone for _, alone in painted],
    }
    wanted = np.stack([pair.maps[LABELS] for pair in mapped])
    scores = {name: _overlap(label, wanted, np.stack(those), classes) for name, those in pictures.items()}
    return Following(**scores, count=len(mapped))


def _painted(pipeline: MCMPipeline, pair: Pair, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """With the map, and without it."""
    height, width = pair.picture.shape[:2]
    result = pipeline(
        Request(
            prompt=pair.captions[0][:MAX_PROMPT] if pair.captions else "",
            conditions=Conditions({LABELS: pair.maps[LABELS]}),
            seeds=(seed,),
            width=width,
            height=height,
            compare=True,
            previews=False,
        )
    )
    assert result.plain_images is not None
    return result.images[0], result.plain_images[0]


def _overlap(label: Labeller, wanted: np.ndarray, pictures: np.ndarray, classes: int) -> float:
    """Where the labeller is unsure it has found a class of its own, which nobody drew."""
    found = np.concatenate([label(pictures[index : index + 1]).labels for index in range(len(pictures))])
    unsure = classes + 1
    counted = confusions(wanted, np.where(found == 0, unsure, found), unsure)
    return iou(counted.sum(axis=0)).mean
