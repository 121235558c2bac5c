"""Pairs of picture and drawing as they lie on a disk or on the hub: opened, read and checked.

A local folder is in the `imagefolder` layout of `datasets`: `metadata.jsonl` with one line per pair,

    {"file_name": "images/0.png", "text": "a lake", "labels": "labels/0.png", "sketch": "sketches/0.png"}

and `classes.json` = [{"name": "sky", "color": "#8ec1ef"}, ...] where there are label maps. Everything else (a
hub id, a folder of parquet files) goes through `datasets.load_dataset` and needs columns of the same names.
A column that is missing or null means that the pair lacks that drawing; text is optional as a whole.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import (
    LABELS,
    SKETCH,
    STROKE,
    InputError,
    LabelClass,
    Modality,
    Size,
    resize_map,
)
from mcm_core.drawing.picture_files import open_picture, to_rgb

METADATA = "metadata.jsonl"
CLASSES = "classes.json"
MOST_PROBLEMS = 20  # this many are told at once
INK = 128  # a sketch's pixel darker than this is a stroke


@dataclass(frozen=True)
class Row:
    """One pair, not yet read. `place` names it for people; pictures are paths or the bytes of a file."""

    place: str
    picture: Path | bytes
    text: str | None
    maps: Mapping[str, Path | bytes]


@dataclass(frozen=True)
class Layout:
    """How to read rows: the size (H, W) of the base's pictures, the modalities, the classes of label maps.

    `columns` maps "image", "text" or a modality's name to the column that holds it, where names differ.
    """

    size: Size
    modalities: tuple[Modality, ...]
    classes: tuple[LabelClass, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """One pair, read: picture (H, W, 3) uint8; maps uint8, (H, W) ids or strokes or (H, W[, C]) planes."""

    picture: np.ndarray
    text: str
    maps: dict[str, np.ndarray]


# -- opening -----------------------------------------------------------------------------------------------


def open_rows(source: str, layout: Layout, split: str = "train") -> Sequence[Row]:
    """The rows of a local folder or of anything that `datasets.load_dataset` opens.

    Raises:
        InputError: nothing there, a line that is no JSON object, a row without a picture.
    """
    folder = Path(source)
    if (folder / METADATA).is_file():
        return _local_rows(folder, layout)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; --data wants a folder with {METADATA}, or a dataset's name.")
    return HubRows(source, layout, split)


def open_classes(source: str, classes_file: str | None = None) -> tuple[LabelClass, ...]:
    """The classes of label maps, from `classes_file` or the folder's classes.json; () where neither is."""
    path = Path(classes_file) if classes_file else Path(source) / CLASSES
    if not path.is_file():
        if classes_file:
            raise InputError(f"{path} is not there; --classes wants a JSON file of names and colours.")
        return ()
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        classes = tuple(LabelClass(str(entry["name"]), str(entry["color"])) for entry in entries)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f'{path} must read [{{"name": "sky", "color": "#8ec1ef"}}, ...].') from error
    if not 1 <= len(classes) <= 255:
        raise InputError(f"{path} names {len(classes)} classes; a label map can hold 1 to 255.")
    return classes


def _local_rows(folder: Path, layout: Layout) -> list[Row]:
    rows, problems = [], []
    for number, line in enumerate((folder / METADATA).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{METADATA} line {number}"
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            problems.append(f"{place}: not a JSON object")
            continue
        rows.append(_row(place, entry, layout, "file_name", folder))
    _raise_problems(problems, str(folder))
    if not rows:
        raise InputError(f"{folder / METADATA} holds no rows.")
    return rows


class HubRows(Sequence[Row]):
    """Rows of a `datasets` dataset, fetched one at a time, pictures not decoded."""

    def __init__(self, source: str, layout: Layout, split: str) -> None:
        import datasets

        try:
            table = datasets.load_dataset(source, split=split)
        except Exception as error:  # each loader raises its own kind
            reason = str(error).splitlines()[0]
            raise InputError(f"Cannot open the dataset {source!r} (split {split!r}): {reason}") from error
        for name, kind in list(table.features.items()):
            if isinstance(kind, datasets.Image):
                table = table.cast_column(name, datasets.Image(decode=False))
        self.table, self.source, self.layout = table, source, layout
        if not len(table):
            raise InputError(f"The dataset {source!r} (split {split!r}) holds no rows.")

    @property
    def fingerprint(self) -> str:
        return str(self.table._fingerprint)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: Any) -> Any:
        place = f"{self.source} row {index}"
        return _row(place, dict(self.table[int(index)]), self.layout, "image", Path(self.source))


def _row(place: str, entry: Mapping[str, Any], layout: Layout, image_column: str, folder: Path) -> Row:
    columns = layout.columns
    picture = _file(entry.get(columns.get("image", image_column)), folder)
    if picture is None:
        raise InputError(f"{place}: no {columns.get('image', image_column)!r} (see --columns image=NAME).")
    maps = {}
    for name in (modality.name for modality in layout.modalities):
        column = columns.get(name, name)
        drawn = _file(entry.get(column, entry.get(f"{column}_file_name")), folder)
        if drawn is not None:
            maps[name] = drawn
    text = entry.get(columns.get("text", "text"))
    return Row(place, picture, None if text is None else str(text), maps)


def _file(value: Any, folder: Path) -> Path | bytes | None:
    """A path in the folder from a file name, or what `datasets` holds for a picture that is not decoded."""
    if isinstance(value, Mapping):
        return value["bytes"] if value.get("bytes") else _file(value.get("path"), folder)
    return folder / value if isinstance(value, str) and value else None


# -- reading -----------------------------------------------------------------------------------------------


def read_pair(row: Row, layout: Layout) -> Pair:
    """The picture and its drawings at the layout's size: scaled to cover it, cut to its middle.

    Raises:
        InputError: an unreadable file, a drawing of another size than its picture, an id without a class.
    """
    picture = to_rgb(_open(row, "picture", row.picture))
    maps = {}
    for modality in layout.modalities:
        if modality.name in row.maps:
            drawn = _read_map(row, modality, layout.classes)
            if drawn.shape[:2] != picture.shape[:2]:
                raise InputError(
                    f"{row.place}: the {modality.name} map is {_size_text(drawn)}, its picture "
                    f"{_size_text(picture)}"
                )
            maps[modality.name] = _fit(modality.name, drawn, layout.size)
    return Pair(_fit("image", picture, layout.size), row.text or "", maps)


def read_picture(row: Row, layout: Layout) -> np.ndarray:
    """Only the picture of `read_pair`, (H, W, 3) uint8."""
    return read_pair(Row(row.place, row.picture, row.text, {}), layout).picture


def _read_map(row: Row, modality: Modality, classes: Sequence[LabelClass]) -> np.ndarray:
    image = _open(row, f"{modality.name} map", row.maps[modality.name])
    if modality.kind == "labels":
        if image.mode not in ("L", "P"):
            raise InputError(
                f"{row.place}: the {modality.name} map has mode {image.mode}; ids are read from 8-bit grey "
                "(L) or palette (P) PNGs"
            )
        ids = np.array(image)
        if ids.max() > len(classes):
            raise InputError(
                f"{row.place}: the {modality.name} map holds id {ids.max()}, the last class is {len(classes)}"
            )
        return ids
    rgb = to_rgb(image)
    if modality.name == SKETCH:
        return np.where(rgb.min(axis=2) < INK, STROKE, 0).astype(np.uint8)
    return rgb if modality.channels == 3 else rgb[..., 0]


def _open(row: Row, what: str, source: Path | bytes) -> Image.Image:
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"{row.place}: the {what} {source} is missing")
    try:
        return open_picture(source)
    except InputError as error:
        name = "" if isinstance(source, bytes) else f" {source}"
        raise InputError(f"{row.place}: the {what}{name} cannot be used: {error}") from error


def _fit(name: str, drawn: np.ndarray, size: Size) -> np.ndarray:
    """Scaled to cover `size` (H, W) and cut to its middle."""
    height, width = size
    scale = max(height / drawn.shape[0], width / drawn.shape[1])
    covering = max(height, round(drawn.shape[0] * scale)), max(width, round(drawn.shape[1] * scale))
    drawn = resize_map(name, drawn, covering)
    top, left = (drawn.shape[0] - height) // 2, (drawn.shape[1] - width) // 2
    return np.ascontiguousarray(drawn[top : top + height, left : left + width])


def _size_text(drawn: np.ndarray) -> str:
    return f"{drawn.shape[1]} x {drawn.shape[0]}"


# -- checking ----------------------------------------------------------------------------------------------


def checked_pairs(rows: Sequence[Row], layout: Layout, needs_text: bool) -> Iterator[Pair]:
    """Each row, read in order by threads; problems are gathered and raised as one `InputError` in the end.

    `needs_text`: an empty caption is a problem.
    """
    problems: list[str] = []

    def read(index: int) -> Pair | InputError:
        try:
            row = rows[index]
            if needs_text and not (row.text or "").strip():
                raise InputError(f"{row.place}: the caption is empty")
            return read_pair(row, layout)
        except InputError as error:
            return error

    with ThreadPoolExecutor(max_workers=4) as pool:
        for start in range(0, len(rows), 64):
            for pair in pool.map(read, range(start, min(start + 64, len(rows)))):
                if isinstance(pair, InputError):
                    problems.append(str(pair))
                else:
                    yield pair
            if len(problems) >= MOST_PROBLEMS:
                break
    _raise_problems(problems, "the data set")


def _raise_problems(problems: Sequence[str], where: str) -> None:
    if problems:
        told = "\n  ".join(problems[:MOST_PROBLEMS])
        more = "\n  and more" if len(problems) >= MOST_PROBLEMS else ""
        raise InputError(f"Problems in {where}; mend them or take the rows out:\n  {told}{more}")


def default_modalities(source: str, columns: Mapping[str, str]) -> tuple[Modality, ...]:
    """Labels and sketch, whichever the first line of a local folder's metadata names."""
    entry: dict[str, Any] = {}
    try:
        with (Path(source) / METADATA).open(encoding="utf-8") as file:
            entry = json.loads(file.readline())
    except (OSError, ValueError):
        return ()
    named = {LABELS: Modality(LABELS, "labels"), SKETCH: Modality(SKETCH, "image")}
    return tuple(m for name, m in named.items() if columns.get(name, name) in entry)
