"""From pictures to numbers: what is measured on each picture, and what a row of the table says of many."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .diversity import mean_distance
from .frechet import frechet_distance
from .look import looks
from .overlap import confusions, iou
from .scenes import Drawn
from .segmenter import Reading, Segmenter
from .strokes import agreement, matches, outlines


@dataclass(frozen=True, eq=False)
class Scores:
    """Of n pictures: `confusion` (n, C, C) pixels, `strokes` (n, 4) pixels, 0 where there is no sketch,
    `features` (n, F), `right` (n, A): 1 where an attribute is found as asked for, else 0, NaN where nothing
    was asked for, in the order of the segmenter's; `look` (n, 2): see `look.looks`. `varied` (drawings,
    variants, F) may be empty."""

    confusion: np.ndarray
    strokes: np.ndarray
    features: np.ndarray
    right: np.ndarray
    look: np.ndarray
    varied: np.ndarray

    @staticmethod
    def joined(parts: Sequence[Scores]) -> Scores:
        return Scores(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Scores)))


def measure(
    pictures: np.ndarray,
    maps: Sequence[np.ndarray],
    scenes: Sequence[Drawn],
    segmenter: Segmenter,
    varied: np.ndarray,
) -> Scores:
    """pictures (n, H, W, 3); maps (H, W) each, to judge by; varied (d, v, H, W, 3), where d may be 0."""
    reading = segmenter.read(pictures)
    strokes = [
        matches(scene.sketch, outlines(each)) if scene.sketch.any() else np.zeros(4, int)
        for scene, each in zip(scenes, pictures, strict=True)
    ]
    variants = [segmenter.read(each).features for each in varied]
    return Scores(
        confusions(np.stack(maps), reading.labels, len(segmenter.classes)),
        np.stack(strokes),
        reading.features,
        _right(reading, scenes, segmenter),
        looks(pictures),
        np.stack(variants) if variants else np.empty((0, 1, reading.features.shape[1]), np.float32),
    )


@dataclass(frozen=True, eq=False)
class Reference:
    """What pictures are compared with: `features` (m, F) of renders of other scenes in the same style, may be
    empty; `look` (k, 2) of the renders of the same scenes."""

    features: np.ndarray
    look: np.ndarray

    @staticmethod
    def joined(parts: Sequence[Reference]) -> Reference:
        return Reference(
            *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Reference))
        )


@dataclass(frozen=True)
class Row:
    """One row of the table; NaN where there is nothing to tell. Shares are in [0, 1].

    `frechet` is in the segmenter's features, against renders of other scenes in the same style. `diversity`
    is the mean distance of two pictures of one drawing, as a share of that of two renders of different
    scenes. `saturation` and `sharpness` are means, as a share of the renders'.
    """

    name: str
    group: str
    count: int
    miou: float
    iou: dict[str, float]
    stroke_f1: float
    stroke_precision: float
    stroke_recall: float
    frechet: float
    diversity: float
    saturation: float
    sharpness: float
    attributes: dict[str, float]

    @property
    def attribute_accuracy(self) -> float:
        return _mean([*self.attributes.values()])


def row(name: str, group: str, scores: Scores, reference: Reference, segmenter: Segmenter) -> Row:
    overlap, strokes = iou(scores.confusion.sum(0)), agreement(scores.strokes.sum(0))
    apart = mean_distance(reference.features)
    varied = mean_distance(scores.varied) / apart if scores.varied.size else float("nan")
    saturation, sharpness = map(_share, scores.look.mean(0).tolist(), reference.look.mean(0).tolist())
    return Row(
        name=name,
        group=group,
        count=len(scores.features),
        miou=overlap.mean,
        iou={each.name: float(v) for each, v in zip(segmenter.classes, overlap.by_class, strict=True)},
        stroke_f1=strokes.f1,
        stroke_precision=strokes.precision,
        stroke_recall=strokes.recall,
        frechet=_frechet(scores.features, reference.features),
        diversity=varied,
        saturation=saturation,
        sharpness=sharpness,
        attributes=dict(zip(segmenter.attributes, map(_mean, scores.right.T), strict=True)),
    )


def save(scores: Scores, file: Path) -> None:
    partial = file.with_suffix(".part")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, **{f.name: getattr(scores, f.name) for f in fields(Scores)})
    os.replace(partial, file)


def load(file: Path) -> Scores | None:
    """Scores that were kept; None where there are none, or the file is damaged."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            return Scores(**{f.name: kept[f.name] for f in fields(Scores)})
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _frechet(features: np.ndarray, reference: np.ndarray) -> float:
    return frechet_distance(features, reference) if len(reference) else math.nan


def _share(value: float, whole: float) -> float:
    return value / whole if whole else math.nan


def _mean(values: Sequence[float] | np.ndarray) -> float:
    """Over those that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _right(reading: Reading, scenes: Sequence[Drawn], segmenter: Segmenter) -> np.ndarray:
    right = [
        [
            words[reading.attributes[name][index]] == scene.asked[name] if name in scene.asked else math.nan
            for name, words in segmenter.attributes.items()
        ]
        for index, scene in enumerate(scenes)
    ]
    return np.array(right, np.float64)
