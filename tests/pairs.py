"""Small data sets of pairs in the trainer's layout: sky, hill and pond, flat in the classes' colours."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

CLASSES = [
    {"name": "sky", "color": "#8ec1ef"},
    {"name": "hill", "color": "#6a9a4c"},
    {"name": "water", "color": "#2b5fae"},
]
COLORS = np.array([[255, 255, 255], [0x8E, 0xC1, 0xEF], [0x6A, 0x9A, 0x4C], [0x2B, 0x5F, 0xAE]], np.uint8)


def draw(index: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture (size, size, 3), ids (size, size), sketch (size, size) dark on white."""
    random = np.random.default_rng(index)
    labels = np.full((size, size), 1, np.uint8)
    labels[random.integers(size // 4, 3 * size // 4) :] = 2
    cv2.circle(labels, tuple(random.integers(0, size, 2).tolist()), size // 6, 3, -1)
    sketch = 255 - cv2.Canny(labels * 60, 10, 50)
    return COLORS[labels], labels, sketch


def build_pairs(folder: Path, count: int, size: int = 64, **extra: Any) -> Path:
    """Write `count` pairs; `extra` entries go into each line, and None takes an entry out."""
    for name in ("images", "labels", "sketches"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(count):
        picture, labels, sketch = draw(index, size)
        line = {"file_name": f"images/{index}.png", "text": f"a pond, {('noon', 'dusk')[index % 2]}"}
        line |= {"labels": f"labels/{index}.png", "sketch": f"sketches/{index}.png"} | extra
        Image.fromarray(picture).save(folder / "images" / f"{index}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{index}.png")
        Image.fromarray(sketch).save(folder / "sketches" / f"{index}.png")
        lines.append({name: value for name, value in line.items() if value is not None})
    write_lines(folder, lines)
    (folder / "classes.json").write_text(json.dumps(CLASSES))
    return folder


def write_lines(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
