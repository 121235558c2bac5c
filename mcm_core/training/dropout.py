"""Which of a training pair's drawings and words a sample sees."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rates:
    """How often what happens to a training pair.

    Modality dropout is that of Uni-ControlNet (Zhao et al. 2023, section 4.1): all kept, all dropped, or each
    dropped by itself, but at least one kept in this last case. `text` is classifier-free guidance's dropout.
    """

    keep_all: float = 0.3
    drop_all: float = 0.02
    drop_each: float = 0.5
    text: float = 0.05
    void: float = 0.3
    freehand: float = 0.5
    flip: float = 0.5


def kept_modalities(available: np.ndarray, rates: Rates, random: np.random.Generator) -> np.ndarray:
    """Which modalities a sample sees, (M,) bool, out of the `available` ones (M,) bool."""
    case = random.random()
    if case < rates.drop_all or not available.any():
        return np.zeros_like(available)
    if case < rates.drop_all + rates.keep_all:
        return available.copy()
    kept = available & (random.random(len(available)) >= rates.drop_each)
    if not kept.any():
        kept[random.choice(np.flatnonzero(available))] = True
    return kept
