"""The table, the curves and the sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mcm_core.evaluation import sheets
from mcm_core.evaluation.scenes import HeldOut

from .judging import BOTH, INPUTS, WORDS, Painter
from .methods import METHODS, OURS

REACHED = (0.5, 0.75, 0.9)
"""Shares of the mIoU at which our own curve ends, to which the minutes are told."""
TITLE_WIDTH = 18
"""Letters in a line of the sheet's names."""

Told = Mapping[str, Any]
"""Of one method: `cost`, `curve` of (minutes, mIoU), `rows`, `search`, `setting`."""


def table(told: Mapping[str, Told], pairs: int, minutes: float) -> str:
    """Markdown."""
    head = [
        "",
        "trained",
        "MiB more to train",
        "minutes to " + ", ".join(f"{share:.0%}" for share in REACHED),
        "times the base's picture",
        *(f"mIoU {name}" for name in INPUTS),
        "stroke F1",
        "Frechet",
        "diversity",
        "words",
        "style",
        "base stays",
    ]
    ours = told[OURS]["curve"][-1][1] if OURS in told else None
    lines = [_line(name, each, ours) for name, each in told.items()]
    rule = ["---"] + ["---:"] * (len(head) - 1)
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))
    return f"{pairs:,} pairs, {minutes:g} minutes each\n\n{rows}\n"


def _line(name: str, told: Told, ours: float | None) -> list[str]:
    method, cost, rows = METHODS[name], told["cost"], told["rows"]
    whole, words = rows.get(BOTH, {}), rows[WORDS]
    reached = [minutes_to(told["curve"], share * ours) if ours else None for share in REACHED]
    return [
        method.title,
        f"{cost['parameters'] / 1e6:.1f}M",
        f"{cost['mib']:,.0f}",
        ", ".join("-" if each is None else f"{each:.1f}" for each in reached),
        f"{cost['ratio']:.2f}",
        *(_number(rows.get(each, {}).get("miou")) for each in INPUTS),
        _number(whole.get("stroke_f1")),
        _number(whole.get("frechet"), 1),
        _number(whole.get("diversity")),
        _number(np.mean([*words["attributes"].values()])),
        _number(words["attributes"].get("style")),
        "yes" if method.keeps_base else "no",
    ]


def minutes_to(curve: Sequence[tuple[float, float]], wanted: float) -> float | None:
    """The first minutes at which the curve, straight between its points, has risen so far; None: never."""
    before = (0.0, 0.0)
    for point in curve:
        if point[1] >= wanted:
            (t0, m0), (t1, m1) = before, point
            return t0 + (t1 - t0) * (wanted - m0) / (m1 - m0) if t0 else t1
        before = (point[0], point[1])
    return None


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


# -- pictures ----------------------------------------------------------------------------------------------

SIZE, MARGIN = (900, 480), (60, 28, 250, 45)
"""Of the curves' picture: width and height; left, top, right and bottom of the frame."""
LABEL = 30
"""Pixels between two numbers below the frame."""
COLOURS = (
    "#d62728", "#ff9896", "#8c564b", "#1f77b4", "#17becf", "#2ca02c",
    "#9467bd", "#e377c2", "#7f7f7f", "#bcbd22", "#111111", "#c49c94",
)  # fmt: skip


def curves(by_title: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> Image.Image:
    """Lines over a logarithmic axis, from (x, y) each, y in [0, 1]."""
    picture = Image.new("RGB", SIZE, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    left, top, right, bottom = MARGIN[0], MARGIN[1], SIZE[0] - MARGIN[2], SIZE[1] - MARGIN[3]
    places = [x for curve in by_title.values() for x, _ in curve]
    low, high = np.log(min(places)), np.log(max(places))
    highest = max(y for curve in by_title.values() for _, y in curve) * 1.05

    def at(x: float, y: float) -> tuple[float, float]:
        share = (np.log(x) - low) / max(high - low, 1e-9)
        return left + share * (right - left), bottom - y / highest * (bottom - top)

    draw.rectangle((left, top, right, bottom), outline="#999999")
    for value in np.arange(0.1, highest, 0.1):
        height = at(min(places), value)[1]
        draw.line((left, height, right, height), fill="#e4e4e4")
        draw.text((left - 8, height), f"{value:.1f}", "black", font, anchor="rm")
    shown = -np.inf
    for x in sorted(places):
        if (across_at := at(x, 0)[0]) > shown + LABEL:
            told = f"{x:,.0f}" if x >= 10 else f"{x:.2g}"
            draw.text((across_at, bottom + 6), told, "black", font, anchor="mt")
            shown = across_at
    draw.text(((left + right) / 2, SIZE[1] - 4), across, "black", font, anchor="mb")
    draw.text((left, top - 4), up, "black", font, anchor="lb")
    for number, (title, curve) in enumerate(by_title.items()):
        colour, points = COLOURS[number % len(COLOURS)], [at(*point) for point in curve]
        draw.line(points, fill=colour, width=3, joint="curve")
        for x, y in points:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
        draw.text((right + 14, top + 22 * number), title, colour, font)
    return picture


def sheet(painters: Sequence[Painter], drawn: Sequence[HeldOut]) -> np.ndarray:
    """One line a method below the drawings, (H, W, 3) uint8; their order is that of the table."""
    classes, size = painters[0].studio.classes, painters[0].studio.base.default_size
    parts = [sheets.drawing(scene, classes, size) for scene in drawn]
    lines = [[part[0] for part in parts], [part[1] for part in parts]]
    lines += [[*painter.paint(drawn, INPUTS[BOTH])] for painter in painters]
    named = ["label map", "sketch", *(painter.method.title for painter in painters)]
    strips = [
        sheets.joined([_title(name, size[0]), *line], axis=1) for name, line in zip(named, lines, strict=True)
    ]
    return sheets.joined(strips, axis=0)


def _title(text: str, height: int) -> np.ndarray:
    """White, with words."""
    picture = Image.new("RGB", (height, height), "white")
    words = "\n".join(textwrap.wrap(text, TITLE_WIDTH))
    ImageDraw.Draw(picture).multiline_text(
        (12, height / 2), words, "black", ImageFont.load_default(height // 12), anchor="lm"
    )
    return np.asarray(picture)
