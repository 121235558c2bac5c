"""Drawings to start from: JSON files in assets/examples, with the prompt that goes with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcm_core.drawing.canvas_value import from_canvas
from mcm_core.drawing.conditions import LABELS, Conditions, LabelClass
from mcm_core.models import assets

from .models import Model
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

    def adapted(self, classes: Sequence[LabelClass], layers: Sequence[str]) -> Example | None:
        """The same in the ids of these classes, with the layers that are read; None where nothing is left of
        it, or a class of it is not among these."""
        drawn, ids = self.conditions.only(layers), {label.name: i for i, label in enumerate(classes, start=1)}
        used = np.unique(drawn.maps.get(LABELS, np.zeros(1, np.uint8)))
        names = {int(index): self.classes[index - 1] for index in used if index}
        if not drawn.maps or not ids.keys() >= set(names.values()):
            return None
        if names:
            table = np.zeros(256, np.uint8)
            for index, name in names.items():
                table[index] = ids[name]
            drawn = Conditions({**drawn.maps, LABELS: table[drawn.maps[LABELS]]})
        return replace(self, classes=tuple(ids), conditions=drawn)

    def thumbnail(self, classes: Sequence[LabelClass]) -> dict[str, Any]:
        """As `demo.strip` wants it; `classes` are those that it was adapted to."""
        picture = drawing_picture(self.conditions, classes)
        return {"images": [thumbnail(picture)], "text": f"Start from: {self.title}"}


def fitting(examples: Sequence[Example], model: Model) -> list[Example]:
    """Those of which the model reads something and knows all that is painted, adapted to it."""
    adapted = (example.adapted(model.classes, model.layers) for example in examples)
    return [example for example in adapted if example]


def read_examples(folder: Path = FOLDER) -> list[Example]:
    """All examples in a folder, by file name."""
    return [Example.read(path) for path in sorted(folder.glob("*.json"))]
