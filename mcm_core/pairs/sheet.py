"""A contact sheet of a data set: what became of pictures spread over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mcm_core.drawing.conditions import LabelClass
from mcm_core.drawing.picture_files import upright_size
from mcm_core.training.data import read_pair
from mcm_core.training.rows import Layout, default_modalities, open_rows, spread
from mcm_core.training.sheet import contact_sheet

SHEET = "understood.png"
SHOWN = 12


def show(folder: Path, classes: Sequence[LabelClass]) -> Path:
    """Writes the sheet beside the data set's metadata; its path."""
    modalities = default_modalities(str(folder), {})
    layout = Layout((0, 0), modalities, tuple(classes))
    rows = open_rows(str(folder), layout)
    shown = [rows[index] for index in spread(len(rows), SHOWN)]
    pairs = [read_pair(row, replace(layout, size=upright_size(row.picture))) for row in shown]
    contact_sheet(pairs, layout).save(folder / SHEET)
    return folder / SHEET
