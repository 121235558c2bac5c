"""Trees: groups and woods in the distance (`forest`), and single trees near the viewer (`tree`)."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import Painter
from .palette import SEASONS, Colour

BARK = "#6b4a33"
CROWNS = {
    "spring": ("#f7a8c4", "#7fcf62", "#57b559"),
    "summer": ("#2f9447", "#4fb04a", "#1f7a46"),
    "autumn": ("#e8622c", "#f0a02a", "#c93a2b"),
    "winter": ("#3d6f66", "#e8f0f6"),
    "desert": ("#8f9a45", "#6f8a3c"),
}


def tree_line(p: Painter, line: np.ndarray, distance: float, height: float) -> None:
    """Trees in groups along a ridge, or a closed forest standing on it."""
    conifers, closed = p.chance(0.7), p.chance(0.45)
    start = p.rng.uniform(-0.1, 0.6)
    end = start + p.rng.uniform(0.3, 1.1)
    spots = np.arange(start, end, height * (0.3 if closed else 0.62))
    if closed:
        wood = line[(line[:, 0] > start) & (line[:, 0] < end)]
        if len(wood) > 1:
            lift = np.array([0, height], np.float32)
            base = np.concatenate([wood - 0.35 * lift, (wood + 0.55 * lift)[::-1]])
            p.easel.fill(base, p.lit(p.season.forest, distance, 0.9), "forest")
    for x in spots:
        if closed or p.chance(0.75):
            y = float(np.interp(x, line[:, 0], line[:, 1])) + height * 0.12
            size = height * p.rng.uniform(0.7, 1.25)
            _distant_tree(
                p, float(x + p.rng.normal(0, height * 0.1)), y, size, distance, conifers, joined=closed
            )
    p.saw("forest" if closed else "trees")


def _distant_tree(
    p: Painter, x: float, y: float, height: float, distance: float, conifer: bool, joined: bool = False
) -> None:
    shade = p.rng.uniform(0.85, 1.12)
    colour, dark = p.lit(p.season.forest, distance, shade), p.lit(p.season.forest, distance, shade * 0.78)
    trunk = p.lit("#5b4030", distance)
    if height > 0.06:
        p.easel.fill(
            shapes.box(x - height * 0.035, y - height * 0.2, x + height * 0.035, y),
            trunk,
            "forest",
            joined=joined,
        )
    if conifer:
        outline = shapes.pine(x, y - height * 0.08, height)
        p.easel.fill(outline, colour, "forest", joined=joined)
        if height > 0.05:
            p.easel.fill(
                np.concatenate([outline[len(outline) // 2 :], [[x, y - height * 0.1]]]).astype(np.float32),
                dark,
            )
    else:
        crown = shapes.blob(p.rng, x, y - height * 0.58, height * 0.36, squash=1.12)
        p.easel.fill(crown, colour, "forest", joined=joined)
        if height > 0.05:
            right = shapes.blob(p.rng, x + height * 0.08, y - height * 0.52, height * 0.25, squash=1.1)
            p.easel.fill(right, dark)


def single_tree(p: Painter, x: float, y: float, height: float, species: str | None = None) -> None:
    """One tree by itself, standing on (x, y)."""
    species = species or p.pick(*_species(p))
    _SPECIES[species](p, x, y, height)
    p.saw("tree", 1, *(("big",) if height > 0.4 else ()), *(("bare",) if species == "bare" else ()))


def _species(p: Painter) -> tuple[str, ...]:
    if p.season is SEASONS["desert"]:
        return ("palm", "palm", "round")
    if p.season is SEASONS["winter"]:
        return ("pine", "pine", "bare", "bare")
    return ("round", "round", "poplar", "pine", "lollipop")


def _crown_colours(p: Painter) -> tuple[Colour, Colour]:
    """Its light and its shaded side."""
    name = next(name for name, season in SEASONS.items() if season is p.season)
    code = p.pick(*CROWNS[name])
    return p.lit(code), p.lit(code, 0, 0.76)


def _trunk(p: Painter, x: float, y: float, height: float, width: float, reach: float) -> None:
    """From the foot (x, y) up to `reach` of the height."""
    outline = shapes.polygon([(-0.7, 0), (0.7, 0), (0.45, -1), (-0.45, -1)]) * np.array(
        [width * height, reach * height], np.float32
    )
    p.easel.fill(outline + np.array([x, y], np.float32), p.lit(BARK), "tree")


def _round(p: Painter, x: float, y: float, height: float) -> None:
    light, dark = _crown_colours(p)
    _trunk(p, x, y, height, 0.055, 0.5)
    for dx, dy, size, joined in (
        (-0.16, -0.55, 0.2, False),
        (0.17, -0.53, 0.2, True),
        (0.0, -0.73, 0.26, True),
    ):
        crown = shapes.blob(p.rng, x + dx * height, y + dy * height, size * height)
        p.easel.fill(crown, light, "tree", joined=joined)
    inside = p.easel.last
    shade = shapes.blob(p.rng, x + 0.16 * height, y - 0.5 * height, 0.24 * height)
    p.easel.fill(shade, dark, inside=inside)


def _lollipop(p: Painter, x: float, y: float, height: float) -> None:
    """As a child draws one."""
    light, dark = _crown_colours(p)
    _trunk(p, x, y, height, 0.07, 0.55)
    p.easel.fill(shapes.disc(x, y - 0.7 * height, 0.3 * height), light, "tree")
    inside = p.easel.last
    p.easel.fill(shapes.disc(x + 0.1 * height, y - 0.62 * height, 0.26 * height), dark, inside=inside)
    p.easel.fill(shapes.disc(x - 0.03 * height, y - 0.73 * height, 0.25 * height), light, inside=inside)


def _poplar(p: Painter, x: float, y: float, height: float) -> None:
    light, dark = _crown_colours(p)
    _trunk(p, x, y, height, 0.04, 0.25)
    p.easel.fill(shapes.ellipse(x, y - 0.55 * height, 0.15 * height, 0.45 * height), light, "tree")
    inside = p.easel.last
    p.easel.fill(
        shapes.ellipse(x + 0.09 * height, y - 0.5 * height, 0.1 * height, 0.45 * height), dark, inside=inside
    )


def _pine(p: Painter, x: float, y: float, height: float) -> None:
    snowy = p.season.snowy_ground
    code = "#2f6b54" if snowy else p.season.forest
    _trunk(p, x, y, height, 0.05, 0.16)
    outline = shapes.pine(x, y - 0.08 * height, height * 0.94, width=0.5)
    p.easel.fill(outline, p.lit(code, 0, 1.05), "tree")
    inside = p.easel.last
    half = np.concatenate([outline[len(outline) // 2 :], [[x, y - height * 0.1]]]).astype(np.float32)
    p.easel.fill(half, p.lit(code, 0, 0.76), inside=inside)
    if snowy:
        p.easel.fill(
            shapes.pine(x - 0.02 * height, y - 0.5 * height, height * 0.55, width=0.36),
            p.lit("#f4f9fd"),
            inside=inside,
        )


def _palm(p: Painter, x: float, y: float, height: float) -> None:
    lean = p.rng.uniform(-0.2, 0.2) * height
    top = (x + lean, y - 0.78 * height)
    half = 0.03 * height
    trunk = [
        (x - half, y),
        (x + half, y),
        (x + lean * 0.4 + half, y - 0.45 * height),
        (top[0] + half, top[1]),
    ]
    trunk += [(top[0] - half, top[1]), (x + lean * 0.4 - half, y - 0.45 * height)]
    p.easel.fill(shapes.polygon(trunk), p.lit("#9a6b3f"), "tree")
    for index, angle in enumerate((-2.9, -2.3, -1.2, -0.6, 0.1, 3.0)):
        leaf = shapes.polygon([(0, -0.03), (0.2, -0.1), (0.42, 0.02), (0.2, 0.04), (0, 0.03)])
        if np.cos(angle) < 0:
            leaf = leaf * np.array([1, -1], np.float32)
        shade = 1.0 if index % 2 else 0.8
        placed = shapes.moved(leaf, *top, height, angle)
        p.easel.fill(placed, p.lit("#3d9a4b", 0, shade), "tree", joined=index > 0)


def _bare(p: Painter, x: float, y: float, height: float) -> None:
    """Trunk and branches in winter."""
    _trunk(p, x, y, height, 0.055, 0.7)
    for start, angle, reach in (
        (0.4, -0.9, 0.34),
        (0.48, -2.2, 0.36),
        (0.6, -1.1, 0.36),
        (0.66, -1.95, 0.34),
        (0.68, -1.55, 0.32),
    ):
        branch = shapes.polygon([(0, -0.028), (1, -0.012), (1, 0.012), (0, 0.028)]) * np.array(
            [reach, 1], np.float32
        )
        placed = shapes.moved(branch, x, y - start * height, height, angle)
        p.easel.fill(placed, p.lit(BARK, 0, 0.9), "tree", joined=True)


_SPECIES = {
    "round": _round,
    "lollipop": _lollipop,
    "poplar": _poplar,
    "pine": _pine,
    "palm": _palm,
    "bare": _bare,
}
