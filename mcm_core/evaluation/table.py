"""The table: one JSON file with everything, one Markdown file to read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .cases import BASE, BOTH, MAP, REAL, SKETCHED
from .scores import Row
from .strokes import TOLERANCE

TITLES = {
    "control": "Control, quality, diversity and words",
    "styles": "Styles",
    "live": "Few steps beside many, the same drawings",
    "freehand": "Drawings by hand, which no renderer made",
    "words": "Words: prompts that say time, season and style in all orders, short and long, in all styles",
    "ablations": "Ablations: map and sketch, with one thing changed",
}
NOTES = f"""
- **mIoU**: the segmenter labels the picture; intersection over union with the drawn map, over the classes
  that were drawn. Without a map among the inputs, with the scene's own. Of a partial map only the painted
  part counts. Drawings by hand without a map do not count, nor do those without a sketch for the strokes.
- **stroke F1**: the picture's outlines (Canny on colour, fixed thresholds) against the freehand sketch of
  the scene, within {TOLERANCE:g} pixels, with precision / recall.
- **Frechet**: the Frechet distance in the segmenter's features to renders of other scenes in the same
  style. It falls with the number of pictures: compare rows of one section.
- **diversity**: mean distance in these features of two pictures of one drawing from different noise, as a
  share of the distance of two renders of different scenes.
- **saturation**, **sharpness**: mean HSV saturation and mean gradient energy, as a share of those of the real
  renders of the same scenes; of drawings by hand, of the renders of the control group.
- **words**: how often the segmenter finds the asked-for time of day, season and style; their mean. Of
  drawings by hand only what the prompt asks for.
- The real renders are the ceiling that this segmenter and this outline detector allow, the base alone is
  the floor.
"""


@dataclass(frozen=True)
class Goal:
    """One thing that must hold: `value` of at least (or at most) `limit`."""

    name: str
    value: float
    limit: float
    at_least: bool = True

    @property
    def reached(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def goals(rows: Sequence[Row]) -> list[Goal]:
    """What the modulator is to reach; those whose rows are all there."""
    control = {row.name: row for row in rows if row.group == "control"}

    def ratio(top: str, bottom: str, of: Callable[[Row], float]) -> Callable[[], float]:
        return lambda: of(control[top]) / of(control[bottom]) if of(control[bottom]) else math.inf

    def lost_words() -> float:
        return 100 * (control[BASE].attribute_accuracy - control[BOTH].attribute_accuracy)

    wanted = (
        ("mIoU with the map, share of the ceiling", {MAP, REAL}, ratio(MAP, REAL, _miou), 0.8, True),
        ("mIoU with the map, multiple of the floor", {MAP, BASE}, ratio(MAP, BASE, _miou), 3.0, True),
        (
            "stroke F1 with the sketch, share of the ceiling",
            {SKETCHED, REAL},
            ratio(SKETCHED, REAL, _f1),
            0.7,
            True,
        ),
        ("Frechet distance, multiple of the base's", {BOTH, BASE}, ratio(BOTH, BASE, _frechet), 1.25, False),
        ("words, points below the base alone", {BOTH, BASE}, lost_words, 5.0, False),
    )
    return [
        Goal(name, value(), limit, at_least)
        for name, needed, value, limit, at_least in wanted
        if needed <= control.keys()
    ]


def write(folder: Path, rows: Sequence[Row], settings: Mapping[str, Any]) -> None:
    """table.json and table.md, each whole or not at all."""
    content = {
        "settings": dict(settings),
        "goals": [asdict(goal) | {"reached": goal.reached} for goal in goals(rows)],
        "rows": [asdict(row) | {"attribute_accuracy": row.attribute_accuracy} for row in rows],
    }
    _replace(folder / "table.json", json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n")
    _replace(folder / "table.md", markdown(rows, settings))


def markdown(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    parts = ["# Evaluation", "", *(f"- {name}: {value}" for name, value in settings.items()), NOTES]
    reached = goals(rows)
    if reached:
        parts += ["## Goals", "", _goals_table(reached), ""]
    for group, title in TITLES.items():
        members = [row for row in rows if row.group == group]
        if members:
            parts += [f"## {title}", "", _rows_table(members), ""]
    control = [row for row in rows if row.group == "control"]
    if control:
        parts += ["## IoU by class", "", _classes_table(control), ""]
    return "\n".join(parts)


def _rows_table(rows: Sequence[Row]) -> str:
    words = [*rows[0].attributes]
    head = ["", "n", "mIoU", "stroke F1", "P / R", "Frechet", "diversity"]
    head += ["saturation", "sharpness", "words", *words]
    lines = [
        [
            row.name,
            str(row.count),
            _number(row.miou),
            _number(row.stroke_f1),
            f"{_number(row.stroke_precision)} / {_number(row.stroke_recall)}",
            _number(row.frechet, 2),
            _number(row.diversity),
            _number(row.saturation, 2),
            _number(row.sharpness, 2),
            _number(row.attribute_accuracy),
            *(_number(row.attributes[word]) for word in words),
        ]
        for row in rows
    ]
    return _table(head, lines)


def _classes_table(rows: Sequence[Row]) -> str:
    lines = [[row.name, *(_number(value, 2) for value in row.iou.values())] for row in rows]
    return _table(["", *rows[0].iou], lines)


def _goals_table(reached: Sequence[Goal]) -> str:
    lines = [
        [
            goal.name,
            _number(goal.value, 2),
            f"{'at least' if goal.at_least else 'at most'} {goal.limit:g}",
            "yes" if goal.reached else "NO",
        ]
        for goal in reached
    ]
    return _table(["", "measured", "wanted", "reached"], lines)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _without_nan(value: Any) -> Any:
    """The same with None for what is no finite number: NaN is not JSON."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _replace(file: Path, text: str) -> None:
    partial = file.with_suffix(file.suffix + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)


def _miou(row: Row) -> float:
    return row.miou


def _f1(row: Row) -> float:
    return row.stroke_f1


def _frechet(row: Row) -> float:
    return row.frechet
