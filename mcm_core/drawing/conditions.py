"""Drawings as data: classes, modalities, and the conditions that a modulator is given.

A drawing arrives as a canvas value (`mcm_core.drawing.canvas_value`) or as a picture
(`mcm_core.drawing.uploads`). Both become `Conditions`: full-resolution arrays of exact ids and strokes, which
`to_tensors` hands to the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    import torch

VOID = 0
LABELS = "labels"
SKETCH = "sketch"
STROKE = 255

MIN_SIDE = 8
MAX_SIDE = 2048

Size = tuple[int, int]
"""(height, width) in pixels."""


class InputError(ValueError):
    """A bad input. The message says what is wrong and what to do, and is safe to show to people."""


@dataclass(frozen=True)
class LabelClass:
    """One class of a label map. Its id is its position in the tuple of classes plus one; id 0 is void."""

    name: str
    color: str
    """`#rrggbb`"""


@dataclass(frozen=True)
class Modality:
    """One kind of drawing that a modulator understands.

    `labels` maps hold ids 0..n and reach the network one-hot; `image` maps hold `channels` planes.
    """

    name: str
    kind: Literal["labels", "image"]
    channels: int = 1


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a person drew, one uint8 map per modality.

    `labels` is (H, W) of ids, `sketch` is (H, W) with 255 for a stroke and 0 for paper, other image kinds are
    (H, W) or (H, W, C). A label map without a painted pixel and a sketch without a stroke are dropped: where
    nothing is drawn there are no maps. `notes` are warnings for people, such as how many pixels changed their
    colour.

    Two conditions are equal when their maps are; notes do not count.

    Raises:
        InputError: a map of another shape or type.
    """

    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, drawn in self.maps.items():
            if not isinstance(drawn, np.ndarray) or drawn.dtype != np.uint8 or drawn.ndim not in (2, 3):
                raise InputError(f"The {name} map must be a uint8 array of shape (H, W) or (H, W, C).")
        drawn_maps = {name: drawn for name, drawn in self.maps.items() if _says_something(name, drawn)}
        object.__setattr__(self, "maps", drawn_maps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conditions):
            return NotImplemented
        return self.maps.keys() == other.maps.keys() and all(
            np.array_equal(drawn, other.maps[name]) for name, drawn in self.maps.items()
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> Size | None:
        """(height, width) of the largest map, or None where there is none."""
        sizes = [drawn.shape[:2] for drawn in self.maps.values()]
        return max(sizes, key=lambda size: size[0] * size[1]) if sizes else None

    def only(self, names: Iterable[str]) -> Conditions:
        """What is drawn of these modalities."""
        return Conditions({name: self.maps[name] for name in names if name in self.maps}, self.notes)

    def resized(self, size: Size) -> Conditions:
        """The same at another (height, width): see `resize_map`."""
        maps = {name: resize_map(name, drawn, size) for name, drawn in self.maps.items()}
        return Conditions(maps, self.notes)

    def joined(self, other: Conditions) -> Conditions:
        """Both drawings in one, at the larger size of the two; where both hold a modality, `other` wins."""
        both = Conditions({**self.maps, **other.maps}, self.notes + other.notes)
        return both.resized(both.size) if both.size else both


def _says_something(name: str, drawn: np.ndarray) -> bool:
    return name not in (LABELS, SKETCH) or bool(drawn.any())


# -- resizing ----------------------------------------------------------------------------------------------


def resize_map(name: str, drawn: np.ndarray, size: Size) -> np.ndarray:
    """A map at another (height, width).

    Ids go by nearest neighbour, strokes so that lines of one pixel survive, all other maps by area.
    """
    if drawn.shape[:2] == size:
        return drawn
    height, width = size
    if name == LABELS:
        return cv2.resize(drawn, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    shrink = max(drawn.shape[0] / height, drawn.shape[1] / width, 1.0)
    smooth = cv2.INTER_AREA if shrink > 1 else cv2.INTER_LINEAR
    if name != SKETCH:
        return cv2.resize(drawn, (width, height), interpolation=smooth)
    # A line of one pixel covers 1/shrink of the pixel that it falls into, or at worst half of that in two.
    covered = cv2.resize((drawn > STROKE // 2).astype(np.float32), (width, height), interpolation=smooth)
    return np.where(covered >= 0.499 / shrink, STROKE, 0).astype(np.uint8)


# -- conditions -> network ---------------------------------------------------------------------------------


def to_tensors(
    conditions: Conditions, size: Size, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """The maps at `size` as a batch of one, uint8: (1, H, W), or (1, C, H, W) of several planes."""
    import torch

    maps = {name: resize_map(name, drawn, size) for name, drawn in conditions.maps.items()}
    batches = {name: torch.from_numpy(np.ascontiguousarray(drawn))[None] for name, drawn in maps.items()}
    return {
        name: (batch if batch.ndim == 3 else batch.permute(0, 3, 1, 2)).to(device)
        for name, batch in batches.items()
    }


def check(conditions: Conditions, modalities: Sequence[Modality], classes: Sequence[LabelClass]) -> None:
    """Raise `InputError` unless the modulator was trained on every map, and ids and channels are in range."""
    known = {modality.name: modality for modality in modalities}
    for name, drawn in conditions.maps.items():
        if name not in known:
            raise InputError(f"This modulator takes {', '.join(known)}, but no {name} map. Leave that out.")
        wanted = 1 if known[name].kind == "labels" else known[name].channels
        channels = 1 if drawn.ndim == 2 else drawn.shape[2]
        if channels != wanted:
            raise InputError(f"The {name} map has {channels} channels, but {wanted} are wanted.")
        if known[name].kind == "labels" and drawn.ndim != 2:
            raise InputError(f"The {name} map must have the shape (H, W).")
        if known[name].kind == "labels" and drawn.max(initial=0) > len(classes):
            raise InputError(f"The {name} map holds id {drawn.max()}, but the last one is {len(classes)}.")
