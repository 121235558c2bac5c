"""Intersection over union of the classes that were drawn and those that are found in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from mcm_core.drawing.conditions import VOID


@dataclass(frozen=True)
class Overlap:
    """`by_class` (n,) in [0, 1], NaN for classes that were not drawn; `mean` over those that were."""

    by_class: np.ndarray
    mean: float


def confusions(drawn: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """drawn (B, H, W) ids 0..n, found (B, H, W) ids 1..n -> (B, n, n) pixels, row: drawn, column: found.

    What was left unpainted (id 0) does not count.
    """
    return np.stack([_confusion(*pair, classes) for pair in zip(drawn, found, strict=True)])


def iou(confusion: np.ndarray) -> Overlap:
    """(n, n) pixels, of one picture or summed over many. A class never drawn has no score of its own."""
    hits = np.diag(confusion).astype(np.float64)
    wanted, found = confusion.sum(1), confusion.sum(0)
    by_class = np.full(len(hits), np.nan)
    drawn = wanted > 0
    by_class[drawn] = hits[drawn] / (wanted + found - hits)[drawn]
    return Overlap(by_class, float(by_class[drawn].mean()) if drawn.any() else float("nan"))


def _confusion(drawn: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    painted = drawn != VOID
    wanted, seen = (torch.from_numpy(each[painted].astype(np.int64) - 1) for each in (drawn, found))
    return multiclass_confusion_matrix(seen, wanted, num_classes=classes, validate_args=False).numpy()
