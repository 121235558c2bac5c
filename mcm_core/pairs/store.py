"""A data set as it is being made: files first, then a line that says so. What is interrupted goes on.

The folder is in the `imagefolder` layout that `mcm_core.training.rows` reads. Each process appends to a file
of its own in `made/`, so that `torchrun` may share the work; `metadata.jsonl` is written from all of them
once every source is accounted for.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import LABELS, SKETCH, InputError, LabelClass
from mcm_core.files import write_whole
from mcm_core.pairs.labelling import Merging
from mcm_core.training.coverage import Coverage, classes_in
from mcm_core.training.rows import CLASSES, METADATA

MADE = "made"
RECIPE = "recipe.json"
SOURCE, LEFT_OUT, SHOWN = "source", "left_out", "shown"


@dataclass(frozen=True, eq=False)
class Made:
    """One pair: picture (H, W, 3) uint8, labels (H, W) ids, sketch (H, W) with 255 = stroke, captions.

    `latents` (2, C, h, w) are those of the picture and of its mirror image, made by `latents_base`.
    """

    picture: np.ndarray
    labels: np.ndarray | None
    sketch: np.ndarray | None
    text: str | None
    latents: np.ndarray | None = None
    latents_base: str | None = None


@dataclass(frozen=True)
class Shard:
    """Which of the processes this is, as `torchrun` says it."""

    index: int
    count: int

    def of(self, names: Sequence[str]) -> list[str]:
        """This process's part of the work."""
        return list(names[self.index :: self.count])


def shard() -> Shard:
    return Shard(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


class Store:
    """The folder of a data set. `recipe` is what its pairs depend on: another one needs another folder.

    Raises:
        InputError: the folder holds pairs that were made in another way.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], merging: Merging | None) -> None:
        self.folder, self.shard = folder, shard()
        for name in (MADE, "images", "labels", "sketches", "latents"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._require_recipe(json.loads(json.dumps(recipe)))
        if merging is not None:
            self._require_classes(merging.entries())
            write_whole(folder / CLASSES, json.dumps(merging.entries(), indent=1).encode())

    def _require_recipe(self, recipe: Mapping[str, Any]) -> None:
        path = self.folder / RECIPE
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else recipe
        for name in {*recipe, *before}:
            if before.get(name) != recipe.get(name):
                raise InputError(
                    f"{self.folder} was made with {name} = {before.get(name)!r}, not {recipe.get(name)!r}. "
                    "Take the same options to go on, or another --out."
                )
        write_whole(path, json.dumps(recipe, indent=1).encode())

    def _require_classes(self, classes: list[dict[str, Any]]) -> None:
        path = self.folder / CLASSES
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else classes
        named, now = ([label["name"] for label in some] for some in (before, classes))
        if named != now and self.entries():
            raise InputError(
                f"{self.folder} holds maps of other classes, or of the same in another order. Take the same "
                "list to go on, or another --out."
            )

    def entries(self) -> dict[str, dict[str, Any]]:
        """What has become of each source so far, by any process; a line cut short does not count."""
        return {entry[SOURCE]: entry for path in self._parts() for entry in _entries(path)}

    def _parts(self) -> list[Path]:
        return sorted((self.folder / MADE).glob("*.jsonl"))

    def add(self, source: str, name: str, made: Made) -> None:
        """Writes the files of a pair, and then its line."""
        row: dict[str, Any] = {"file_name": f"images/{name}.png"}
        _write_png(self.folder / row["file_name"], made.picture)
        if made.labels is not None:
            row[LABELS] = f"labels/{name}.png"
            _write_png(self.folder / row[LABELS], made.labels)
        if made.sketch is not None:
            row[SKETCH] = f"sketches/{name}.png"
            _write_png(self.folder / row[SKETCH], 255 - made.sketch)
        if made.latents is not None:
            row |= {"latents": f"latents/{name}.npy", "latents_base": made.latents_base}
            file = io.BytesIO()
            np.save(file, made.latents.astype(np.float16))
            write_whole(self.folder / row["latents"], file.getvalue())
        shown = None if made.labels is None else classes_in(made.labels)
        self._append({SOURCE: source, "row": {**row, "text": made.text}, SHOWN: shown})

    def leave_out(self, source: str, reason: str) -> None:
        self._append({SOURCE: source, LEFT_OUT: reason})

    def _append(self, entry: Mapping[str, Any]) -> None:
        path = self.folder / MADE / f"{self.shard.index:03d}.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(entry)}")  # not joined to a line that was cut short

    def finish(self, sources: Sequence[str]) -> Finished | None:
        """Writes metadata.jsonl once every source is accounted for; None while others are still at work."""
        entries = self.entries()
        if any(source not in entries for source in sources):
            return None
        asked = [entries[source] for source in sources]
        rows = [entry["row"] for entry in asked if "row" in entry]
        left_out = {entry[SOURCE]: entry[LEFT_OUT] for entry in asked if LEFT_OUT in entry}
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_whole(self.folder / METADATA, text.encode())
        shown = [entry[SHOWN] for entry in asked if entry.get(SHOWN) is not None]
        return Finished(len(rows), left_out, Coverage.of(shown))


@dataclass(frozen=True)
class Finished:
    """How many pairs there are, why each of the other sources gave none, and what the maps show."""

    count: int
    left_out: Mapping[str, str]
    coverage: Coverage

    def seldom(self, classes: Sequence[LabelClass]) -> str | None:
        """A sentence on the classes that few maps show; None where there are none."""
        named = self.coverage.seldom(classes)
        if not named:
            return None
        return (
            f"Few of the maps ({self.coverage.maps}) show {named}: drawings of these will be followed less."
        )


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and SOURCE in entry:
            yield entry


def _write_png(path: Path, picture: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=3)
    write_whole(path, file.getvalue())
