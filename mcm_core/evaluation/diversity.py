"""How different the pictures of one drawing and one prompt are from each other."""

from __future__ import annotations

import numpy as np


def mean_distance(features: np.ndarray) -> float:
    """(..., n, F): mean Euclidean distance of two of the n, over all pairs and places; NaN for n below 2."""
    count = features.shape[-2]
    if count < 2:
        return float("nan")
    first, second = np.triu_indices(count, 1)
    apart = features[..., first, :].astype(np.float64) - features[..., second, :]
    return float(np.linalg.norm(apart, axis=-1).mean())
