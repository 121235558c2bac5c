"""Prompts for dreams: the lines of a text file, each of which may hold choices.

    {|a watercolor of }{a lake|high mountains} {at dawn|by day|at sunset}{|, mist}

One of each is drawn. Lines that begin with # say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcm_core.drawing.conditions import InputError, LabelClass

GIVEN = Path(__file__).parent / "prompts"
"""Lists that come with the package, by the names of the lists of classes for which they were written."""
_CHOICE = re.compile(r"\{([^{}]*)\}")


def read_prompts(source: str) -> tuple[str, ...]:
    """The lines of a text file, or of a list that comes with the package.

    Raises:
        InputError: no such file, or nothing in it.
    """
    given = GIVEN / f"{source}.txt"
    path = given if given.is_file() else Path(source)
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in GIVEN.glob("*.txt")))
        raise InputError(f"There is no file of prompts {source!r}: give a text file, or {names}.")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"{path} holds no prompt: write one in each line.")
    return tuple(lines)


def lines_of(prompts: str | None, source: str | None, classes: Sequence[LabelClass] = ()) -> tuple[str, ...]:
    """The lines of `prompts` where these are given; else those that were written for the list of classes
    `source`, or the names of its `classes`, up to three together, each of them as often as another.

    Raises:
        InputError: as `read_prompts`; there are neither prompts nor classes.
    """
    if prompts is not None:
        return read_prompts(prompts)
    if source is None:
        raise InputError("For sketches alone say what is dreamed of: --prompts FILE, a prompt in each line.")
    if (GIVEN / f"{source}.txt").is_file():
        return read_prompts(source)
    names = [" ".join(re.sub(r"[{}|]", " ", label.name).split()) for label in classes]
    return tuple(_about(name, [other for other in names if other != name]) for name in names)


def _about(name: str, others: Sequence[str]) -> str:
    another = f"{{|, {{{'|'.join(others)}}}}}" if others else ""
    return f"{{||photo of |painting of |drawing of }}{name}{another}{another}"


def prompt_of(lines: tuple[str, ...], number: int) -> str:
    """The prompt of a number, the same in every run; choices inside of choices are drawn from the inside."""
    rng = np.random.default_rng([number, 77])
    text = lines[int(rng.integers(len(lines)))]
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda found: str(rng.choice(found[1].split("|"))), text)
    return re.sub(r"\s+,", ",", " ".join(text.split()))  # what was left out may have stood before a comma
