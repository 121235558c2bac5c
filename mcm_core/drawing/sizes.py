"""Sizes of other shapes than a model's own, of no more pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcm_core.drawing.conditions import Size

GRAIN = 8
"""So many steps of a bucket's side make the base's own: 64 pixels for 512."""
MOST_OBLONG = 2.0


def buckets(size: Size, multiple: int, least: int) -> tuple[Size, ...]:
    """Sizes (H, W) of at most the area of `size`, which is one of them, in multiples of `multiple` pixels; no
    side below `least`."""
    area = size[0] * size[1]
    step = multiple * max(1, round(min(size) / GRAIN / multiple))
    found = {size}
    for height in range(step, math.isqrt(round(area * MOST_OBLONG)) + 1, step):
        width = area // height // step * step
        if min(height, width) >= least and max(height, width) <= MOST_OBLONG * min(height, width):
            found |= {(height, width), (width, height)}
    return tuple(sorted(found))


def nearest(shape: Size, sizes: Sequence[Size]) -> Size:
    """The size whose aspect is nearest to that of a picture of `shape`, each (H, W)."""
    aspect = math.log(shape[1] / shape[0])
    return min(sizes, key=lambda size: abs(math.log(size[1] / size[0]) - aspect))
