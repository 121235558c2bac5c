"""The models that come with the repository, and opening any others in their place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mcm_core.drawing.conditions import InputError

if TYPE_CHECKING:
    import torch

    from mcm_core.pipeline import MCMPipeline

BASE = "mini"
MODULATOR = "mini-modulator"
SEGMENTER = "mini-segmenter"
DTYPES = ("float32", "bfloat16", "float16")


def assets() -> Path:
    """The folder of models and examples: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


def shipped(name: str) -> Path:
    """The folder of a model in `assets()`.

    Raises:
        InputError: it is not there, as in a checkout without its large files.
    """
    folder = assets() / "models" / name
    if not folder.is_dir():
        raise InputError(
            f"The model {name} is not at {folder}. Take a whole checkout or install mcm anew, or name "
            "models of your own with --base and --modulator."
        )
    return folder


def precision(dtype: str | None) -> torch.dtype | None:
    """The torch name of one of `DTYPES`."""
    import torch

    return getattr(torch, dtype) if dtype else None


def open_models(
    base: str | None = None,
    modulator: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    plain: bool = False,
) -> MCMPipeline:
    """A pipeline from folders or hub ids; without a base it is the shipped one, and then so is the modulator.

    Args:
        base, modulator: where they are. A base of one's own has no modulator unless one is given.
        dtype: one of `DTYPES`; None for what suits the device.
        device: "cpu", "cuda", ...; None for CUDA where there is one.
        plain: no modulator, even where there is one.

    Raises:
        InputError: something is missing, damaged, of another kind, or does not fit.
    """
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}.")
    if modulator is None and base is None:
        modulator = str(shipped(MODULATOR)) if not plain else None
    base = base or str(shipped(BASE))

    import torch

    from mcm_core.base import Base
    from mcm_core.modulator import Modulator
    from mcm_core.pipeline import MCMPipeline

    try:
        place = torch.device(device) if device else None
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"There is no device {device!r:.40} here. Leave it out, or take cpu.") from error
    frozen = Base.from_pretrained(base, dtype=precision(dtype), device=place)
    return MCMPipeline(frozen, Modulator.from_pretrained(modulator) if modulator and not plain else None)
