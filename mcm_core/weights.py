"""Opening trained weights: what is refused before it is read, and what is checked after.

Only safetensors are read, never a pickle. A damaged, unfitting or non-finite file is an `InputError` that
names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from mcm_core.drawing.conditions import InputError
from mcm_core.sums import check_sums

PICKLES = {".ckpt", ".bin", ".pt", ".pth", ".pkl", ".pickle"}
ANCHORS = {
    "base": "model_index.json",
    "modulator": "config.json",
    "preview decoder": "config.json",
    "segmenter": "config.json",
}
"""The file that makes a folder one of these."""


@contextmanager
def opening(source: str | Path, what: str) -> Iterator[None]:
    """Check `source` (a folder, a file or a hub id of a "modulator" or a "base"), then guard what opens it.

    Any failure inside becomes an `InputError` that names the source, or the file in it that is damaged.
    """
    check_source(source, what)
    check_sums(Path(source))
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except InputError as error:
        raise error if str(source) in str(error) else InputError(f"{source}: {error}") from error
    except Exception as error:
        raise InputError(
            f"The {what} {source} cannot be opened. {_diagnosis(Path(source), error)}"
        ) from error


def check_source(source: str | Path, what: str) -> None:
    """Refuse what can be seen to be wrong without opening it: pickles, wrong folders, paths of nothing."""
    path = Path(source)
    anchor = ANCHORS[what]
    if not str(source).strip():
        raise InputError(f"No {what} is named: give a folder with a {anchor}, or a hub id.")
    if path.is_file():
        _check_file(path, what)
    elif path.is_dir():
        if not (path / anchor).is_file():
            raise InputError(
                f"The folder {source} is no {what}: it has no {anchor}. Give the folder that has."
            )
    elif _looks_like_a_path(str(source)):
        raise InputError(f"There is no {what} at {source}. Give a folder with a {anchor}, or a hub id.")


def require_complete(report: Mapping[str, Any], source: str | Path) -> None:
    """Refuse weights that left a part of the network unset (diffusers and transformers only warn of it)."""
    wrong = {kind: sorted(map(str, report.get(kind) or ())) for kind in ("missing_keys", "mismatched_keys")}
    for kind, keys in wrong.items():
        if keys:
            raise InputError(
                f"The weights in {source} do not fit their config.json: {len(keys)} {kind.replace('_', ' ')} "
                f"({keys[0]}, ...). Take both files from the same model."
            )


def require_finite(module: nn.Module, source: str | Path) -> None:
    """Refuse NaN and infinity, which would come out as black pictures."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(
                f"The weights in {source} are damaged: {name} holds values that are not finite numbers. "
                "Copy or download the file again."
            )


def _check_file(path: Path, what: str) -> None:
    if path.suffix.lower() in PICKLES:
        raise InputError(
            f"{path} is a pickle, which can run any code when it is opened. "
            "Convert it to .safetensors first, or give a diffusers folder."
        )
    if path.suffix.lower() != ".safetensors" or what != "base":
        wanted = "a diffusers folder or a .safetensors file" if what == "base" else "the folder it lies in"
        raise InputError(f"{path} cannot be opened as a {what}: give {wanted}.")


def _looks_like_a_path(source: str) -> bool:
    """Whether `source` cannot be a hub id ("name" or "owner/name")."""
    return source.startswith((".", "/", "~")) or "\\" in source or source.count("/") > 1


def _diagnosis(path: Path, error: Exception) -> str:
    damaged = _damaged_file(path)
    if damaged:
        return f"{damaged} is damaged or no safetensors file: copy or download it again."
    if path.is_dir() and not any(path.rglob("*.safetensors")):
        return "It has no .safetensors weights; pickled ones (.bin, .ckpt) are not read: convert them first."
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{first_line[:300]}"


def _damaged_file(path: Path) -> Path | None:
    """The first safetensors file at `path` whose header does not match its length."""
    files = [path] if path.is_file() else sorted(path.rglob("*.safetensors")) if path.is_dir() else []
    for file in files:
        try:
            with safe_open(file, framework="pt"):
                pass
        except Exception:  # safetensors raises several types, and each says the same: this file is damaged
            return file
    return None
