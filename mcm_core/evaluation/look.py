"""How colourful and how crisp pictures are, without any network: to be compared with the renders'."""

from __future__ import annotations

import cv2
import numpy as np


def saturation(picture: np.ndarray) -> float:
    """(H, W, 3) uint8 -> mean saturation (HSV) in [0, 1]; 0 for greys."""
    return float(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1].mean() / 255)


def sharpness(picture: np.ndarray) -> float:
    """(H, W, 3) uint8 -> mean gradient energy: squared differences of neighbours' grey (in [0, 1]), across
    and down, summed."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    return float(np.square(np.diff(grey, axis=0)).mean() + np.square(np.diff(grey, axis=1)).mean())


def looks(pictures: np.ndarray) -> np.ndarray:
    """(n, H, W, 3) uint8 -> (n, 2): saturation and sharpness of each."""
    return np.array([(saturation(one), sharpness(one)) for one in pictures]).reshape(-1, 2)
