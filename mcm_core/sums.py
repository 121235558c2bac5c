"""SHA-256 of a model's files beside them, as `sha256sum` writes it: weights load with a flipped bit too."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from mcm_core.drawing.conditions import InputError

SUMS = "SHA256SUMS"
LARGE = 256 * 2**20
"""Bytes of a file that is only looked for, not read, when a model is opened."""
SUFFIXES = (".safetensors", ".json")
NOT_SUMMED = ("training.json", "figures.json", "manifest.json")
"""Reports, which no picture depends on."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_sums(folder: Path, deep: bool = False) -> None:
    """Write the sums of the weights and configurations in `folder`, and below it where `deep`."""
    found = folder.rglob("*") if deep else folder.glob("*")
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in found
        if path.is_file() and path.suffix in SUFFIXES and path.name not in NOT_SUMMED
    )
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def check_sums(folder: Path, large: bool = False) -> list[str]:
    """The names of the files that were checked; none where the folder has no sums.

    Files of more than `LARGE` bytes only have to be there, unless `large`.

    Raises:
        InputError: a file is missing or another than the sums say, or the sums cannot be read.
    """
    if not (folder / SUMS).is_file():
        return []
    checked = []
    for name, wanted in _read(folder).items():
        file = folder / name
        if not file.is_file():
            raise InputError(f"{file} is missing: {SUMS} names it. Copy or download the whole model again.")
        if not large and file.stat().st_size > LARGE:
            continue
        if sha256(file) != wanted:
            raise InputError(
                f"{file} is damaged or was changed: it is not what {SUMS} names. Copy or download it "
                f"again; if you changed it on purpose, delete {SUMS} beside it."
            )
        checked.append(name)
    return checked


def digest(folder: Path) -> str | None:
    """One SHA-256 that stands for all files of a model, in hex; None where no sums lie beside them."""
    return sha256(folder / SUMS) if (folder / SUMS).is_file() else None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> dict[str, str]:
    """The sums by name; a name never leads out of the folder."""
    sums = {}
    for line in (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or Path(match[2]).is_absolute() or ".." in Path(match[2]).parts:
            raise InputError(f"{folder / SUMS} is damaged: {line!r:.80} is no sum. Copy the model again.")
        sums[match[2]] = match[1]
    return sums
