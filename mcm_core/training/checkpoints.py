"""Checkpoints that survive a kill, a full disk and a damaged file.

A checkpoint is a folder `step-00001200` that appears by one rename once everything in it is on the disk,
so a folder of that name is whole whenever the process dies. A manifest of SHA-256 sums tells later damage
(a truncated copy, a flipped bit) from a good checkpoint: safetensors loads flipped bits.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from mcm_core.sums import SUMS

MANIFEST = "manifest.json"
_TEMPORARY = ".saving-"
_NAME = re.compile(r"step-(\d+)")
_FOLDERS_FLUSH = os.name != "nt"
"""Windows opens no folder, and keeps the order of renames by itself."""


def save_checkpoint(folder: Path, step: int, write: Callable[[Path], object], keep: int = 2) -> Path:
    """Let `write` fill an empty folder, make that `folder/step-N` in one move, then keep the newest `keep`.

    A whole checkpoint of the same step stays as it is and `write` is not called. A full disk is an OSError,
    whoever meets it; anything else that `write` raises passes through. Older checkpoints are intact then and
    nothing half-written stays. One process writes to a folder at a time.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep}")
    target = folder / f"step-{step:08d}"
    if not is_complete(target):
        write_folder(target, write)
    _prune(folder, keep)
    return target


def write_folder(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill an empty folder and make that `target` in one move, in place of any older one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target.parent)
    temporary = target.with_name(f"{_TEMPORARY}{target.name}")
    _fill(temporary, write)
    shutil.rmtree(target, ignore_errors=True)
    _rename(temporary, target)


def latest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint of the highest step, or None; half-written and damaged ones are passed over."""
    return next((path for path in reversed(_by_step(folder)) if is_complete(path)), None)


def checkpoint_step(path: Path) -> int:
    """The step number that a checkpoint's name carries."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not the name of a checkpoint (step-NUMBER)")
    return int(match[1])


def is_complete(path: Path) -> bool:
    """Whether the manifest is there and every file has the SHA-256 that it states."""
    try:
        sums = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return isinstance(sums, dict) and all(_sha256(path / name) == value for name, value in sums.items())
    except (OSError, ValueError):
        return False


def replace_files(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill an empty folder, then move each of its files over its namesake in `folder`.

    Each file is the old or the new one at any moment, never half of one; other files in `folder` stay. The
    sums of a model are taken away first and come last, so that they are never those of other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    temporary = folder / f"{_TEMPORARY}result"
    _fill(temporary, write)
    (temporary / MANIFEST).unlink()
    (folder / SUMS).unlink(missing_ok=True)
    for source in sorted(_files(temporary), key=lambda path: path.name == SUMS):
        target = folder / source.relative_to(temporary)
        target.parent.mkdir(parents=True, exist_ok=True)
        _rename(source, target)
    shutil.rmtree(temporary)


def _fill(temporary: Path, write: Callable[[Path], object]) -> None:
    """Write, sum up and flush to the disk; on any failure remove the folder and raise."""
    temporary.mkdir()
    try:
        write(temporary)
        sums = {path.relative_to(temporary).as_posix(): _sha256(path) for path in _files(temporary)}
        (temporary / MANIFEST).write_text(json.dumps(sums, indent=1), encoding="utf-8")
        for path in [*temporary.rglob("*"), temporary]:
            _flush(path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if _tells_a_failed_write(error):
            free = shutil.disk_usage(temporary.parent).free / 2**20
            raise OSError(
                f"{temporary.parent} cannot be written to; {free:.0f} MiB are free there"
            ) from error
        raise


def _tells_a_failed_write(error: BaseException) -> bool:
    """torch and safetensors have errors of their own for what is an OSError elsewhere."""
    if isinstance(error, SafetensorError):
        return "I/O error" in str(error)
    return isinstance(error, RuntimeError) and "inline_container" in str(error)


def _prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` whole checkpoints."""
    paths = _by_step(folder)
    kept = [path for path in paths if is_complete(path)][-keep:]
    for path in paths:
        if path not in kept:
            shutil.rmtree(path)


def _by_step(folder: Path) -> list[Path]:
    paths = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(paths, key=checkpoint_step)


def _remove_leftovers(folder: Path) -> None:
    """What a killed process left half-written."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(path)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rename(source: Path, target: Path) -> None:
    os.replace(source, target)
    _flush(target.parent)


def _flush(path: Path) -> None:
    """fsync a file or a folder: a rename may reach the disk before the data that it points to."""
    if path.is_dir() and not _FOLDERS_FLUSH:
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes writable handles
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
