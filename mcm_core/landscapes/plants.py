"""Trees: groups and woods in the distance (`forest`), and single trees near the viewer (`tree`)."""

from __future__ import annotations

import numpy as np

from . import shapes
from .painter import Painter
from .palette import SEASONS, Colour
from .shapes import Polygon

BARK = "#75502f"
SPRUCE = "#2b7368"


def tree_line(p: Painter, line: Polygon, distance: float, height: float) -> None:
    """Trees in groups along a ridge, or a closed forest standing on it."""
    conifers, closed, since = p.chance(p.season.conifers), p.chance(0.45), p.easel.last_part
    start = p.rng.uniform(-0.1, 0.6)
    end = start + p.rng.uniform(0.3, 1.1)
    if closed:
        wood = line[(line[:, 0] > start) & (line[:, 0] < end)]
        if len(wood) > 1:
            lift = np.array([0, height], np.float32)
            base = np.concatenate([wood - 0.35 * lift, (wood + 0.55 * lift)[::-1]])
            p.easel.fill(base, p.lit(p.season.forest, distance, 0.9), "forest")
    for x in np.arange(start, end, height * (0.32 if closed else 0.66)):
        if closed or p.chance(0.75):
            y = float(np.interp(x, line[:, 0], line[:, 1])) + height * 0.12
            size, spot = height * p.rng.uniform(0.75, 1.25), float(x + p.rng.normal(0, height * 0.1))
            _distant_tree(p, spot, y, size, distance, conifers, closed)
    p.saw("forest" if closed else "trees", *(("pine",) if conifers and closed else ()), since=since)


def _distant_tree(
    p: Painter, x: float, y: float, height: float, distance: float, conifer: bool, joined: bool
) -> None:
    shade = p.rng.uniform(0.9, 1.14)
    code = p.season.forest if conifer or p.chance(0.35) else p.pick(*p.season.crowns)
    colour, dark = p.lit(code, distance, shade), p.lit(code, distance, shade * 0.8)
    if height > 0.06 and not joined:
        trunk = shapes.box(x - height * 0.04, y - height * 0.24, x + height * 0.04, y)
        p.easel.fill(trunk, p.lit(BARK, distance, 0.85), "forest")
    if conifer:
        outline = shapes.pine(x, y - height * 0.08, height)
        p.easel.fill(outline, colour, "forest", joined=joined)
        half = np.concatenate([outline[len(outline) // 2 :], [[x, y - height * 0.1]]]).astype(np.float32)
        p.easel.fill(half, dark)
    else:
        crown = shapes.blob(p.rng, x, y - height * 0.56, height * 0.38, squash=1.12)
        p.easel.fill(crown, dark, "forest", joined=joined)
        light = shapes.blob(p.rng, x - height * 0.08, y - height * 0.63, height * 0.28, squash=1.1)
        p.easel.fill(light, colour)


def wood_on(p: Painter, line: Polygon, distance: float, bottom: float) -> None:
    """A hill wooded all over."""
    since, size = p.easel.last_part, p.rng.uniform(0.05, 0.075)
    forest(p, shapes.below(shapes.bumpy(line, size, 0.4 * size), bottom), distance, size)
    p.saw("forest", since=since)


def forest(p: Painter, outline: Polygon, distance: float = 0.05, size: float | None = None) -> None:
    """A wood in any outline: crown behind crown in rows, each with its lit side."""
    left, top, width, height = shapes.extent(outline)
    code = p.season.forest
    p.easel.fill(outline, p.lit(code, distance, 0.84), "forest", foot=p.lit(code, distance, 0.7))
    inside, conifers = p.easel.last, p.chance(p.season.conifers)
    size = size or float(np.clip(0.2 * min(width, height), 0.045, 0.085))
    for row, y in enumerate(np.arange(top + size * 0.5, top + height + size, size * 0.8)):
        step = size * (0.75 if conifers else 0.95)
        for x in np.arange(left + step * 0.5 * (row % 2), left + width + step, step):
            if inside[int(np.clip(y - size / 2, 0, 0.99) * 512), int(np.clip(x, 0, 0.99) * 512)]:
                x, lift = float(x + p.rng.normal(0, 0.08 * size)), float(y + p.rng.normal(0, 0.08 * size))
                _crown(p, x, lift, size, distance, conifers, inside)


def _crown(
    p: Painter, x: float, y: float, size: float, distance: float, conifer: bool, inside: np.ndarray
) -> None:
    shade = p.rng.uniform(0.92, 1.14)
    if conifer:
        outline = shapes.pine(x, y + 0.1 * size, size * p.rng.uniform(1.0, 1.25), width=0.66, tiers=2)
        code = p.season.forest
        p.easel.fill(outline, p.lit(code, distance, shade), inside=inside)
        half = np.concatenate([outline[len(outline) // 2 :], outline[:1]])
        p.easel.fill(half, p.lit(code, distance, shade * 0.8), inside=inside)
        if p.season.snowy_ground:
            top = shapes.pine(x, y - 0.42 * size, size * 0.62, width=0.5, tiers=1)
            p.easel.fill(top, p.lit("#eff6fc", distance), inside=inside)
        return
    code = p.season.forest if p.chance(0.4) else p.pick(*p.season.crowns)
    radius = size * p.rng.uniform(0.5, 0.58)
    p.easel.fill(shapes.disc(x, y, radius)[::3], p.lit(code, distance, shade * 0.8), inside=inside)
    light = shapes.disc(x - 0.22 * radius, y - 0.24 * radius, radius * 0.72)[::3]
    p.easel.fill(light, p.lit(code, distance, shade), inside=inside)


def single_tree(p: Painter, x: float, y: float, height: float, species: str | None = None) -> None:
    """One tree by itself, standing on (x, y)."""
    species, since = species or p.pick(*_species(p)), p.easel.last_part
    _SPECIES[species](p, x, y, height)
    kind = {"palm": "palm", "pine": "pine", "poplar": "poplar", "cactus": "cactus"}.get(species, "tree")
    blossoming = p.season is SEASONS["spring"] and species in ("round", "lollipop")
    traits = ("bare",) if species == "bare" else ("blossoming",) if blossoming else ()
    p.saw(kind, *traits, since=since)


def _species(p: Painter) -> tuple[str, ...]:
    if p.season is SEASONS["desert"]:
        return ("palm", "palm", "cactus", "round")
    if p.season is SEASONS["winter"]:
        return ("pine", "pine", "bare", "bare")
    if p.season is SEASONS["autumn"]:
        return ("round", "round", "poplar", "lollipop")
    return ("round", "round", "poplar", "pine", "lollipop")


def _crown_colours(p: Painter) -> tuple[Colour, Colour]:
    """Its light and its shaded side."""
    pink = p.season is SEASONS["spring"]
    code = p.pick(*(p.season.crowns[:2] if pink else p.season.crowns))
    return p.lit(code, 0, 1.03), p.lit(code, 0, 0.8)


def _trunk(p: Painter, x: float, y: float, height: float, width: float, reach: float) -> None:
    """From the foot (x, y) up to `reach` of the height."""
    outline = shapes.polygon([(-0.75, 0), (0.75, 0), (0.45, -1), (-0.45, -1)])
    size = np.array([width * height, reach * height], np.float32)
    p.easel.fill(outline * size + np.array([x, y], np.float32), p.lit(BARK), "tree")


def _round(p: Painter, x: float, y: float, height: float) -> None:
    light, dark = _crown_colours(p)
    _trunk(p, x, y, height, 0.065, 0.5)
    for dx, dy, size, joined in (
        (-0.17, -0.52, 0.19, False),
        (0.18, -0.52, 0.2, True),
        (0.0, -0.72, 0.25, True),
    ):
        crown = shapes.blob(p.rng, x + dx * height, y + dy * height, size * height)
        p.easel.fill(crown, dark, "tree", joined=joined)
    inside = p.easel.last
    for dx, dy, size in ((-0.2, -0.57, 0.14), (0.12, -0.57, 0.13), (-0.05, -0.77, 0.19)):
        p.easel.fill(shapes.disc(x + dx * height, y + dy * height, size * height), light, inside=inside)


def _lollipop(p: Painter, x: float, y: float, height: float) -> None:
    """As a child draws one."""
    light, dark = _crown_colours(p)
    _trunk(p, x, y, height, 0.075, 0.55)
    p.easel.fill(shapes.disc(x, y - 0.7 * height, 0.3 * height), dark, "tree")
    lit = shapes.disc(x - 0.05 * height, y - 0.74 * height, 0.25 * height)
    p.easel.fill(lit, light, inside=p.easel.last)


def _poplar(p: Painter, x: float, y: float, height: float) -> None:
    light, dark = _crown_colours(p)
    _trunk(p, x, y, height, 0.05, 0.25)
    p.easel.fill(shapes.ellipse(x, y - 0.55 * height, 0.15 * height, 0.45 * height), dark, "tree")
    lit = shapes.ellipse(x - 0.045 * height, y - 0.57 * height, 0.11 * height, 0.42 * height)
    p.easel.fill(lit, light, inside=p.easel.last)


def _pine(p: Painter, x: float, y: float, height: float) -> None:
    snowy = p.season.snowy_ground
    code = {SEASONS["winter"]: SPRUCE, SEASONS["autumn"]: "#2f7d54"}.get(p.season, p.season.forest)
    _trunk(p, x, y, height, 0.06, 0.16)
    outline = shapes.pine(x, y - 0.08 * height, height * 0.94, width=0.54)
    p.easel.fill(outline, p.lit(code, 0, 1.1), "tree")
    inside = p.easel.last
    half = np.concatenate([outline[len(outline) // 2 :], [[x, y - height * 0.1]]]).astype(np.float32)
    p.easel.fill(half, p.lit(code, 0, 0.8), inside=inside)
    if snowy:
        cap = shapes.pine(x - 0.02 * height, y - 0.5 * height, height * 0.55, width=0.4)
        p.easel.fill(cap, p.lit("#f4f9fd"), inside=inside)


def _palm(p: Painter, x: float, y: float, height: float) -> None:
    lean, half = p.rng.uniform(-0.2, 0.2) * height, 0.035 * height
    top, knee = (x + lean, y - 0.76 * height), (x + lean * 0.4, y - 0.45 * height)
    trunk = [(x - half, y), (x + half, y), (knee[0] + half, knee[1]), (top[0] + half, top[1])]
    trunk += [(top[0] - half, top[1]), (knee[0] - half, knee[1])]
    p.easel.fill(shapes.polygon(trunk), p.lit("#a5713f"), "tree")
    for index, angle in enumerate((-2.75, -2.1, -1.05, -0.4, 0.3, 2.85)):
        leaf = shapes.polygon([(0, -0.03), (0.2, -0.12), (0.42, 0.03), (0.2, 0.05), (0, 0.03)])
        if np.cos(angle) < 0:
            leaf = leaf * np.array([1, -1], np.float32)
        placed = shapes.moved(leaf, *top, height, angle)
        p.easel.fill(placed, p.lit("#3fa34d", 0, 1.06 if index % 2 else 0.8), "tree", joined=index > 0)


def _cactus(p: Painter, x: float, y: float, height: float) -> None:
    """A column with two arms."""
    arms = [(-0.26, -0.7, -0.36), (0.25, -0.82, -0.46)]
    column = [_rounded(0.0, 0.0, -0.98, 0.1)]
    for side, high, low in arms:
        column += [_rounded(side, low, high, 0.075), shapes.box(min(side, 0), low - 0.13, max(side, 0), low)]
    for index, part in enumerate(column):
        placed = shapes.moved(part, x, y, height)
        p.easel.fill(placed, p.lit("#4f9a4b", 0, 1.05), "tree", joined=index > 0)
    inside = p.easel.last
    for side, width in ((0.06, 0.05), (-0.22, 0.03), (0.29, 0.03)):
        shade = shapes.box(side - 0.01, -1, side + width, 0)
        p.easel.fill(shapes.moved(shade, x, y, height), p.lit("#3a7d40", 0, 0.92), inside=inside)


def _rounded(x: float, foot: float, top: float, half: float) -> Polygon:
    """An upright bar with a round head."""
    angle = np.linspace(np.pi, 2 * np.pi, 14)
    head = np.stack([x + half * np.cos(angle), top + half + half * np.sin(angle)], 1)
    return np.concatenate([head, [[x + half, foot], [x - half, foot]]]).astype(np.float32)


def _bare(p: Painter, x: float, y: float, height: float) -> None:
    """Trunk and branches in winter."""
    _trunk(p, x, y, height, 0.07, 0.7)
    for start, angle, reach in (
        (0.36, -0.85, 0.36), (0.44, -2.25, 0.38), (0.58, -1.05, 0.36), (0.64, -2.0, 0.36),
        (0.66, -1.55, 0.34),
    ):  # fmt: skip
        branch = shapes.polygon([(0, -0.034), (reach, -0.018), (reach, 0.018), (0, 0.034)])
        placed = shapes.moved(branch, x, y - start * height, height, angle)
        p.easel.fill(placed, p.lit(BARK, 0, 0.92), "tree", joined=True)


def tree(p: Painter, outline: Polygon) -> None:
    """A tree in any outline: a crown with a lit side and, where the lowest part is narrow, a trunk."""
    left, top, width, height = shapes.extent(outline)
    light, dark = _crown_colours(p) if not p.season.snowy_ground else (p.lit(SPRUCE, 0, 1.2), p.lit(SPRUCE))
    p.easel.fill(outline, dark, "tree")
    inside = p.easel.last
    lit = (outline - outline.mean(0)) * np.float32(0.78) + outline.mean(0)
    p.easel.fill(lit - np.array([0.06 * width, 0.08 * height], np.float32), light, inside=inside)
    row = inside[int(np.clip(top + 0.88 * height, 0, 0.99) * p.easel.size)].mean()
    if row < 0.45 * width and height > 0.12:
        low = top + 0.7 * height
        p.easel.fill(shapes.box(left - 0.02, low, left + width + 0.02, 1.1), p.lit(BARK), inside=inside)


_SPECIES = {
    "round": _round, "lollipop": _lollipop, "poplar": _poplar, "pine": _pine, "palm": _palm, "bare": _bare,
    "cactus": _cactus,
}  # fmt: skip
