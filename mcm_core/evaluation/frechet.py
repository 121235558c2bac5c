"""The Frechet distance between two sets of features, each taken as a Gaussian (Dowson and Landau 1982).

In features of the segmenter it is not "FID": that name belongs to the features of one Inception network.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(left: np.ndarray, right: np.ndarray) -> float:
    """left (n, F), right (m, F), n and m at least 2. Smaller sets make it larger: compare equal n and m."""
    return gaussian_distance(left.mean(0), _covariance(left), right.mean(0), _covariance(right))


def gaussian_distance(
    left_mean: np.ndarray, left_covariance: np.ndarray, right_mean: np.ndarray, right_covariance: np.ndarray
) -> float:
    """|m1 - m2|^2 + trace(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), means (F,) and covariances (F, F)."""
    root = _root(left_covariance)
    spectrum = np.linalg.eigvalsh(root @ right_covariance @ root)
    overlap = np.sqrt(spectrum.clip(min=0)).sum()
    apart = np.square(left_mean - right_mean).sum()
    return max(0.0, float(apart + np.trace(left_covariance) + np.trace(right_covariance) - 2 * overlap))


def _covariance(features: np.ndarray) -> np.ndarray:
    return np.cov(features.astype(np.float64), rowvar=False).reshape(features.shape[1], -1)


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root; rounding may leave eigenvalues a little below 0."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
