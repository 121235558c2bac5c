"""Which classes the maps of a data set show, and which too seldom for drawings of them to be followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mcm_core.drawing.conditions import VOID, LabelClass

LEAST_SHOWN = 1 / 500
"""The share of a map that a class must cover to count as shown: less is often a segmenter's mistake."""
SELDOM = 1 / 20
"""The share of maps below which a class is shown seldom."""
NAMED = 8
"""So many of these classes are named."""


def classes_in(labels: np.ndarray) -> list[int]:
    """The ids, without void, that cover at least `LEAST_SHOWN` of a map (H, W)."""
    ids, pixels = np.unique(labels, return_counts=True)
    shown = ids[pixels >= LEAST_SHOWN * labels.size]
    return [int(number) for number in shown if number != VOID]


@dataclass(frozen=True)
class Coverage:
    """How many maps were looked at, and how many of them show a class, by its id."""

    maps: int
    shown: Counter[int]

    @classmethod
    def of(cls, shown: Iterable[Sequence[int]]) -> Coverage:
        """From the `classes_in` each map."""
        known = list(shown)
        return cls(len(known), Counter(number for ids in known for number in ids))

    def seldom(self, classes: Sequence[LabelClass]) -> str:
        """The classes shown seldom and in how many maps, the rarest first; "" where there are none."""
        counts = [(self.shown[number], label.name) for number, label in enumerate(classes, start=1)]
        rare = sorted((count, name) for count, name in counts if count < SELDOM * self.maps)
        named = ", ".join(f"{name} ({count or 'none'})" for count, name in rare[:NAMED])
        return named + (f" and {len(rare) - NAMED} more" if len(rare) > NAMED else "")
