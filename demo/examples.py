"""Drawings to start from: JSON files in assets/examples, with the prompt that goes with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcm_core.drawing.canvas_value import from_canvas
from mcm_core.drawing.conditions import LABELS, Conditions, LabelClass
from mcm_core.models import assets

from .pictures import drawing_picture, thumbnail

FOLDER = assets() / "examples"


@dataclass(frozen=True)
class Example:
    """`classes` are the names that the drawing's ids stand for, so that it serves any model that has them."""

    title: str
    prompt: str
    classes: tuple[str, ...]
    conditions: Conditions

    @classmethod
    def read(cls, path: Path) -> Example:
        content = json.loads(path.read_text(encoding="utf-8"))
        drawing = from_canvas(content["drawing"])
        return cls(content["title"], content["prompt"], tuple(content["classes"]), drawing)

    def fits(self, classes: Sequence[LabelClass]) -> bool:
        """Whether all classes that it paints are among these."""
        names = {label.name for label in classes}
        return all(self.classes[index - 1] in names for index in self._used())

    def thumbnail(self, classes: Sequence[LabelClass]) -> dict[str, Any]:
        """As `demo.strip` wants it."""
        picture = drawing_picture(self.drawing(classes), classes)
        return {"images": [thumbnail(picture)], "text": f"Start from: {self.title}"}

    def drawing(self, classes: Sequence[LabelClass]) -> Conditions:
        """The drawing in the ids of these classes."""
        if LABELS not in self.conditions.maps:
            return self.conditions
        ids = {label.name: index for index, label in enumerate(classes, start=1)}
        table = np.zeros(256, np.uint8)
        table[self._used()] = [ids[self.classes[index - 1]] for index in self._used()]
        return Conditions({**self.conditions.maps, LABELS: table[self.conditions.maps[LABELS]]})

    def _used(self) -> list[int]:
        labels = self.conditions.maps.get(LABELS, np.zeros((1, 1), np.uint8))
        return [int(index) for index in np.unique(labels) if index]


def read_examples(folder: Path = FOLDER) -> list[Example]:
    """All examples in a folder, by file name."""
    return [Example.read(path) for path in sorted(folder.glob("*.json"))]
