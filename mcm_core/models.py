"""The door to models, for the page, the command line and the measurements: names, defaults, errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcm_core.devices import DTYPES
from mcm_core.drawing.conditions import InputError

if TYPE_CHECKING:
    from argparse import _ActionsContainer

    from mcm_core.base import Base
    from mcm_core.live import Live
    from mcm_core.pipeline import MCMPipeline

BASE = "mini"
MODULATOR = "mini-modulator"
LIVE = "mini-live"
"""The modulator of few steps, for pictures that follow the brush."""
SEGMENTER = "mini-segmenter"
PREVIEW_DECODER = "mini-preview-decoder"
"""Of the shipped base; where it is missing previews are smaller."""


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


def add_options(parser: _ActionsContainer) -> None:
    """--device, --dtype and --low-memory."""
    parser.add_argument("--device", help="cuda, mps, cpu, cuda:1, ... (default: the quickest that is here)")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="precision of the base (default: float16 on CUDA, bfloat16 on a CPU with matrix instructions "
        "for it, else float32)",
    )
    parser.add_argument(
        "--low-memory",
        action="store_true",
        help="for a GPU on which the base is tight: decode in tiles, text encoders only while they work",
    )


def open_models(
    base: str | None = None,
    modulator: str | None = None,
    *,
    dtype: str | None = None,
    device: str | None = None,
    plain: bool = False,
    preview_decoder: str | None = None,
    low_memory: bool = False,
) -> MCMPipeline:
    """A pipeline from folders or hub ids; without a base it is the shipped one, and then so is the modulator.

    Args:
        base, modulator: where they are. A base of one's own has no modulator unless one is given.
        dtype, device: their names; None for what suits the machine, see `mcm_core.devices`.
        plain: no modulator, even where there is one.
        preview_decoder: a small decoder for previews; that of the shipped base comes with it.
        low_memory: see `Base.from_pretrained`.

    Raises:
        InputError: something is missing, damaged, of another kind, or does not fit.
    """
    bases, modulators = sources([base] if base else None, [modulator] if modulator else None)
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator
    from mcm_core.pipeline import MCMPipeline

    frozen = Base.from_pretrained(
        bases[0],
        dtype=dtype,
        device=device,
        preview_decoder=preview_decoder or _shipped_decoder(bases[0]),
        low_memory=low_memory,
    )
    return MCMPipeline(frozen, Modulator.from_pretrained(modulators[0]) if modulators and not plain else None)


def open_all(
    bases: Sequence[str] | None = None,
    modulators: Sequence[str] | None = None,
    *,
    dtype: str | None = None,
    device: str | None = None,
    preview_decoder: str | None = None,
    low_memory: bool = False,
) -> list[MCMPipeline]:
    """Every base with every modulator that fits it; a base that none fits comes alone.

    A folder of several model folders stands for them all. The preview decoder is for the first base. The rest
    is as in `open_models`.

    Raises:
        InputError: something cannot be opened, or a modulator fits none of the bases.
    """
    base_sources, modulator_sources = sources(bases, modulators)
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator
    from mcm_core.pipeline import MCMPipeline

    opened: list[Base] = []
    for source in _inside(base_sources, "model_index.json"):
        decoder = (None if opened else preview_decoder) or _shipped_decoder(source)
        opened.append(
            Base.from_pretrained(
                source, dtype=dtype, device=device, preview_decoder=decoder, low_memory=low_memory
            )
        )
    pairs: list[list[MCMPipeline]] = [[] for _ in opened]
    for source in _inside(modulator_sources, "config.json"):
        modulator, refusals = Modulator.from_pretrained(source), []
        for base, fitting in zip(opened, pairs, strict=True):
            try:
                fitting.append(MCMPipeline(base, modulator))
            except InputError as error:
                refusals.append(error)
        if len(refusals) == len(opened):
            raise refusals[0]
    return [
        pipeline
        for base, fitting in zip(opened, pairs, strict=True)
        for pipeline in fitting or [MCMPipeline(base)]
    ]


def open_drafts(base: Base, modulator: str) -> tuple[MCMPipeline, Live]:
    """A pipeline for pictures that follow the brush, decoded as previews are, and its few steps.

    Raises:
        InputError: the modulator is not made for few steps, or does not fit the base.
    """
    from mcm_core.modulator import Modulator
    from mcm_core.pipeline import MCMPipeline

    opened = Modulator.from_pretrained(modulator)
    if opened.live is None:
        raise InputError(
            f"{modulator} needs many steps: make one for few of it with `python -m mcm_core distil`."
        )
    return MCMPipeline(base, opened, drafts=True), opened.live


def shipped_live() -> str | None:
    """The folder of the modulator for drafts on the shipped base, if it is there."""
    folder = assets() / "models" / LIVE
    return str(folder) if folder.is_dir() else None


def sources(bases: Sequence[str] | None, modulators: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Where bases and modulators are: what was named, else what is shipped."""
    if bases:
        return list(bases), list(modulators or ())
    return [str(shipped(BASE))], [str(shipped(MODULATOR))] if modulators is None else list(modulators)


def _shipped_decoder(base: str) -> str | None:
    """The decoder that comes with the shipped base; None for any other, and where it is not there."""
    models = assets() / "models"
    is_shipped = Path(base).resolve() == (models / BASE).resolve()
    return str(models / PREVIEW_DECODER) if is_shipped and (models / PREVIEW_DECODER).is_dir() else None


def _inside(folders: Sequence[str], index: str) -> list[str]:
    """The folders, where one that only holds model folders (each with an `index` file) gives way to those."""
    found = []
    for folder in folders:
        inside = sorted(str(path.parent) for path in Path(folder).glob(f"*/{index}"))
        found += inside if inside and not (Path(folder) / index).exists() else [folder]
    return found
