"""Pairs made ready for training, once: latents in half precision, maps as bytes, in files that are mapped in.

The folder's name is a hash of the data's contents, the size, the modalities and the base, so that another
data set or base never meets a stale cache, and a copied or unzipped one finds its own. Mapped files take
memory only while there is some to spare, and all processes share it. What an interrupted run has encoded
stays; room on the disk is taken before anything is written into it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, Size
from mcm_core.files import write_whole
from mcm_core.training.data import Pair, checked_pairs, read_pair, read_picture
from mcm_core.training.rows import HubRows, Layout, Row

ENCODE_AT_ONCE = 8
"""Pictures between two notes of how far the encoding came."""
PIXELS_AT_ONCE = 8 * 256**2
"""So many the autoencoder sees in one call, but at least one picture: two of 512 pixels, one of 1024, which
in float32 takes gigabytes by itself."""
ENCODED = "encoded.json"
"""How many pictures have been encoded; while it is there, the folder is not whole."""

NORMALS = ("normal", "normals")
"""Modalities of vectors, whose first channel is their way to the right, from 0 to 255."""

Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""


@dataclass(frozen=True)
class StoredPairs:
    """Pairs from the cache: `latents` (N, 2, C, h, w) float16, the second for the mirrored picture.

    `available` (N, modalities) bool says which drawings a pair has. All of it lies in `folder`, which each
    process that prepares batches opens for itself.
    """

    encoded: ClassVar[bool] = True

    folder: Path
    captions: Sequence[Sequence[str]]
    maps: dict[str, np.ndarray]
    available: np.ndarray
    latents: np.ndarray

    def get(self, index: int, flip: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Latents (C, h, w) float32 and maps, both mirrored where `flip`."""
        maps = {
            name: mirrored(stored[index], flip, name)
            for name, stored, there in zip(self.maps, self.maps.values(), self.available[index], strict=True)
            if there
        }
        return self.latents[index, int(flip)].astype(np.float32), maps

    def __reduce__(self) -> tuple[Any, ...]:
        return _stored, (self.folder, [*self.maps])


@dataclass(frozen=True)
class FilePairs:
    """Pairs read from their files each time, where data is too large to store; the loop encodes them."""

    encoded: ClassVar[bool] = False

    captions: Sequence[Sequence[str]]
    available: np.ndarray
    rows: Sequence[Row]
    layout: Layout

    def get(self, index: int, flip: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The picture (3, H, W) float32 in [-1, 1] and maps, both mirrored where `flip`."""
        pair = read_pair(self.rows[index], self.layout)
        maps = {name: mirrored(drawn, flip, name) for name, drawn in pair.maps.items()}
        return to_signed(mirrored(pair.picture, flip)), maps


@dataclass(frozen=True)
class BucketedPairs:
    """Pairs of several sizes, each size a group. `places` says of a pair in which group it is, and where."""

    groups: tuple[StoredPairs | FilePairs, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def encoded(self) -> bool:
        return self.groups[0].encoded

    @cached_property
    def captions(self) -> Sequence[Sequence[str]]:
        return [self.groups[group].captions[place] for group, place in self.places]

    @cached_property
    def available(self) -> np.ndarray:
        return np.stack([self.groups[group].available[place] for group, place in self.places])

    def get(self, index: int, flip: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """As its group has it."""
        group, place = self.places[index]
        return self.groups[group].get(place, flip)


Pairs = StoredPairs | FilePairs | BucketedPairs


@dataclass(frozen=True)
class Selection(Sequence[Row]):
    """The rows at `indices` of others, which are read when they are asked for."""

    rows: Sequence[Row]
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: Any) -> Any:
        return self.rows[self.indices[place]]


def bucketed(
    sizes: Sequence[Size], make: Callable[[Size, Sequence[int]], StoredPairs | FilePairs]
) -> BucketedPairs:
    """Pairs of the `sizes` (H, W) by index, of which `make` makes those of one size, at its indices."""
    groups, places = [], [(0, 0)] * len(sizes)
    for number, size in enumerate(sorted(set(sizes))):
        indices = [index for index, other in enumerate(sizes) if other == size]
        groups.append(make(size, indices))
        for place, index in enumerate(indices):
            places[index] = number, place
    return BucketedPairs(tuple(groups), tuple(places))


def to_signed(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [-1, 1]."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1


def fingerprint(rows: Sequence[Row], layout: Layout, base: Base, known: Path | None = None) -> str:
    """A hash of what the stored arrays depend on; files count by their contents, wherever they lie.

    `known` is a file that keeps each content's hash with size and time of change, so that what has not been
    touched is not read again.
    """
    digest = hashlib.sha256(json.dumps([base.fingerprint, asdict(layout)], sort_keys=True).encode())
    if isinstance(rows, HubRows):
        digest.update(rows.fingerprint.encode())
        return digest.hexdigest()[:16]
    sums = _read_sums(known)
    for row in rows:
        for source in (row.picture, *row.maps.values()):
            digest.update(_content(source, sums).encode())
        digest.update(repr((sorted(row.maps), row.captions)).encode())
    if known is not None:
        known.parent.mkdir(parents=True, exist_ok=True)
        write_whole(known, json.dumps(sums).encode())
    return digest.hexdigest()[:16]


def stored_pairs(
    folder: Path,
    rows: Sequence[Row],
    layout: Layout,
    open_encoder: Callable[[], Base],
    needs_text: bool,
    tell: Tell,
    latent_space: str = "",
) -> StoredPairs:
    """The pairs in `folder`, which is filled first where it is not there: all rows are checked, then encoded.

    An interrupted filling goes on where it was. `open_encoder` opens the base to encode with, in full
    precision, since it is done only once; it is not called where all latents came with the pictures, from a
    base whose fingerprint begins with `latent_space`.

    Raises:
        InputError: from `checked_pairs`.
        OSError: there is no room.
    """
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        if not (unfinished / ENCODED).is_file():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            pairs = checked_pairs(rows, layout, needs_text)
            _write_maps(unfinished, len(rows), layout, _told(pairs, "reading the pairs", len(rows), tell))
            _write_json(unfinished / ENCODED, 0)
        _write_latents(unfinished, rows, layout, open_encoder, latent_space, tell)
        (unfinished / ENCODED).unlink()
        unfinished.rename(folder)
    return _stored(folder, [kind.name for kind in layout.modalities])


def _stored(folder: Path, names: Sequence[str]) -> StoredPairs:
    """What is in a whole folder, not read yet but for the captions."""
    maps = {name: np.load(folder / f"map-{name}.npy", mmap_mode="r") for name in names}
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    latents = np.load(folder / "latents.npy", mmap_mode="r")
    return StoredPairs(folder, captions, maps, np.load(folder / "available.npy"), latents)


def file_pairs(rows: Sequence[Row], layout: Layout, needs_text: bool, tell: Tell) -> FilePairs:
    """Checked pairs that stay in their files.

    Raises:
        InputError: from `checked_pairs`.
    """
    pairs = _told(checked_pairs(rows, layout, needs_text), "checking the pairs", len(rows), tell)
    told = [(pair.captions, _available(pair, layout)) for pair in pairs]
    available = np.array([there for _, there in told], bool).reshape(len(told), -1)
    return FilePairs([captions for captions, _ in told], available, rows, layout)


@torch.no_grad()
def encode(base: Base, pictures: np.ndarray | Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] -> scaled latents (B, C, h, w) float32, a few at a time."""
    chunks = torch.as_tensor(pictures).split(at_once(*pictures.shape[-2:]))
    return torch.cat([base.encode(chunk) for chunk in chunks])


def at_once(height: int, width: int) -> int:
    """How many pictures of so many pixels the autoencoder sees in one call."""
    return max(1, PIXELS_AT_ONCE // (height * width))


def _write_maps(folder: Path, count: int, layout: Layout, pairs: Iterable[Pair]) -> None:
    shapes = {kind.name: (3,) if kind.channels == 3 else () for kind in layout.modalities}
    stored = {
        name: _opened(folder / f"map-{name}.npy", (count, *layout.size, *depth), np.uint8)
        for name, depth in shapes.items()
    }
    available, captions = np.zeros((count, len(stored)), bool), []
    for index, pair in enumerate(pairs):
        captions.append(pair.captions)
        available[index] = _available(pair, layout)
        for name, array in stored.items():
            if name in pair.maps:
                array[index] = pair.maps[name]
    np.save(folder / "available.npy", available)
    _write_json(folder / "captions.json", captions)


def _available(pair: Pair, layout: Layout) -> list[bool]:
    """Which drawings a pair has; an empty map or sketch is none."""
    return [
        kind.name in pair.maps and (kind.name not in (LABELS, SKETCH) or bool(pair.maps[kind.name].any()))
        for kind in layout.modalities
    ]


def _write_latents(
    folder: Path,
    rows: Sequence[Row],
    layout: Layout,
    open_encoder: Callable[[], Base],
    latent_space: str,
    tell: Tell,
) -> None:
    """Encodes what is not encoded yet, and notes how far it came."""
    stored: np.memmap | None = None
    encoder: Base | None = None
    for start in range(json.loads((folder / ENCODED).read_text()), len(rows), ENCODE_AT_ONCE):
        some = [rows[index] for index in range(start, min(start + ENCODE_AT_ONCE, len(rows)))]
        latents = _brought(some, layout, latent_space)
        if latents is None:
            encoder = encoder or open_encoder()
            latents = _encoded(encoder, [read_picture(row, layout) for row in some])
        if stored is None:
            stored = _opened(folder / "latents.npy", (len(rows), *latents.shape[1:]), np.float16)
        stored[start : start + len(some)] = latents
        stored.flush()
        _write_json(folder / ENCODED, start + len(some))
        tell("encoding the pictures", start + len(some), len(rows))


def _encoded(base: Base, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """(B, 2, C, h, w) float16, the second for the mirrored picture."""
    both = [
        encode(base, np.stack([to_signed(mirrored(p, flip)) for p in pictures])) for flip in (False, True)
    ]
    return torch.stack(both, dim=1).half().cpu().numpy()


def _brought(rows: Sequence[Row], layout: Layout, latent_space: str) -> np.ndarray | None:
    """The latents that came with pictures of the wanted size, as `_encoded` would give them; None where one
    of them has none of this latent space."""
    brought = []
    for row in rows:
        file, made_by = row.latents or (None, "")
        if file is None or not latent_space or made_by.partition("-")[0] != latent_space:
            return None
        if not file.is_file() or not isinstance(row.picture, Path):
            return None
        with Image.open(row.picture) as picture:
            if picture.size != layout.size[::-1]:
                return None
        brought.append(np.load(file))
    return np.stack(brought)


def _write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content).encode())


def _opened(path: Path, shape: tuple[int, ...], dtype: type) -> np.memmap:
    """The array in a file, made where it is not there, whose room on the disk is its own: a mapped file that
    meets a full disk later would end the process (SIGBUS).

    Raises:
        OSError: there is no room.
    """
    mode: Any = "r+" if path.is_file() else "w+"
    array = np.lib.format.open_memmap(path, mode=mode, dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            path.unlink()
            needed, free = (size / 2**20 for size in (array.nbytes, shutil.disk_usage(path.parent).free))
            raise OSError(
                f"{path.parent} needs {needed:.0f} MiB more; {free:.0f} MiB are free there"
            ) from error
    return array


def mirrored(array: np.ndarray, flip: bool, name: str = "") -> np.ndarray:
    """(H, W[, C]), from right to left where `flip`; what points to the right in a map of normals points to
    the left then."""
    if not flip:
        return array
    turned = array[:, ::-1]
    if name not in NORMALS or turned.ndim < 3:
        return turned
    there = turned.any(axis=-1, keepdims=True)  # black is where nothing is known
    return np.where(there & (np.arange(turned.shape[-1]) == 0), 255 - turned, turned)


def _read_sums(known: Path | None) -> dict[str, list[Any]]:
    """By path: size, time of change, hash. What cannot be read is made anew."""
    try:
        sums = json.loads(known.read_text(encoding="utf-8")) if known else {}
        return sums if isinstance(sums, dict) else {}
    except (OSError, ValueError):
        return {}


def _content(source: Path | bytes, sums: dict[str, list[Any]]) -> str:
    """The SHA-256 of a picture's file."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if not source.is_file():
        return "missing"
    status, name = source.stat(), str(source.resolve())
    state = [status.st_size, status.st_mtime_ns]
    if sums.get(name, [])[:2] != state:
        with source.open("rb") as file:
            sums[name] = [*state, hashlib.file_digest(file, "sha256").hexdigest()]
    return str(sums[name][2])


def _told(pairs: Iterable[Pair], what: str, total: int, tell: Tell) -> Iterable[Pair]:
    for done, pair in enumerate(pairs, start=1):
        yield pair
        tell(what, done, total)
