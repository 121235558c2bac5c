"""Drawings as data: classes, modalities, and the conditions that a modulator is given.

A drawing arrives as a canvas value (run-length text, see `from_canvas`) or as a picture
(`mcm_core.drawing.uploads`). Both become `Conditions`: full-resolution arrays of exact ids and strokes, which
`to_tensors` hands to the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    import torch

VOID = 0
LABELS = "labels"
SKETCH = "sketch"
STROKE = 255

CANVAS_VERSION = 1
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

    `labels` maps hold ids 0..n and reach the network one-hot; `image` maps hold `channels` planes in [0, 1].
    """

    name: str
    kind: Literal["labels", "image"]
    channels: int = 1


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a person drew, one uint8 map per modality; a modality that is absent is not in `maps`.

    `labels` is (H, W) of ids, `sketch` is (H, W) with 255 for a stroke and 0 for paper, other image kinds are
    (H, W) or (H, W, C). `notes` are warnings for people, for instance how many pixels changed their colour.

    Two conditions are equal when their maps are; notes do not count.
    """

    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, drawn in self.maps.items():
            if not isinstance(drawn, np.ndarray) or drawn.dtype != np.uint8 or drawn.ndim not in (2, 3):
                raise InputError(f"The {name} map must be a uint8 array of shape (H, W) or (H, W, C).")

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

    def drawn(self) -> Conditions:
        """The same without an unpainted label map and without a sketch of no strokes: those are absent."""
        empty = {name for name in (LABELS, SKETCH) if name in self.maps and not self.maps[name].any()}
        return Conditions({name: drawn for name, drawn in self.maps.items() if name not in empty}, self.notes)

    def resized(self, size: Size) -> Conditions:
        """The same at another (height, width): see `resize_map`."""
        maps = {name: resize_map(name, drawn, size) for name, drawn in self.maps.items()}
        return Conditions(maps, self.notes)

    def joined(self, other: Conditions) -> Conditions:
        """Both drawings in one, at the larger size of the two; where both hold a modality, `other` wins."""
        both = Conditions({**self.maps, **other.maps}, self.notes + other.notes)
        return both.resized(both.size) if both.size else both


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


# -- canvas value <-> conditions ---------------------------------------------------------------------------

_RUNS = re.compile(r"[0-9]{1,3}x[0-9]{1,9}(?:,[0-9]{1,3}x[0-9]{1,9})*")
_LONGEST_RUN = len("255x1,")  # the most text per pixel that a canvas writes
_CANVAS_KEYS = {"version", "width", "height", LABELS, SKETCH, "revision"}


def from_canvas(value: Any, classes: Sequence[LabelClass] | None = None) -> Conditions:
    """Conditions from a canvas value.

    The value is `{"version": 1, "width", "height", "labels", "sketch", "revision"}`, where labels and sketch
    are row-major runs "IDxCOUNT" joined by commas, and "" where nothing is drawn. Sketch ids are 0 and 1.
    Without classes any id up to 255 passes here, and `check` is left to see to the rest.

    Raises:
        InputError: whatever does not fit this description exactly.
    """
    width, height = _canvas_size(value)
    maps = {LABELS: decode_runs(value[LABELS], (height, width), 255 if classes is None else len(classes))}
    maps[SKETCH] = decode_runs(value[SKETCH], (height, width), 1) * np.uint8(STROKE)
    return Conditions(maps).drawn()


def to_canvas(conditions: Conditions, size: Size = (256, 256)) -> dict[str, Any]:
    """The canvas value of the labels and the sketch; `size` (height, width) serves where neither is there."""
    drawn = Conditions({name: conditions.maps[name] for name in (LABELS, SKETCH) if name in conditions.maps})
    height, width = drawn.size or size
    ids = {LABELS: np.zeros((height, width), np.uint8), SKETCH: np.zeros((height, width), np.uint8)}
    ids.update(drawn.resized((height, width)).maps)
    return {
        "version": CANVAS_VERSION,
        "width": width,
        "height": height,
        LABELS: encode_runs(ids[LABELS]),
        SKETCH: encode_runs((ids[SKETCH] > STROKE // 2).astype(np.uint8)),
        "revision": 0,
    }


def encode_runs(ids: np.ndarray) -> str:
    """Canonical row-major runs of an (H, W) array of ids; "" where all are 0."""
    flat = ids.ravel()
    if not flat.any():
        return ""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    counts = np.diff(np.concatenate([starts, [flat.size]]))
    return ",".join(f"{i}x{n}" for i, n in zip(flat[starts].tolist(), counts.tolist(), strict=True))


def decode_runs(text: Any, size: Size, largest_id: int) -> np.ndarray:
    """An (H, W) uint8 array of ids in [0, largest_id] from runs; nothing large is made before they add up."""
    height, width = size
    if not isinstance(text, str):
        raise InputError("The drawing is damaged: its runs are not text. Draw it again or load another.")
    if not text:
        return np.zeros(size, np.uint8)
    if len(text) > _LONGEST_RUN * height * width or not _RUNS.fullmatch(text):
        raise InputError("The drawing is damaged: its runs do not read as 'IDxCOUNT,...'. Draw it again.")
    ids, counts = np.array(text.replace("x", ",").split(","), np.int64).reshape(-1, 2).T
    if counts.min() < 1 or counts.sum() != height * width:
        raise InputError(
            f"The drawing is damaged: its runs do not fill {width} x {height} pixels. Draw again."
        )
    if ids.max() > largest_id:
        raise InputError(
            f"The drawing uses id {ids.max()}, but the last known one is {largest_id}. Draw again."
        )
    return np.repeat(ids.astype(np.uint8), counts).reshape(size)


def _canvas_size(value: Any) -> tuple[int, int]:
    """(width, height) of a canvas value whose entries, version and numbers have been checked."""
    if not isinstance(value, Mapping) or set(value) != _CANVAS_KEYS:
        raise InputError(f"A drawing must have exactly the entries {', '.join(sorted(_CANVAS_KEYS))}.")
    for name in ("version", "width", "height", "revision"):
        if type(value[name]) is not int:  # isinstance would let True pass for 1
            raise InputError(f"The drawing's {name} must be a whole number.")
    if value["version"] != CANVAS_VERSION:
        raise InputError(f"This drawing is of an unknown version; only {CANVAS_VERSION} can be read.")
    width, height = value["width"], value["height"]
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise InputError(f"A drawing's sides must be {MIN_SIDE} to {MAX_SIDE} pixels: scale it to that.")
    return width, height


# -- conditions -> network ---------------------------------------------------------------------------------


def to_tensors(
    conditions: Conditions,
    modalities: Sequence[Modality],
    classes: Sequence[LabelClass],
    size: Size,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> dict[str, torch.Tensor]:
    """The conditions as a batch of one: labels as long (1, H, W) ids, images as float (1, C, H, W) in [0, 1].

    Raises:
        InputError: a map that no modality names, an id beyond the classes, a wrong number of channels.
    """
    import torch

    check(conditions, modalities, classes)
    kinds = {modality.name: modality.kind for modality in modalities}
    tensors = {}
    for name, drawn in conditions.resized(size).maps.items():
        pixels = torch.from_numpy(np.ascontiguousarray(drawn))[None]
        if kinds[name] == "labels":
            tensors[name] = pixels.to(device, torch.long)
        else:
            planes = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
            tensors[name] = planes.to(device, dtype or torch.float32) / 255
    return tensors


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
