"""Drawings by hand, which no renderer made: PNGs and what was said with them, in one `metadata.jsonl`.

Each line is

    {"text": "sunset lake", "labels": "1-labels.png", "sketch": "1-sketch.png", "time": "sunset"}

with a label map (ids, or the classes' colours), a sketch (dark on light) or both, and of time, season and
style those that the text asks for, in the judge's words.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mcm_core.drawing.conditions import LABELS, SKETCH, InputError, Size, resize_map
from mcm_core.drawing.label_pictures import read_labels
from mcm_core.drawing.picture_files import open_picture
from mcm_core.drawing.sketches import read_sketch
from mcm_core.landscapes.captions import ATTRIBUTES
from mcm_core.landscapes.easel import CLASSES
from mcm_core.models import assets

from .scenes import Drawn

METADATA = "metadata.jsonl"


def shipped() -> Path:
    """The folder of the set that comes with the repository."""
    return assets() / "freehand"


def read(folder: Path, size: Size, classes: int = len(CLASSES)) -> list[Drawn]:
    """The drawings of a folder at (height, width), in the order of its metadata; those that hold classes
    beyond the first `classes` are left out.

    Raises:
        InputError: no such folder, or a row that cannot be used, named by its line.
    """
    try:
        lines = (folder / METADATA).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"There are no drawings by hand in {folder}: it has no {METADATA}.") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                rows.append(_read_row(line, folder, size, number - 1))
            except InputError as error:
                raise InputError(f"{folder / METADATA} line {number}: {error}") from error
    if not rows:
        raise InputError(f"{folder / METADATA} holds no drawings.")
    return [row for row in rows if row.labels.max() <= classes]


def _read_row(line: str, folder: Path, size: Size, noise: int) -> Drawn:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError("this is no JSON.") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"].strip():
        raise InputError('a row must read {"text": ..., "labels": ..., "sketch": ...}, with words in "text".')
    if row.get(LABELS) is None and row.get(SKETCH) is None:
        raise InputError("there is neither a label map nor a sketch.")
    labels = _map(row, LABELS, folder, size)
    return Drawn(labels, labels, _map(row, SKETCH, folder, size), row["text"], _asked(row), noise)


def _asked(row: dict[str, Any]) -> dict[str, str]:
    asked = {name: row[name] for name in ATTRIBUTES if row.get(name) is not None}
    for name, word in asked.items():
        if not isinstance(word, str) or word not in ATTRIBUTES[name]:
            raise InputError(f"{name} must be one of {', '.join(ATTRIBUTES[name])}, not {word!r:.40}.")
    return asked


def _map(row: dict[str, Any], name: str, folder: Path, size: Size) -> np.ndarray:
    """(H, W) of one modality, all 0 where the row has none."""
    if row.get(name) is None:
        return np.zeros(size, np.uint8)
    file = folder / str(row[name])
    if file.resolve().parent != folder.resolve():
        raise InputError(f"{name} must name a file in this folder.")
    drawn = _READERS[name](file)
    if not drawn.any():
        raise InputError(f"{file.name} is empty.")
    return resize_map(name, drawn, size)


def _labels(file: Path) -> np.ndarray:
    image = open_picture(file)
    return read_labels(image, CLASSES).maps.get(LABELS, np.zeros(image.size[::-1], np.uint8))


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    LABELS: _labels,
    SKETCH: lambda file: read_sketch(open_picture(file)),
}
