"""Aspect buckets: pictures of several shapes, each cut to the nearest of a few sizes of the same area.

A batch is of one size, so that no picture is cut to a square, and none takes more memory than a square does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mcm_core.base import Base
from mcm_core.drawing.conditions import InputError, Size
from mcm_core.drawing.picture_files import upright_size
from mcm_core.drawing.sizes import nearest
from mcm_core.training.rows import Layout, Row

FEWEST = 16
"""A size that fewer pictures would have is left to its neighbours: they would be seen again and again."""


def sizes_of(rows: Sequence[Row], layout: Layout, base: Base) -> tuple[Size, ...]:
    """The size of each row's bucket, from the headers of the pictures; one that cannot be read, of which the
    reading will tell, has the layout's."""

    def shape(index: int) -> Size:
        try:
            return upright_size(rows[index].picture)
        except InputError:
            return layout.size

    with ThreadPoolExecutor(max_workers=4) as pool:
        shapes = list(pool.map(shape, range(len(rows))))
    sizes = base.sizes_like(layout.size)
    counted = Counter(nearest(one, sizes) for one in shapes).most_common()
    kept = [size for place, (size, count) in enumerate(counted) if not place or count >= FEWEST]
    return tuple(nearest(one, kept) for one in shapes)


def layout_of(index: int, layout: Layout, sizes: Sequence[Size]) -> Layout:
    """How one row is read: at its bucket's size, where there are buckets."""
    return replace(layout, size=sizes[index]) if sizes else layout
