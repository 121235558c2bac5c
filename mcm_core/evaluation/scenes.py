"""Held-out scenes: what was drawn and said, and the render that nobody but the judge sees."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from tqdm import tqdm

from mcm_core.drawing.conditions import LABELS, SKETCH, VOID, Size, resize_map
from mcm_core.drawing.freehand import unpaint
from mcm_core.landscapes import captions
from mcm_core.landscapes.easel import CLASSES
from mcm_core.landscapes.render import HELD_OUT
from mcm_core.landscapes.scene import Scene, render
from mcm_core.landscapes.sketch import sketch
from mcm_core.landscapes.styles import stylise

from . import orders

REFERENCE = HELD_OUT + 1_000_000
"""The reference renders of the Frechet distance start here: none of them is a scene that is drawn."""
WORDS = HELD_OUT + 500_000
"""The scenes whose prompts come in all orders start here."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn and said. Arrays are (H, W) uint8, all 0 where there is no such drawing.

    `labels` is the whole map, `partial` the same with parts unpainted. `sketch` is freehand. `asked` is the
    word that the prompt says, by attribute. `noise` is the seed of its pictures' noise.
    """

    labels: np.ndarray
    partial: np.ndarray
    sketch: np.ndarray
    prompt: str
    asked: dict[str, str]
    noise: int


@dataclass(frozen=True, eq=False)
class HeldOut(Drawn):
    """One scene, with its render: `picture` (H, W, 3) uint8."""

    picture: np.ndarray


def held_out(seed: int, style: str, size: Size) -> HeldOut:
    """The scene of a seed in one style. Drawings and choice of words are the same in every style."""
    scene = render(seed)
    return _held_out(scene, seed, style, size, prompt(scene, style, _random(seed, 4)))


def in_order(seed: int, size: Size) -> HeldOut:
    """The scene of a seed from `WORDS` on: its prompt says time, season and style in the order and length of
    its number, see `orders.kind`."""
    order, length, style = orders.kind(seed - WORDS)
    scene, random = render(seed), _random(seed, 5)
    text = orders.prompt(_asked(scene, style), scene.things, order, length, random)
    return _held_out(scene, seed, style, size, text)


def _asked(scene: Scene, style: str) -> dict[str, str]:
    return {"time": scene.time, "season": scene.season, "style": style}


def _held_out(scene: Scene, seed: int, style: str, size: Size, text: str) -> HeldOut:
    labels = resize_map(LABELS, scene.labels, size)
    return HeldOut(
        picture=_resized(stylise(scene.picture, style, _random(seed, 1)), size),
        labels=labels,
        partial=partly_painted(labels, _random(seed, 2)),
        sketch=resize_map(SKETCH, sketch(scene.parts, _random(seed, 3)), size),
        prompt=text,
        asked=_asked(scene, style),
        noise=seed - HELD_OUT,
    )


def scenes(
    count: int, style: str, size: Size, first: int = HELD_OUT, classes: int = len(CLASSES)
) -> list[HeldOut]:
    """The first `count` scenes in a style from seed `first` on that hold only the first so many classes."""
    return _fitting(count, partial(held_out, style=style, size=size), first, classes)


def scenes_in_order(count: int, size: Size, classes: int = len(CLASSES)) -> list[HeldOut]:
    """The first `count` scenes with prompts in all orders and lengths, in all styles."""
    return _fitting(count, partial(in_order, size=size), WORDS, classes)


def _fitting(count: int, work: Callable[[int], HeldOut], first: int, classes: int) -> list[HeldOut]:
    """OpenCV and numpy leave the interpreter, so threads are enough."""
    found = list[HeldOut]()
    with ThreadPoolExecutor() as pool, tqdm(None, "render", count, unit="scene", leave=False) as bar:
        while len(found) < count:
            wanted = count - len(found)
            fitting = [
                scene
                for scene in pool.map(work, range(first, first + wanted))
                if scene.labels.max() <= classes
            ]
            found, first = found + fitting, first + wanted
            bar.update(len(fitting))
    return found


def prompt(scene: Scene, style: str, random: np.random.Generator) -> str:
    """A caption that says style, season and time, so that each can be looked for, and the things in sight."""
    return captions.caption(style, scene.time, scene.season, scene.things, random, said=1.0)


def partly_painted(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The map with some of it unpainted, but neither all nor nothing."""
    while True:
        partial_map = unpaint(labels, random)
        if (partial_map == VOID).any() and (partial_map != VOID).mean() > 0.1:
            return partial_map


def _random(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, 7, purpose])


def _resized(picture: np.ndarray, size: Size) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)
