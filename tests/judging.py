"""What the tests of the evaluation judge with, and by: a small judge, and two drawings by hand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from mcm_core.drawing.palette import palette_picture
from mcm_core.drawing.sketches import sketch_picture
from mcm_core.evaluation.segmenter import Network, Segmenter
from mcm_core.landscapes import captions
from mcm_core.landscapes.easel import CLASSES

CLASS_ROWS = [{"name": each.name, "color": each.color} for each in CLASSES]
WORDS = {name: list(words) for name, words in captions.ATTRIBUTES.items()}
SIZE = (64, 64)
BLOB = np.zeros(SIZE, np.uint8)
BLOB[30:50, 10:40] = 10
STROKES = np.zeros(SIZE, np.uint8)
cv2.rectangle(STROKES, (12, 20), (50, 52), 255, 2)


def drawn_by_hand(folder: Path) -> Path:
    """Two drawings as `assets/freehand` holds them: water alone, and a house with its outline."""
    folder.mkdir()
    rows = [
        {"text": "sunset lake", "labels": "1-labels.png", "time": "sunset"},
        {"text": "my house", "labels": "2-labels.png", "sketch": "2-sketch.png"},
    ]
    house = np.where(BLOB, 11, 0).astype(np.uint8)
    pictures = (
        ("1-labels", palette_picture(BLOB, CLASSES)),
        ("2-labels", palette_picture(house, CLASSES)),
        ("2-sketch", sketch_picture(STROKES)),
    )
    for name, picture in pictures:
        Image.fromarray(picture).save(folder / f"{name}.png")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def new_network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network(CLASS_ROWS, WORDS)


def new_segmenter(seed: int = 0) -> Segmenter:
    return Segmenter(new_network(seed))
