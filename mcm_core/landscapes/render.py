"""`python -m mcm_core render --count N --out DIR`: scenes as a data set, an imagefolder of `datasets`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .captions import caption
from .easel import CLASSES, SIDE
from .scene import Scene, render
from .sketch import sketch
from .styles import STYLES, stylise

HELD_OUT = 10_000_000  # scenes from this seed on are never trained on


@dataclass(frozen=True)
class Example:
    """One row: picture (256, 256, 3) uint8 RGB, labels and sketch (256, 256) uint8, 255 = stroke."""

    picture: np.ndarray
    labels: np.ndarray
    sketch: np.ndarray
    text: str
    style: str
    scene: Scene


def example(
    seed: int, styles: Sequence[str] = ("poster",), freehand: float = 1.0, side: int = SIDE
) -> Example:
    """The example of a seed, in one of the given styles; `side` is 256 or 512 pixels."""
    return next(examples(seed, 1, styles, freehand, side))


def examples(
    seed: int, variants: int, styles: Sequence[str], freehand: float = 1.0, side: int = SIDE
) -> Iterator[Example]:
    """The scene of a seed in several variants: each has a style, a caption and a sketch of its own."""
    scene = render(seed, side)
    season = scene.season if scene.shows_season else None
    for variant in range(variants):
        rng = np.random.default_rng([seed, 1, variant] if variant else [seed, 1])
        style = str(rng.choice(list(styles)))
        text = caption(style, scene.time, season, scene.things, rng)
        picture = stylise(scene.picture, style, rng)
        yield Example(picture, scene.labels, sketch(scene.parts, rng, freehand), text, style, scene)


def write(
    seed: int, out: Path, variants: int, styles: Sequence[str], freehand: float, side: int
) -> list[dict[str, object]]:
    """Render the examples of a seed into the folder; -> their rows of metadata.jsonl."""
    drawn = enumerate(examples(seed, variants, styles, freehand, side))
    return [
        _write(one, out, f"{seed:08d}-{variant}.png" if variant else f"{seed:08d}.png")
        for variant, one in drawn
    ]


def _write(drawn: Example, out: Path, name: str) -> dict[str, object]:
    cv2.imwrite(str(out / "images" / name), drawn.picture[..., ::-1])
    cv2.imwrite(str(out / "labels" / name), drawn.labels)
    cv2.imwrite(str(out / "sketches" / name), 255 - drawn.sketch)
    return {
        "file_name": f"images/{name}",
        "labels": f"labels/{name}",
        "sketch": f"sketches/{name}",
        "text": drawn.text,
        "style": drawn.style,
        "time": drawn.scene.time,
        "season": drawn.scene.season,
        "season shows": drawn.scene.shows_season,
        "things": [thing.kind for thing in drawn.scene.things],
        "counts": [thing.count for thing in drawn.scene.things],
        "traits": [", ".join(thing.traits) for thing in drawn.scene.things],
        "wild": drawn.scene.wild,
    }


def render_folder(
    count: int,
    out: Path,
    seed: int,
    styles: Sequence[str],
    freehand: float,
    processes: int | None,
    side: int = SIDE,
    variants: int = 1,
) -> None:
    """Write `count` scenes, seeds `seed` to `seed + count - 1`, on all cores, each in so many variants."""
    for folder in ("images", "labels", "sketches"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    (out / "classes.json").write_text(
        json.dumps([{"name": c.name, "color": c.color} for c in CLASSES], indent=1)
    )
    work = partial(write, out=out, variants=variants, styles=tuple(styles), freehand=freehand, side=side)
    fresh = get_context("spawn")  # a fork of a process that has threads may never begin
    with ProcessPoolExecutor(processes, fresh, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        rows = list(tqdm(pool.map(work, range(seed, seed + count), chunksize=16), total=count, unit="scene"))
    lines = [json.dumps(row) + "\n" for scene in rows for row in scene]
    (out / "metadata.jsonl").write_text("".join(lines))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m mcm_core render", description=__doc__)
    parser.add_argument("--count", type=int, required=True, help="how many scenes")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument(
        "--seed", type=int, default=0, help="the first scene; from 10000000 on they are held out"
    )
    parser.add_argument("--styles", nargs="+", choices=[*STYLES, "all"], default=["poster"])
    parser.add_argument(
        "--freehand", type=float, default=1.0, help="0 = exact outlines, 1 = as a person draws"
    )
    parser.add_argument("--side", type=int, choices=(256, 512), default=SIDE, help="pixels")
    parser.add_argument(
        "--variants", type=int, default=1, help="pictures of each scene, in styles and words of their own"
    )
    parser.add_argument("--processes", type=int, default=None, help="default: one a core")
    options = parser.parse_args(argv)
    if min(options.count, options.variants) < 1 or options.seed < 0:
        parser.error("--count and --variants must be at least 1, and --seed at least 0")
    styles = _with_posters(list(STYLES)) if "all" in options.styles else options.styles
    render_folder(
        options.count,
        options.out,
        options.seed,
        styles,
        options.freehand,
        options.processes,
        options.side,
        options.variants,
    )
    return 0


def _with_posters(styles: list[str]) -> list[str]:
    """Half posters, the rest shared by the other styles."""
    return ["poster"] * (len(styles) - 2) + styles
