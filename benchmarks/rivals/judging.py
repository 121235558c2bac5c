"""What each method paints of the same held-out scenes, and the rows of the table that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from torch import nn
from tqdm import tqdm

from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, LabelClass
from mcm_core.evaluation import scores
from mcm_core.evaluation.evaluation import REFERENCE_RATIO
from mcm_core.evaluation.look import looks
from mcm_core.evaluation.pictures import NEXT_NOISE, VARIANTS, renders
from mcm_core.evaluation.scenes import REFERENCE, HeldOut, scenes, scenes_in_order
from mcm_core.evaluation.scores import Reference
from mcm_core.evaluation.segmenter import Segmenter
from mcm_core.landscapes.render import HELD_OUT

from .drawing import of_conditions
from .methods import Asked, Method
from .painting import paint

VALIDATION = HELD_OUT + 2_000_000
"""The scenes by which a method's own setting is chosen start here: none of them is judged."""
VALIDATION_COUNT = 16
INPUTS: dict[str, tuple[str, ...]] = {
    "map": (LABELS,),
    "sketch": (SKETCH,),
    "map and sketch": (LABELS, SKETCH),
}
BOTH = "map and sketch"
WORDS = "words"
"""The same, of scenes whose prompts say time, season and style in all orders."""


@dataclass(frozen=True)
class Studio:
    """What all methods share: the base, who judges, and how pictures are made, `at_once` together."""

    base: Base
    precision: str
    classes: Sequence[LabelClass]
    segmenter: Segmenter
    steps: int
    at_once: int

    @cache  # noqa: B019
    def held_out(self, count: int, first: int = HELD_OUT) -> list[HeldOut]:
        return scenes(count, "poster", self.base.default_size, first, len(self.segmenter.classes))

    @cache  # noqa: B019
    def in_order(self, count: int) -> list[HeldOut]:
        return scenes_in_order(count, self.base.default_size, len(self.segmenter.classes))

    @cache  # noqa: B019
    def features(self, count: int) -> np.ndarray:
        """(count, F) of renders that nobody draws."""
        return self.segmenter.read(renders(self.held_out(count, REFERENCE))).features


@dataclass(frozen=True)
class Painter:
    """A method that has learned, and its setting."""

    studio: Studio
    method: Method
    network: nn.Module | None
    setting: object

    def paint(self, drawn: Sequence[HeldOut], inputs: Sequence[str], variant: int = 0) -> np.ndarray:
        """One picture of each scene, (n, H, W, 3) uint8, from its own noise or a variant of it."""
        studio, given = self.studio, set(inputs) & set(self.method.reads)
        seeds, pictures = [scene.noise + variant * NEXT_NOISE for scene in drawn], []
        for first in tqdm(range(0, len(drawn), studio.at_once), self.method.title, unit="batch", leave=False):
            rows = slice(first, first + studio.at_once)
            maps = [
                Conditions({name: each for name, each in drawing(scene).items() if name in given})
                for scene in drawn[rows]
            ]
            seen = of_conditions(maps, studio.base.default_size, studio.base.device)
            prompts = [scene.prompt for scene in drawn[rows]]
            asked = Asked(studio.base, studio.precision, studio.classes, prompts, seen, seeds[rows])
            prediction = self.method.begin(self.network, asked, self.setting)
            pictures.append(paint(studio.base, prediction, seeds[rows], studio.steps))
        return np.concatenate(pictures)

    def followed(self, drawn: Sequence[HeldOut]) -> float:
        """mIoU with all that the method reads: for curves and choices."""
        return float(self._row(drawn, INPUTS[BOTH])["miou"])

    def judged(self, count: int) -> dict[str, Any]:
        """Rows by name of the `INPUTS` that the method takes, and of `WORDS`; the base alone takes none."""
        drawn, in_order = self.studio.held_out(count), self.studio.in_order(count)
        told = {
            name: self._row(drawn, inputs, varied=max(2, count // 10))
            for name, inputs in INPUTS.items()
            if set(inputs) <= set(self.method.reads) or (name == BOTH and not self.method.reads)
        }
        return told | {WORDS: self._row(in_order, INPUTS[BOTH])}

    def _row(self, drawn: Sequence[HeldOut], inputs: Sequence[str], varied: int = 0) -> dict[str, Any]:
        """What the evaluation's table says of such pictures, with diversity where some are `varied`."""
        pictures, judge = self.paint(drawn, inputs), self.studio.segmenter
        variants = pictures[:0, None]
        if varied:
            each = [self.paint(drawn[:varied], inputs, number) for number in range(VARIANTS)]
            variants = np.stack(each, axis=1)
        measured = scores.measure(pictures, [scene.labels for scene in drawn], drawn, judge, variants)
        features = self.studio.features(REFERENCE_RATIO * len(drawn)) if varied else np.empty((0, 1))
        row = scores.row("", "", measured, Reference(features, looks(renders(drawn))), judge)
        return {name: value for name, value in asdict(row).items() if name not in ("name", "group", "iou")}


def drawing(scene: HeldOut) -> dict[str, np.ndarray]:
    return {LABELS: scene.labels, SKETCH: scene.sketch}


def settled(studio: Studio, method: Method, network: nn.Module | None) -> Painter:
    """With the setting that follows the drawing best, on scenes that are not judged."""
    painters = [Painter(studio, method, network, setting) for setting in method.settings]
    if len(painters) == 1:
        return painters[0]
    drawn = studio.held_out(VALIDATION_COUNT, VALIDATION)
    return max(painters, key=lambda painter: painter.followed(drawn))
