"""`python -m demo.examples_from_landscapes` writes assets/examples, from scenes that no model has seen."""

from __future__ import annotations

import json
from pathlib import Path

from mcm_core.drawing.canvas_value import to_canvas
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions
from mcm_core.landscapes.easel import CLASSES
from mcm_core.landscapes.render import HELD_OUT, example

from .examples import FOLDER

CHOSEN = (
    (7, "Sailing in autumn", "a lake with a sailing boat, trees and hills, in autumn at sunrise", (LABELS,)),
    (21, "House by the river", "a house by a winding river, trees and mountains, in springtime", (LABELS,)),
    (32, "Winter river", "a winding river and a mountain range in winter, at noon", (LABELS, SKETCH)),
    (28, "Desert sun", "a desert with mountains, a winding river and the sun, on a sunny day", (SKETCH,)),
    (6, "Cottage by night", "a cottage, rolling hills and a full moon at night", (LABELS,)),
    (20, "Winter boat", "the sea, a boat, a forest and a mountain range in wintertime at sunrise", (SKETCH,)),
    (37, "Evening house", "a house, trees, the sun and grass under an orange sky", (LABELS, SKETCH)),
    (11, "Mountain lake", "a calm lake with a sailing boat, mountains and clouds, by day", (LABELS,)),
)
"""Scene after `HELD_OUT`, title, prompt, which layers are drawn."""


def write(folder: Path = FOLDER) -> None:
    """One JSON file for each example."""
    folder.mkdir(parents=True, exist_ok=True)
    for position, (scene, title, prompt, layers) in enumerate(CHOSEN, start=1):
        made = example(HELD_OUT + scene)
        maps = {LABELS: made.labels, SKETCH: made.sketch}
        drawing = to_canvas(Conditions({layer: maps[layer] for layer in layers}))
        names = [label.name for label in CLASSES] if LABELS in layers else []
        content = {"title": title, "prompt": prompt, "classes": names, "drawing": drawing}
        name = f"{position}-{title.lower().replace(' ', '-')}.json"
        (folder / name).write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
