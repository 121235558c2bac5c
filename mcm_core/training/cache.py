"""Pairs made ready for training, once: latents in half precision, maps as bytes, in files that are mapped in.

The folder's name is a hash of the data, the size, the modalities and the base, so that another data set or
base never meets a stale cache. Mapped files take memory only while there is some to spare, and all processes
share it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH
from mcm_core.training.checkpoints import write_folder
from mcm_core.training.data import HubRows, Layout, Pair, Row, checked_pairs, read_pair, read_picture

ENCODE_AT_ONCE = 8

Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""


@dataclass(frozen=True)
class StoredPairs:
    """Pairs from the cache: `latents` (N, 2, C, h, w) float16, the second for the mirrored picture."""

    encoded: ClassVar[bool] = True

    texts: Sequence[str]
    maps: dict[str, np.ndarray]
    available: np.ndarray
    latents: np.ndarray

    def get(self, index: int, flip: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Latents (C, h, w) float32 and maps, both mirrored where `flip`."""
        maps = {
            name: _mirrored(stored[index], flip)
            for name, stored, there in zip(self.maps, self.maps.values(), self.available[index], strict=True)
            if there
        }
        return self.latents[index, int(flip)].astype(np.float32), maps


@dataclass(frozen=True)
class FilePairs:
    """Pairs read from their files each time, where data is too large to store; the loop encodes them."""

    encoded: ClassVar[bool] = False

    texts: Sequence[str]
    rows: Sequence[Row]
    layout: Layout

    def get(self, index: int, flip: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The picture (3, H, W) float32 in [-1, 1] and maps, both mirrored where `flip`."""
        pair = read_pair(self.rows[index], self.layout)
        maps = {name: _mirrored(drawn, flip) for name, drawn in pair.maps.items()}
        return to_signed(_mirrored(pair.picture, flip)), maps


Pairs = StoredPairs | FilePairs


def to_signed(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [-1, 1]."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1


def fingerprint(rows: Sequence[Row], layout: Layout, base: Base) -> str:
    """A hash of what the stored arrays depend on; files count by name, size and time of change."""
    digest = hashlib.sha256(json.dumps([base.fingerprint, asdict(layout)], sort_keys=True).encode())
    if isinstance(rows, HubRows):
        digest.update(rows.fingerprint.encode())
    else:
        for row in rows:
            for source in (row.picture, *row.maps.values()):
                digest.update(_identity(source))
            digest.update(repr((sorted(row.maps), row.text)).encode())
    return digest.hexdigest()[:16]


def stored_pairs(
    folder: Path,
    rows: Sequence[Row],
    layout: Layout,
    open_encoder: Callable[[], Base],
    needs_text: bool,
    tell: Tell,
) -> StoredPairs:
    """The pairs in `folder`, which is filled first where it is not there: all rows are checked, then encoded.

    `open_encoder` opens the base to encode with, in full precision, since it is done only once.

    Raises:
        InputError: from `checked_pairs`.
    """
    if not folder.exists():

        def write(target: Path) -> None:
            pairs = checked_pairs(rows, layout, needs_text)
            _write_maps(target, rows, layout, _told(pairs, "reading the pairs", len(rows), tell))
            _write_latents(target, rows, layout, open_encoder(), tell)

        write_folder(folder, write)
    maps = {one.name: np.load(folder / f"map-{one.name}.npy", mmap_mode="r") for one in layout.modalities}
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    latents = np.load(folder / "latents.npy", mmap_mode="r")
    return StoredPairs(texts, maps, np.load(folder / "available.npy"), latents)


def file_pairs(rows: Sequence[Row], layout: Layout, needs_text: bool, tell: Tell) -> FilePairs:
    """Checked pairs that stay in their files.

    Raises:
        InputError: from `checked_pairs`.
    """
    pairs = _told(checked_pairs(rows, layout, needs_text), "checking the pairs", len(rows), tell)
    return FilePairs([pair.text for pair in pairs], rows, layout)


@torch.no_grad()
def encode(base: Base, pictures: np.ndarray | Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] -> scaled latents (B, C, h, w) float32, a few at a time."""
    return torch.cat([base.encode(chunk) for chunk in torch.as_tensor(pictures).split(ENCODE_AT_ONCE)])


def _write_maps(folder: Path, rows: Sequence[Row], layout: Layout, pairs: Iterable[Pair]) -> None:
    shapes = {one.name: (3,) if one.channels == 3 else () for one in layout.modalities}
    stored = {
        name: _new(folder / f"map-{name}.npy", (len(rows), *layout.size, *depth), np.uint8)
        for name, depth in shapes.items()
    }
    available = np.zeros((len(rows), len(stored)), bool)
    texts = []
    for index, pair in enumerate(pairs):
        texts.append(pair.text)
        for position, (name, array) in enumerate(stored.items()):
            if name in pair.maps:
                array[index] = pair.maps[name]
                available[index, position] = name not in (LABELS, SKETCH) or bool(pair.maps[name].any())
    np.save(folder / "available.npy", available)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def _write_latents(folder: Path, rows: Sequence[Row], layout: Layout, base: Base, tell: Tell) -> None:
    stored: np.memmap | None = None
    for start in range(0, len(rows), ENCODE_AT_ONCE):
        some = [rows[index] for index in range(start, min(start + ENCODE_AT_ONCE, len(rows)))]
        pictures = [read_picture(row, layout) for row in some]
        both = [
            encode(base, np.stack([to_signed(_mirrored(p, flip)) for p in pictures]))
            for flip in (False, True)
        ]
        latents = torch.stack(both, dim=1).half().cpu().numpy()
        if stored is None:
            stored = _new(folder / "latents.npy", (len(rows), *latents.shape[1:]), np.float16)
        stored[start : start + len(some)] = latents
        tell("encoding the pictures", start + len(some), len(rows))


def _new(path: Path, shape: tuple[int, ...], dtype: type) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _mirrored(array: np.ndarray, flip: bool) -> np.ndarray:
    return array[:, ::-1] if flip else array


def _identity(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return hashlib.sha256(source).digest()
    if not source.is_file():
        return b"missing"
    status = source.stat()
    return f"{source.name} {status.st_size} {status.st_mtime_ns}".encode()


def _told(pairs: Iterable[Pair], what: str, total: int, tell: Tell) -> Iterable[Pair]:
    for done, pair in enumerate(pairs, start=1):
        yield pair
        tell(what, done, total)
