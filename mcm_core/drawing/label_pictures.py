"""Pictures -> label maps: ids in any mode that can hold them, or colours of any palette that is known.

Of colours, those of the classes come first. Black, one even grey, white and transparency are unpainted. Where
a picture shows another data set's palette, its classes go by name to ours. What is between two colours
(blurred edges, JPEG) goes to a class that is there beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import LABELS, MAX_SIDE, VOID, Conditions, InputError, LabelClass
from mcm_core.drawing.palette import NEAR, WHITE, colors, nearest
from mcm_core.drawing.picture_files import LOSSY, shrunk, to_rgba, upright

IGNORED = (254, 255)
"""Values that other tools write where nothing is labelled, or along borders."""
MOSTLY = 0.8
"""The share of painted pixels in known colours from which a picture is taken for a label map."""
MOST_MOVED = 0.2
"""A map of which more than this share is in colours of no class is refused."""
DOUBTFUL = 0.02
"""The share of id 0 from which it is said that ids might count from 0."""
EXACT = 3 * 2**2
"""Squared distance up to which a colour is a class's own, as rounding in a profile leaves it."""
BLUR = 9
"""Pixels across, within which a colour between two classes is an edge between them."""
BLOCKS = 17
"""The same where nothing alike is so near: JPEG disturbs a block of 8 to each side of an edge."""
UNLIKE = 100**2
"""Squared distance from which a colour is not taken for an edge of what is near."""
SOFT = 0.005
"""The share of colours between two classes from which a map counts as blurred, so that a thin line in the
colour of a class may be a part of an edge, too."""
EVEN = 2
"""Neighbouring pixels that differ by no more are of one colour, not of a blurred edge."""
SQUARE = np.ones((3, 3), np.uint8)

SYNONYMS = {
    "cloud": ("clouds", "fog"),
    "mountain": ("rock", "stone", "cliff"),
    "forest": ("tree", "trees", "vegetation", "palm", "bush", "leaves", "branch", "plant", "wood"),
    "tree": ("palm", "bush", "branch", "plant", "vegetation", "leaves"),
    "grass": ("field", "terrain", "playingfield", "plant", "land", "moss"),
    "hill": ("land", "earth", "terrain", "ground", "dirt"),
    "sand": ("beach", "gravel", "dirt track", "earth", "mud", "dirt", "ground"),
    "water": ("sea", "river", "lake", "waterfall", "swimming pool", "waterdrops"),
    "house": ("building", "hovel", "skyscraper", "roof"),
    "boat": ("ship",),
    "road": ("path", "dirt track", "runway", "pavement", "sidewalk"),
    "flowers": ("flower",),
}
"""What other data sets call a class; the first of ours that takes a name has it."""


@dataclass(frozen=True)
class Palette:
    """The classes of a published data set as (names, (n, 3) uint8 RGB)."""

    title: str
    names: tuple[str, ...]
    table: np.ndarray


def read_labels(image: Image.Image, classes: Sequence[LabelClass], zero_based: bool = False) -> Conditions:
    """A picture -> a label map, at most 2048 pixels a side, with notes on what was not plain.

    `zero_based`: the first class's id is 0 in this picture, and nothing is unpainted but ignored values.

    Raises:
        InputError: ids beyond the classes, ids from a lossy file, colours of no class on much of the picture.
    """
    image = upright(shrunk(image, MAX_SIDE, Image.Resampling.NEAREST))
    ids = id_plane(image)
    if ids is not None and (zero_based or _are_ids(ids, classes)) and not _colors_win(image, ids, classes):
        return _from_ids(image, ids, classes, zero_based)
    if (
        ids is not None
        and not _are_ids(ids, classes)
        and image.mode != "P"
        and not shows_colors(image, classes)
    ):
        raise InputError(
            f"The label map holds values from {ids.min()} to {ids.max()}, but ids go from 0 (unpainted) to "
            f"{len(classes)}, and 255 is unpainted, too. Renumber it, or save it in the classes' colours."
        )
    return _from_colors(image, classes)


def looks_like_labels(image: Image.Image, classes: Sequence[LabelClass]) -> bool:
    """Whether an upright picture is plainly a label map; few palette indices and single bits alone are not.

    Equal channels of colour are ids only where there are two of them, and so it is with other data sets'
    colours: one alone may be a pen.
    """
    ids = id_plane(image)
    if ids is not None and image.mode not in ("1", "P", "PA") and LOSSY not in image.info:
        painted = np.setdiff1d(ids, (VOID, *IGNORED))
        least = 1 if image.mode in ("L", "I", "F") or image.mode.startswith("I;16") else 2
        if painted.size >= least and _are_ids(ids, classes):
            return True
    shades = _Shades.of(image)
    return _share(shades, colors(classes)) >= MOSTLY or _foreign(shades, classes, least=2) is not None


def holds_indices(image: Image.Image, classes: Sequence[LabelClass]) -> bool:
    """Whether a palette's indices can be ids."""
    ids = id_plane(image)
    return ids is not None and image.mode in ("P", "PA") and _are_ids(ids, classes)


def shows_colors(image: Image.Image, classes: Sequence[LabelClass]) -> bool:
    """Whether most of what is painted is in the classes' colours, or in those of a known palette."""
    shades = _Shades.of(image)
    return _share(shades, colors(classes)) >= MOSTLY or _foreign(shades, classes) is not None


# -- ids ---------------------------------------------------------------------------------------------------


def id_plane(image: Image.Image) -> np.ndarray | None:
    """(H, W) int32 of the one value that each pixel holds; None where channels differ or values are no ids.

    Grey of any depth, palette indices, single bits, whole floats, and colour whose channels are equal all
    hold ids. Transparent pixels are 0.
    """
    if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int32)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), nan=-1.0, posinf=-1.0, neginf=-1.0)
        return values.astype(np.int32) if np.array_equal(values, np.rint(values)) else None
    alpha: np.ndarray | None
    if image.mode == "PA":
        plane, alpha = np.asarray(image.getchannel("P")), np.asarray(image.getchannel("A"))
    elif image.mode in ("LA", "La", "RGB", "RGBA", "RGBX"):
        planes = [np.asarray(image.getchannel(name)) for name in image.getbands()]
        plane, alpha = planes[0], planes[-1] if image.mode in ("LA", "La", "RGBA") else None
        if image.mode.startswith("RGB") and not all(np.array_equal(plane, other) for other in planes[1:3]):
            return None
    else:
        return None
    return np.where(alpha >= 128, plane, 0).astype(np.int32) if alpha is not None else plane.astype(np.int32)


def _are_ids(ids: np.ndarray, classes: Sequence[LabelClass]) -> bool:
    """Whether all values are ids or ignored."""
    values = np.unique(ids)
    values = values[(values <= len(classes)) | ~np.isin(values, IGNORED)]
    return values.size == 0 or bool(values[0] >= 0 and values[-1] <= len(classes))


def _colors_win(image: Image.Image, ids: np.ndarray, classes: Sequence[LabelClass]) -> bool:
    """Whether colours say more than ids: most of the picture is in the classes' own, and it can show them."""
    if image.mode in ("RGB", "RGBA", "RGBX"):
        return not np.setdiff1d(ids, (VOID, *IGNORED)).size
    return image.mode in ("P", "PA") and _share(_Shades.of(image), colors(classes)) >= MOSTLY


def _from_ids(
    image: Image.Image, ids: np.ndarray, classes: Sequence[LabelClass], zero_based: bool
) -> Conditions:
    if image.info.get(LOSSY):
        raise InputError(
            "The label map was saved with losses (JPEG, WebP, AVIF), which turn ids into others. Save it as "
            "PNG, or in the classes' colours."
        )
    ignored = np.isin(ids, IGNORED) & (ids > len(classes))
    if zero_based:
        labels = np.where(ignored, VOID, ids + 1)
        if labels.min(initial=0) < 0 or labels.max(initial=0) > len(classes):
            raise InputError(f"Ids that count from 0 go up to {len(classes) - 1}, not {ids[~ignored].max()}.")
        return Conditions({LABELS: labels.astype(np.uint8)})
    labels = np.where(ignored, VOID, ids).astype(np.uint8)
    share = float((ids == VOID).mean())
    doubt = (
        f"Id 0 was read as unpainted ({share:.0%} of the picture). If your ids count from 0, say so "
        "(zero-based).",
    )
    is_doubtful = (
        DOUBTFUL <= share < 1 and labels.max(initial=0) < len(classes) and _is_region(labels == VOID)
    )
    return Conditions({LABELS: labels}, doubt if is_doubtful else ())


def _is_region(mask: np.ndarray) -> bool:
    """Whether there is an even area, not just borders between regions."""
    return bool(cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).any())


# -- colours -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shades:
    """The distinct colours (m, 3) of a picture, how often each occurs among what may be painted, and where.

    Transparent pixels do not count; `unpainted` (m,) says which colours stand for nothing, if no class has
    them: black, white, one even grey.
    """

    table: np.ndarray
    counts: np.ndarray
    where: np.ndarray
    transparent: np.ndarray

    @classmethod
    def of(cls, image: Image.Image) -> _Shades:
        rgba = np.asarray(to_rgba(image))
        packed = rgba[..., :3].astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        distinct, where = np.unique(packed, return_inverse=True)
        table = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], axis=1).astype(np.uint8)
        transparent = rgba[..., 3] < 128
        where = where.reshape(transparent.shape)
        counts = np.bincount(where[~transparent], minlength=len(table))
        return cls(table, counts, where, transparent)

    def unpainted(self, known: np.ndarray) -> np.ndarray:
        """(m,) which colours stand for nothing, where those of (n, 3) `known` are taken."""
        gap = self.table.max(axis=1).astype(int) - self.table.min(axis=1)
        brightness = self.table.max(axis=1)
        empty = (self.table.min(axis=1) >= WHITE) | (brightness <= NEAR)
        greys = (gap == 0) & ~empty & (self.counts >= max(1, self.counts.sum() // 100))
        if greys.sum() == 1:
            empty |= greys
        return empty & ~_is_near(self.table, known)


def _is_near(shades: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(m,) whether a colour is one of (n, 3), as after JPEG."""
    near = np.zeros(len(shades), bool)
    for color in table.astype(np.int16):
        near |= np.abs(shades.astype(np.int16) - color).max(axis=1, initial=0) <= NEAR
    return near


def _share(shades: _Shades, table: np.ndarray) -> float:
    """The share of painted pixels in colours of (n, 3)."""
    painted = np.where(shades.unpainted(table), 0, shades.counts)
    total = painted.sum()
    return float(painted[_is_near(shades.table, table)].sum() / total) if total else 0.0


def _from_colors(image: Image.Image, classes: Sequence[LabelClass]) -> Conditions:
    shades = _Shades.of(image)
    own = colors(classes)
    if _share(shades, own) < MOSTLY and (palette := _foreign(shades, classes)) is not None:
        return _renamed(shades, palette, classes)
    void = shades.unpainted(own)
    labels, moved = _assigned(shades, own, void)
    painted = int((labels > 0).sum())
    if painted and moved > MOST_MOVED * painted:
        known = ", ".join(f"{c.name} {c.color}" for c in classes)
        raise InputError(
            f"{moved / painted:.0%} of the label map is in colours of no class. Use the classes' colours "
            f"({known}), ids, or the palette of {', '.join(p.title for p in palettes())}."
        )
    notes: list[str] = []
    if moved:
        notes.append(f"{moved} pixels were in a colour of no class and went to the nearest class.")
    blank = [_hex(shades.table[index]) for index in np.flatnonzero(void & (shades.counts > 0))]
    told = [color for color in blank if int(color[1:3], 16) < WHITE]
    if told:
        share = shades.counts[void].sum() / labels.size
        notes.append(f"{' and '.join(told)} is no class's colour and was left unpainted ({share:.0%}).")
    return Conditions({LABELS: labels}, tuple(notes))


def _assigned(shades: _Shades, table: np.ndarray, void: np.ndarray) -> tuple[np.ndarray, int]:
    """(H, W) ids by colour, and how many pixels of even areas had no known colour.

    A colour near none of the table's is taken for a blurred edge: it may only become what is nearby.
    """
    ids, distances = nearest(shades.table, table)
    ids[void] = VOID
    labels = ids[shades.where]
    labels[shades.transparent] = VOID
    unsure = ~(void | _is_near(shades.table, table))[shades.where]
    close = (~void & (distances > EXACT))[shades.where] & ~unsure
    unsure &= ~shades.transparent
    even = unsure & (_gradient(shades.table[shades.where]) <= EVEN)
    patches = cv2.morphologyEx(even.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    moved = unsure & (cv2.dilate(patches, SQUARE) > 0)
    is_soft = (unsure & ~moved).mean() > SOFT
    unsure |= (labels != VOID if is_soft else close) & ~_is_thick(labels, unsure, 5 if is_soft else 3)
    if not unsure.any():
        return labels, 0
    by_id = dict(enumerate(table, start=1))
    if void.any():
        by_id[VOID] = shades.table[np.argmax(np.where(void, shades.counts, -1))]
    labels[unsure] = _vote(labels, unsure, shades.table[shades.where[unsure]], by_id)
    return labels, int(moved.sum())


def _vote(
    labels: np.ndarray, unsure: np.ndarray, pixels: np.ndarray, by_id: Mapping[int, np.ndarray]
) -> np.ndarray:
    """For each unsure pixel, (m, 3), the id of the most similar colour among those nearby, else of all."""
    voted = labels[unsure]
    best = np.full(len(pixels), np.iinfo(np.int32).max, np.int32)
    known = set(np.unique(labels[~unsure]).tolist()) & by_id.keys()
    for reach in (BLUR, BLOCKS):
        is_open = best > UNLIKE
        for id_ in known:
            kernel = np.ones((reach, reach), np.uint8)
            beside = cv2.dilate(((labels == id_) & ~unsure).astype(np.uint8), kernel)[unsure] > 0
            distance = ((pixels.astype(np.int32) - by_id[id_].astype(np.int32)) ** 2).sum(axis=1)
            closer = is_open & beside & (distance < best)
            voted[closer], best[closer] = id_, distance[closer]
    return voted


def _is_thick(labels: np.ndarray, unsure: np.ndarray, side: int) -> np.ndarray:
    """(H, W) whether a pixel lies in a square of so many pixels a side, all of its own id and none unsure."""
    square = np.ones((side, side), np.uint8)
    even = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, square) == 0
    even &= cv2.dilate(unsure.astype(np.uint8), square) == 0
    return cv2.dilate(even.astype(np.uint8), square) > 0


def _gradient(picture: np.ndarray) -> np.ndarray:
    """(H, W) the largest difference within the 3 x 3 pixels around each of (H, W, C) uint8."""
    spread = cv2.morphologyEx(np.ascontiguousarray(picture), cv2.MORPH_GRADIENT, SQUARE)
    return spread.max(axis=2) if spread.ndim == 3 else spread


# -- other data sets' colours ------------------------------------------------------------------------------


@cache
def palettes() -> tuple[Palette, ...]:
    """ADE20K, COCO-Stuff, Cityscapes and Pascal VOC, as their tools draw them."""
    text = Path(__file__).with_name("dataset_palettes.json").read_text(encoding="utf-8")
    return tuple(
        Palette(
            title,
            tuple(name for name, _ in entries),
            np.array([tuple(bytes.fromhex(color[1:])) for _, color in entries], np.uint8),
        )
        for title, entries in json.loads(text).items()
    )


def _foreign(shades: _Shades, classes: Sequence[LabelClass], least: int = 1) -> Palette | None:
    """The data set whose exact colours nearly all of the picture shows, at least so many of them, with
    something that we have a class for; of several the one of which most can be painted."""
    painted = np.where(shades.unpainted(np.zeros((0, 3))), 0, shades.counts)
    found: tuple[float, Palette] | None = None
    for palette in palettes():
        ids, distances = nearest(shades.table, palette.table)
        matches = (distances <= EXACT) & (painted > 0)
        if not painted.sum() or painted[matches].sum() < 0.95 * painted.sum():
            continue
        if np.unique(ids[matches]).size < least:
            continue
        taken = named(palette.names, classes)
        usable = painted[matches & (taken[ids - 1] > 0)].sum() / painted.sum()
        if usable >= 0.3 and (found is None or usable > found[0]):
            found = usable, palette
    return found[1] if found else None


def named(names: Sequence[str], classes: Sequence[LabelClass]) -> np.ndarray:
    """(n,) uint8: the id of our class for each name of another data set, 0 where there is none."""
    own = {label_class.name.lower(): id_ for id_, label_class in enumerate(classes, start=1)}
    aliases = {alias: id_ for name, id_ in reversed(own.items()) for alias in SYNONYMS.get(name, ())} | own
    plurals = {name.rstrip("s"): id_ for name, id_ in own.items()}
    return np.array([aliases.get(n) or plurals.get(n.rstrip("s")) or VOID for n in names], np.uint8)


def _renamed(shades: _Shades, palette: Palette, classes: Sequence[LabelClass]) -> Conditions:
    """The map by the names of a palette's classes, and what they became."""
    void = shades.unpainted(palette.table)
    foreign, _ = _assigned(shades, palette.table, void)
    ids = named(palette.names, classes)
    labels = np.concatenate([[VOID], ids]).astype(np.uint8)[foreign]
    values, firsts = np.unique(foreign, return_index=True)
    seen = [index - 1 for index in values[np.argsort(firsts)] if index != VOID]
    told = [
        palette.names[i]
        if palette.names[i] == classes[ids[i] - 1].name
        else f"{palette.names[i]} as {classes[ids[i] - 1].name}"
        for i in seen
        if ids[i]
    ]
    notes = [f"Read in the colours of {palette.title}: {', '.join(dict.fromkeys(told))}."]
    left = [palette.names[i] for i in seen if not ids[i]]
    if left:
        share = float((labels[foreign > 0] == VOID).mean())
        notes.append(f"There is no class for {', '.join(left)}: {share:.0%} stays unpainted.")
    return Conditions({LABELS: labels}, tuple(notes))


def _hex(color: np.ndarray) -> str:
    return "#" + bytes(color.tolist()).hex()
