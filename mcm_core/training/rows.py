"""Metadata of pairs -> rows: which files and captions belong together. No picture is opened here.

A local folder is in the `imagefolder` layout of `datasets`: `metadata.jsonl` with one line per pair,

    {"file_name": "images/0.png", "text": "a lake", "labels": "labels/0.png", "sketch": "sketches/0.png"}

or `metadata.csv` with the same columns, and `classes.json` = [{"name": "sky", "color": "#8ec1ef"}, ...] where
there are label maps. Everything else (a hub id, a folder of parquet files) goes through
`datasets.load_dataset` and needs columns of the same names. A column that is missing or null means that the
pair lacks that drawing. A caption may be a list: one of it is drawn each time.
"""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcm_core.drawing.conditions import LABELS, SKETCH, InputError, LabelClass, Modality, Size

METADATA = "metadata.jsonl"
TABLE = "metadata.csv"
CLASSES = "classes.json"
TEXT = "text"
NAMED = 5
"""So many rows are named for each kind of problem."""


@dataclass(frozen=True)
class Row:
    """One pair, not yet read. `place` names it for people; pictures are paths or the bytes of a file.

    `captions` are all that was said of the picture, () where nothing was. `latents` is a file of those of the
    picture and of its mirror image, and the fingerprint of the base that made them.
    """

    place: str
    picture: Path | bytes
    captions: tuple[str, ...]
    maps: Mapping[str, Path | bytes]
    latents: tuple[Path, str] | None = None


@dataclass(frozen=True)
class Layout:
    """How to read rows: the size (H, W) of the base's pictures, the modalities, the classes of label maps.

    `columns` maps "image", "text" or a modality's name to the column that holds it, where names differ.
    `zero_based`: ids of label maps count from 0.
    """

    size: Size
    modalities: tuple[Modality, ...]
    classes: tuple[LabelClass, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    zero_based: bool = False


class RowError(InputError):
    """What is wrong with one row: `kind` without, `place` and `detail` with its particulars."""

    def __init__(self, place: str, kind: str, detail: str = "") -> None:
        super().__init__(f"{place}: {kind}{f' ({detail})' if detail else ''}")
        self.place, self.kind, self.detail = place, kind, detail


def raise_problems(problems: Sequence[RowError], where: str) -> None:
    """All problems as one `InputError`: a line for each kind, with the first rows that have it."""
    if not problems:
        return
    by_kind: dict[str, list[RowError]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    lines = []
    for kind, alike in by_kind.items():
        named = ", ".join(f"{p.place}{f' ({p.detail})' if p.detail else ''}" for p in alike[:NAMED])
        more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
        lines.append(f"{kind}: {named}{more}")
    told = "\n  ".join(lines)
    raise InputError(f"Problems in {where}; mend them or take the rows out:\n  {told}")


def open_rows(source: str, layout: Layout, split: str = "train") -> Sequence[Row]:
    """The rows of a local folder or of anything that `datasets.load_dataset` opens.

    Raises:
        InputError: nothing there, a line that is no JSON object, a row without a picture.
    """
    folder = Path(source)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; --data must be a folder with {METADATA}, or a dataset's name.")
    return _local_rows(folder, layout) if _is_local(folder) else HubRows(source, layout, split)


def _is_local(folder: Path) -> bool:
    return (folder / METADATA).is_file() or (folder / TABLE).is_file()


def open_classes(source: str, classes_file: str | None = None) -> tuple[LabelClass, ...]:
    """The classes of label maps, from `classes_file` or the folder's classes.json; () where neither is."""
    path = Path(classes_file) if classes_file else Path(source) / CLASSES
    if not path.is_file():
        if classes_file:
            raise InputError(f"{path} is not there; --classes must be a JSON file of names and colours.")
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
    rows: list[Row] = []
    problems: list[RowError] = []
    for place, entry in _entries(folder):
        try:
            rows.append(_row(place, entry, layout, "file_name", folder))
        except RowError as error:
            problems.append(error)
    raise_problems(problems, str(folder))
    if not rows:
        raise InputError(f"{folder} holds no rows: its metadata is empty.")
    return rows


def _entries(folder: Path) -> Iterator[tuple[str, Any]]:
    """Each row's place and what stands there; a line that is no JSON gives its text."""
    if not (folder / METADATA).is_file():
        with (folder / TABLE).open(encoding="utf-8-sig", newline="") as file:
            for number, entry in enumerate(csv.DictReader(file), start=2):
                yield f"{TABLE} line {number}", {name: value or None for name, value in entry.items()}
        return
    with (folder / METADATA).open(
        encoding="utf-8-sig", newline="\n"
    ) as file:  # captions hold any other break
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield f"{METADATA} line {number}", json.loads(line)
                except ValueError:
                    yield f"{METADATA} line {number}", line


def spread(count: int, most: int) -> list[int]:
    """At most so many of the first `count` indices, evenly spread."""
    return sorted({round(place * (count - 1) / max(most - 1, 1)) for place in range(most)})


class HubRows(Sequence[Row]):
    """Rows of a `datasets` dataset, fetched one at a time, pictures not decoded."""

    def __init__(self, source: str, layout: Layout, split: str) -> None:
        try:
            import datasets
        except ImportError as error:
            raise InputError(
                f"{source} is no folder with {METADATA} or {TABLE}. To read it from the hub, or files of "
                'another kind: pip install "datasets>=4,<6".'
            ) from error
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


def _row(place: str, entry: Any, layout: Layout, image_column: str, folder: Path) -> Row:
    if not isinstance(entry, Mapping):
        raise RowError(place, "not a JSON object")
    columns = layout.columns
    picture = _file(entry.get(columns.get("image", image_column)), folder)
    if picture is None:
        raise RowError(place, f"no {columns.get('image', image_column)!r} (see --columns image=NAME)")
    maps = {}
    for name in (modality.name for modality in layout.modalities):
        column = columns.get(name, name)
        drawn = _file(entry.get(column, entry.get(f"{column}_file_name")), folder)
        if drawn is not None:
            maps[name] = drawn
    latents = _file(entry.get("latents"), folder)
    kept = (latents, str(entry.get("latents_base"))) if isinstance(latents, Path) else None
    return Row(place, picture, _captions(place, entry.get(columns.get(TEXT, TEXT))), maps, kept)


def _captions(place: str, value: Any) -> tuple[str, ...]:
    """What a caption's column says: a text, a list of texts, or nothing (null, NaN, blank)."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    if isinstance(value, Sequence) and all(isinstance(text, str) for text in value):
        return tuple(text for text in value if text.strip())
    raise RowError(place, "the caption is neither a text nor a list of texts")


def _file(value: Any, folder: Path) -> Path | bytes | None:
    """A path in the folder from a file name, or what `datasets` holds for a picture that is not decoded."""
    if isinstance(value, Mapping):
        return value["bytes"] if value.get("bytes") else _file(value.get("path"), folder)
    return folder / value if isinstance(value, str) and value else None


# -- what there is -----------------------------------------------------------------------------------------


def default_modalities(source: str, columns: Mapping[str, str]) -> tuple[Modality, ...]:
    """Labels and sketch, whichever any line of a local folder's metadata names."""
    named = {LABELS: Modality(LABELS, "labels"), SKETCH: Modality(SKETCH, "image")}
    folder = Path(source)
    if not _is_local(folder):
        return ()
    there: set[str] = set()
    for _, entry in _entries(folder):
        if isinstance(entry, Mapping):
            there |= {name for name, value in entry.items() if value is not None}
    return tuple(modality for name, modality in named.items() if columns.get(name, name) in there)


def check_captions(captioned: int, source: str, layout: Layout) -> None:
    """Refuse data without a single caption, for a base that takes text, and say where texts are.

    Raises:
        InputError: no pair has a caption.
    """
    if captioned:
        return
    column, folder = layout.columns.get(TEXT, TEXT), Path(source)
    others = sorted(_text_columns(folder)) if _is_local(folder) else []
    hint = (
        f" It has the columns {', '.join(others)}: --columns text={others[0]}, for instance."
        if others
        else ""
    )
    raise InputError(
        f"No pair has a caption in the column {column!r}, but the base takes text.{hint} `mcm prepare` "
        "writes them with --captioner or --caption. To train without any, say --text-dropout 1."
    )


def _text_columns(folder: Path) -> Iterable[str]:
    """Columns that hold texts which are not the names of files."""
    for place, entry in _entries(folder):
        if isinstance(entry, Mapping):
            texts = {name: value for name, value in entry.items() if isinstance(value, str)}
            return [name for name, value in texts.items() if not (folder / value).is_file()]
        raise RowError(place, "not a JSON object")
    return []
