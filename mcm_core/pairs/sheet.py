"""A contact sheet of a data set: what became of pictures spread over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcm_core.drawing.conditions import LabelClass
from mcm_core.training.data import read_pair
from mcm_core.training.rows import Layout, default_modalities, open_rows
from mcm_core.training.sheet import contact_sheet

SHEET = "understood.png"
SHOWN = 12


def show(folder: Path, classes: Sequence[LabelClass]) -> Path:
    """Writes the sheet beside the data set's metadata; its path."""
    from PIL import Image

    modalities = default_modalities(str(folder), {})
    layout = Layout((0, 0), modalities, tuple(classes))
    rows = open_rows(str(folder), layout)
    indices = sorted({round(place) for place in np.linspace(0, len(rows) - 1, SHOWN)})
    picture = rows[0].picture
    assert isinstance(picture, Path)
    width, height = Image.open(picture).size
    whole = Layout((height, width), modalities, tuple(classes))
    contact_sheet([read_pair(rows[index], whole) for index in indices], whole).save(folder / SHEET)
    return folder / SHEET
