"""From pictures to numbers: what is measured on each picture, and what a row of the table says of many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .diversity import mean_distance
from .frechet import frechet_distance
from .overlap import confusions, iou
from .scenes import HeldOut
from .segmenter import Reading, Segmenter
from .strokes import agreement, matches, outlines


@dataclass(frozen=True, eq=False)
class Scores:
    """Of n pictures: `confusion` (n, C, C) pixels, `strokes` (n, 4) pixels, `features` (n, F), `right` (n, A)
    bool: which asked-for attributes are found, in the order of the segmenter's. `varied` (drawings, variants,
    F) may be empty."""

    confusion: np.ndarray
    strokes: np.ndarray
    features: np.ndarray
    right: np.ndarray
    varied: np.ndarray

    @staticmethod
    def joined(parts: Sequence[Scores]) -> Scores:
        return Scores(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Scores)))


def measure(
    pictures: np.ndarray,
    maps: Sequence[np.ndarray],
    scenes: Sequence[HeldOut],
    segmenter: Segmenter,
    varied: np.ndarray,
) -> Scores:
    """pictures (n, H, W, 3); maps (H, W) each, to judge by; varied (d, v, H, W, 3), where d may be 0."""
    reading = segmenter.read(pictures)
    strokes = [matches(scene.sketch, outlines(each)) for scene, each in zip(scenes, pictures, strict=True)]
    variants = [segmenter.read(each).features for each in varied]
    return Scores(
        confusions(np.stack(maps), reading.labels, len(segmenter.classes)),
        np.stack(strokes),
        reading.features,
        _right(reading, scenes, segmenter),
        np.stack(variants) if variants else np.empty((0, 1, reading.features.shape[1]), np.float32),
    )


@dataclass(frozen=True)
class Row:
    """One row of the table; NaN where there is nothing to tell. Shares are in [0, 1].

    `frechet` is in the segmenter's features, against renders of other scenes in the same style. `diversity`
    is the mean distance of two pictures of one drawing, as a share of that of two renders of different
    scenes.
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
    attributes: dict[str, float]

    @property
    def attribute_accuracy(self) -> float:
        return float(np.mean([*self.attributes.values()]))


def row(name: str, group: str, scores: Scores, reference: np.ndarray, segmenter: Segmenter) -> Row:
    """reference (m, F): features of renders in the same style, of other scenes."""
    overlap, strokes = iou(scores.confusion.sum(0)), agreement(scores.strokes.sum(0))
    varied = mean_distance(scores.varied) / mean_distance(reference) if scores.varied.size else float("nan")
    return Row(
        name=name,
        group=group,
        count=len(scores.features),
        miou=overlap.mean,
        iou={each.name: float(v) for each, v in zip(segmenter.classes, overlap.by_class, strict=True)},
        stroke_f1=strokes.f1,
        stroke_precision=strokes.precision,
        stroke_recall=strokes.recall,
        frechet=frechet_distance(scores.features, reference),
        diversity=varied,
        attributes=dict(zip(segmenter.attributes, scores.right.mean(0).tolist(), strict=True)),
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


def _right(reading: Reading, scenes: Sequence[HeldOut], segmenter: Segmenter) -> np.ndarray:
    right = [
        [
            words[reading.attributes[name][index]] == scene.asked[name]
            for name, words in segmenter.attributes.items()
        ]
        for index, scene in enumerate(scenes)
    ]
    return np.array(right, bool)
