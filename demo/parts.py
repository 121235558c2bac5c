"""The parts of a drawing that can be taken away from it, to see what each of them did.

A part is named by a key: "drawing" is all of it, "change" what was drawn since the picture before,
"labels:3" one class, and the name of a modality ("sketch") all of that map.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mcm_core.drawing.conditions import LABELS, VOID, Conditions, InputError, LabelClass, Size
from mcm_core.request import Resolved

ALL = "drawing"
CHANGE = "change"
GONE = "That part is not in the drawing of the shown picture."


def parts(conditions: Conditions, classes: Sequence[LabelClass]) -> list[dict[str, Any]]:
    """Key, name and colour of each part, for the viewer. A drawing of one part has none: it is all of it."""
    labels = conditions.maps.get(LABELS, np.zeros(1, np.uint8))
    used = [int(index) for index in np.unique(labels) if index != VOID]
    listed: list[dict[str, Any]] = [
        {"key": f"{LABELS}:{index}", "name": classes[index - 1].name, "color": classes[index - 1].color}
        for index in used
    ]
    others = [name for name in conditions.maps if name != LABELS]
    listed += [{"key": name, "name": name, "color": None} for name in others]
    return listed if len(listed) > 1 else []


def without(request: Resolved, part: str, before: Conditions | None) -> Resolved:
    """The same request with a part of its drawing taken away; `before` is the drawing before its last change.

    Raises:
        InputError: the drawing has no such part.
    """
    if part == ALL:
        return replace(request, strength=dict.fromkeys(request.strength, 0.0), compare=False)
    return replace(request, conditions=_remaining(request.conditions, part, before), compare=False)


def _remaining(conditions: Conditions, part: str, before: Conditions | None) -> Conditions:
    name, _, index = part.partition(":")
    if part == CHANGE and before is not None:
        return before
    if part in conditions.maps:
        return conditions.only(other for other in conditions.maps if other != part)
    labels = conditions.maps.get(LABELS)
    if name != LABELS or labels is None or re.fullmatch("[0-9]{1,3}", index) is None:
        raise InputError(GONE)
    if not (taken := labels == int(index)).any() or int(index) == VOID:
        raise InputError(GONE)
    return Conditions({**conditions.maps, LABELS: np.where(taken, np.uint8(VOID), labels)})


def area(whole: Conditions, rest: Conditions, size: Size) -> np.ndarray:
    """(H, W) bool: where two drawings differ."""
    first, second = whole.resized(size).maps, rest.resized(size).maps
    differs = np.zeros(size, bool)
    for name in first.keys() | second.keys():
        pair = [maps.get(name) for maps in (first, second)]
        blank = np.zeros_like(next(drawn for drawn in pair if drawn is not None))
        one, other = (blank if drawn is None else drawn for drawn in pair)
        unlike = one != other
        differs |= unlike.any(axis=2) if unlike.ndim == 3 else unlike
    return differs
