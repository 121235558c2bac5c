"""Weights in a prompt: `(words:1.3)` says that they count for more, `(words:0.5)` for less.

As in the web UIs for Stable Diffusion, weights inside each other multiply. Brackets without a number are
text, and so is a number that is no weight, as in "(16:9)": captions are full of such. Who types a prompt is
told of it (`check`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcm_core.drawing.conditions import InputError

MAX_WEIGHT = 2.0
_MARKS = re.compile(r"\(|\)|:\s*(-?\d*\.?\d+)\s*\)")


@dataclass(frozen=True)
class Part:
    """Words that count alike; 1 is what words count by themselves."""

    text: str
    weight: float = 1.0


def parts(prompt: str) -> list[Part]:
    """The prompt in parts of one weight each; the prompt itself where it holds no weight."""
    return _merged(_read(prompt)[0])


def check(name: str, prompt: str) -> None:
    """Refuse a number that stands where a weight does and is none.

    Raises:
        InputError: there is one.
    """
    for mark in _read(prompt)[1]:
        raise InputError(
            f"The {name} gives words a weight of {mark[1]}: weights go from 0 to {MAX_WEIGHT:g}, as in "
            "(red boat:1.3). If it is meant as text, leave out its brackets."
        )


def as_prompt(caption: str) -> str:
    """The caption without the brackets that close behind numbers which are no weights, so that `check` takes
    it; the rest says what it said."""
    while wrong := _read(caption)[1]:
        end = wrong[0].end()
        caption = caption[: end - 1] + caption[end:]
    return caption


def _read(prompt: str) -> tuple[list[Part], list[re.Match[str]]]:
    """Parts in their order, some of them empty, and the marks whose numbers are no weights."""
    read: list[Part] = []
    opened: list[int] = []  # where in `read` a bracket stands that is not closed yet
    wrong: list[re.Match[str]] = []
    end = 0
    for mark in _MARKS.finditer(prompt):
        read.append(Part(prompt[end : mark.start()]))
        end = mark.end()
        start = opened.pop() if opened and mark[0] != "(" else None
        weight = mark[1] if start is not None else None
        if weight is not None and _weighted(read, start or 0, float(weight)):
            continue
        if weight is not None:
            wrong.append(mark)
        if mark[0] == "(":
            opened.append(len(read))
        read.append(Part(mark[0]))
    return [*read, Part(prompt[end:])], wrong


def _weighted(read: list[Part], start: int, weight: float) -> bool:
    """Gives all parts behind the bracket at `start` their weight and drops the bracket, if that can be."""
    inside = [Part(part.text, part.weight * weight) for part in read[start + 1 :]]
    if not all(0 <= part.weight <= MAX_WEIGHT for part in [*inside, Part("", weight)]):
        return False
    read[start:] = inside
    return True


def _merged(read: list[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in read:
        if merged and merged[-1].weight == part.weight:
            merged[-1] = Part(merged[-1].text + part.text, part.weight)
        elif part.text:
            merged.append(part)
    return merged or [Part("")]
