"""`python -m mcm_core prepare --images DIR --out DATASET`: photos -> pairs to train on.

For each photo a sketch, a label map where a segmenter or a folder of maps is named, and a caption, at the
size of the base's pictures. What is interrupted goes on with the same command; under torchrun the processes
share the work. Photos that cannot be used are listed and never fatal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mcm_core.devices import choose_device
from mcm_core.drawing.conditions import LABELS, InputError, LabelClass, Size
from mcm_core.drawing.label_pictures import read_labels
from mcm_core.drawing.picture_files import open_picture, to_rgb
from mcm_core.drawing.sizes import buckets, nearest
from mcm_core.drawing.uploads import covered
from mcm_core.pairs.captioning import Captioner, spoken, written
from mcm_core.pairs.labelling import Labeller, Merging, open_labeller, read_merging
from mcm_core.pairs.lines import Sketcher, open_sketcher
from mcm_core.pairs.sheet import show
from mcm_core.pairs.store import Finished, Made, Store

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif", ".ppm")
BLANK = 1.0
"""Standard deviation, in grey levels, below which a photo shows nothing, as a transparent PNG over white."""
NAMED = 10
"""So many of the photos that were left out are named."""


@dataclass(frozen=True)
class Photo:
    """A photo cut to size, (H, W, 3) uint8, with the map (H, W) that was given for it, if any."""

    name: str
    path: Path
    picture: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class Readers:
    """What is read out of photos, each cut to the nearest of `sizes` (H, W). `merging` has the classes of the
    maps; None where there are none."""

    sizes: Sequence[Size]
    merging: Merging | None
    maps: Path | None
    label: Labeller | None
    sketch: Sketcher | None
    caption: Captioner

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        return self.merging.classes if self.merging else ()


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    photos = find_photos(options.images)
    readers = _readers(options)
    recipe = {
        name: str(getattr(options, name))
        for name in ("base", "size", "classes", "segmenter", "labels", "sketch", "caption", "captioner")
    } | ({"aspect_buckets": True} if options.aspect_buckets else {})
    store = Store(options.out, recipe, readers.merging)
    prepare(photos, options.images, readers, store, options.batch_size)
    finished = store.finish([_name(photo, options.images) for photo in photos])
    if finished is None:
        print("Others are still at work; whoever ends last writes metadata.jsonl.")
        return 0
    return _tell(finished, options.out, readers.classes)


def _tell(finished: Finished, out: Path, classes: Sequence[LabelClass]) -> int:
    for name, reason in list(finished.left_out.items())[:NAMED]:
        print(f"left out {name}: {reason}", file=sys.stderr)
    more = len(finished.left_out) - NAMED
    if more > 0:
        print(f"and {more} more", file=sys.stderr)
    if not finished.count:
        raise InputError("None of the photos could be used.")
    print(
        f"{finished.count} pairs in {out}, {len(finished.left_out)} left out; look at {show(out, classes)}."
    )
    if seldom := finished.seldom(classes):
        print(f"{seldom} More photos of them help.")
    return 0


def find_photos(folder: Path) -> list[Path]:
    """All pictures in a folder and below it, in a fixed order.

    Raises:
        InputError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"There is no picture in {folder}.")
    return found


def prepare(photos: Sequence[Path], folder: Path, readers: Readers, store: Store, batch_size: int) -> None:
    """Makes this process's part of the pairs that are not made yet."""
    known = store.entries()
    paths = {_name(path, folder): path for path in photos}
    names = [name for name in store.shard.of(list(paths)) if name not in known]
    with ThreadPoolExecutor() as pool, tqdm(total=len(names), unit="photo", file=sys.stderr) as bar:
        for start in range(0, len(names), batch_size):
            part = names[start : start + batch_size]
            read = list(pool.map(lambda name: _read(name, paths[name], readers), part))
            whole = [photo for photo in read if isinstance(photo, Photo)]
            for name, photo in zip(part, read, strict=True):
                if isinstance(photo, str):
                    store.leave_out(name, photo)
            for alike in _by_size(whole):
                for photo, made in zip(alike, _made(alike, readers, pool), strict=True):
                    store.add(photo.name, _file_name(photo.name), made)
            bar.update(len(part))


def _by_size(photos: Sequence[Photo]) -> list[list[Photo]]:
    """Those of one size together, for models that see several at once."""
    groups: dict[tuple[int, ...], list[Photo]] = {}
    for photo in photos:
        groups.setdefault(photo.picture.shape, []).append(photo)
    return list(groups.values())


def _made(photos: Sequence[Photo], readers: Readers, pool: ThreadPoolExecutor) -> Iterator[Made]:
    pictures = [photo.picture for photo in photos]
    sketches = list(pool.map(readers.sketch, pictures)) if readers.sketch else [None] * len(photos)
    texts = readers.caption([photo.path for photo in photos], pictures)
    labels: Sequence[np.ndarray | None] = [photo.labels for photo in photos]
    if readers.label is not None:
        labels = list(readers.label(np.stack(pictures)).labels)
    for picture, drawn, sketch, text in zip(pictures, labels, sketches, texts, strict=True):
        yield Made(picture, drawn, sketch, text)


def _read(name: str, path: Path, readers: Readers) -> Photo | str:
    """The photo, cut to the middle, or why it cannot be used."""
    try:
        whole = to_rgb(open_picture(path))
        size = nearest(whole.shape[:2], readers.sizes)
        picture = covered("image", whole, size)
        labels = _given_map(name, readers.maps, readers.classes, size) if readers.maps else None
    except (InputError, OSError) as error:
        return str(error)
    if picture.std(axis=(0, 1)).max() < BLANK:
        return "nothing can be seen in it: it is of one colour, or transparent over white"
    return Photo(name, path, picture, labels)


def _given_map(name: str, maps: Path, classes: Sequence[LabelClass], size: Size) -> np.ndarray:
    beside = (maps / name).with_suffix(".png")
    if not beside.is_file():
        raise InputError(f"there is no map {beside}")
    drawn = read_labels(open_picture(beside), classes).maps.get(LABELS)
    if drawn is None:
        raise InputError(f"the map {beside} is empty")
    return covered(LABELS, drawn, size)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _file_name(name: str) -> str:
    """Photos of any folder and kind in one folder, each under a name of its own."""
    return name.replace("%", "%25").replace("/", "%2F")


# -- the command -------------------------------------------------------------------------------------------


def _readers(options: argparse.Namespace) -> Readers:
    if options.segmenter and options.labels:
        raise InputError("Give --segmenter or --labels, not both: they say the same thing twice.")
    if (options.segmenter or options.labels) and not options.classes:
        raise InputError("Label maps need --classes: landscape, interior, street or a JSON file.")
    sizes = sizes_of(options)
    device = choose_device(options.device)
    merging = read_merging(options.classes) if options.classes else None
    labeller = open_labeller(options.segmenter, merging, device) if options.segmenter and merging else None
    captioner = spoken(options.captioner, device) if options.captioner else written(options.caption)
    return Readers(
        sizes,
        merging if options.segmenter or options.labels else None,
        options.labels,
        labeller,
        None if options.sketch == "none" else open_sketcher(options.sketch),
        captioner,
    )


def sizes_of(options: argparse.Namespace) -> Sequence[Size]:
    """What --size says, else the size of the base's pictures, else Stable Diffusion's; with --aspect-buckets
    others of that area, too."""
    if options.size and not options.aspect_buckets:
        return [tuple(options.size)]
    if not options.base:
        return buckets(tuple(options.size or (512, 512)), 8, 64) if options.aspect_buckets else [(512, 512)]
    from mcm_core.base import Base

    base = Base.from_pretrained(options.base, device="cpu")  # a GPU's memory is for those who read photos
    size = tuple(options.size or base.default_size)
    return base.sizes_like(size) if options.aspect_buckets else [size]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m mcm_core prepare", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of photos, with others inside")
    parser.add_argument("--out", type=Path, required=True, help="the data set")
    parser.add_argument("--base", help="the base to train for later, for the size of its pictures")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="else the base's, or 512 512")
    parser.add_argument(
        "--aspect-buckets",
        action="store_true",
        help="cut each photo to the nearest of some shapes of that area; train with the same option",
    )
    parser.add_argument(
        "--classes",
        help="landscape, interior, street, or a JSON file of names, colours and what they take in",
    )
    parser.add_argument("--segmenter", help="segmentation model of transformers: folder or hub id")
    parser.add_argument("--labels", type=Path, help="or a folder of label maps, NAME.png for each photo NAME")
    parser.add_argument(
        "--sketch", default="both", help="edges, lines, both, none, or hed, lineart, pidinet[:HUB_ID]"
    )
    parser.add_argument("--caption", help="of photos that have no text file beside them")
    parser.add_argument("--captioner", help="or a captioner of transformers (BLIP, GIT): folder or hub id")
    parser.add_argument("--batch-size", type=int, default=8, help="photos in one call of a model")
    parser.add_argument("--device", help="cuda, mps, cpu (default: the quickest that is here)")
    return parser
